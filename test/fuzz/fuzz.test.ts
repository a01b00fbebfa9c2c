import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { Arena } from "../../src/ir/arena.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import { weightsFor } from "../pipeline/support/random-model.ts";
import { bytesOfSeed, checkRead } from "./bytes/check.ts";
import { openSandbox, readers } from "./bytes/readers.ts";
import { checkGraph, checkSeed } from "./graphs/check.ts";

const folder = fileURLToPath(new URL("cases/", import.meta.url));
const kept = (kind: string) => readdirSync(`${folder}${kind}`).sort();

describe("graphs", () => {
  test.each([1, 2, 3, 4])("seed %i", async (seed) => {
    expect(await checkSeed(seed)).toEqual([]);
  });

  test.each(kept("graphs"))("%s", async (file) => {
    const text = readFileSync(`${folder}graphs/${file}`, "utf8");
    const make = () => {
      const arena = new Arena();
      const graph = parseGraph(text, arena);
      return { graph, arena, weights: weightsFor(graph) };
    };
    for (const seed of [0, 1]) expect(await checkGraph(make, seed)).toEqual([]);
  });
});

describe("bytes", () => {
  const sandbox = openSandbox();

  test("two thousand seeds", () => {
    for (let seed = 0; seed < 2000; seed++) {
      const { reader, bytes } = bytesOfSeed(seed);
      expect(checkRead(reader, bytes, sandbox), `seed ${seed}`).toBeUndefined();
    }
    sandbox.close();
  });

  test.each(kept("bytes"))("%s", (file) => {
    const reader = readers.find(({ name }) => file.endsWith(`.${name}`))!;
    const own = openSandbox();
    expect(checkRead(reader, readFileSync(`${folder}bytes/${file}`), own)).toBeUndefined();
    own.close();
  });
});
