import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import minilm from "../../models/minilm.ts";
import { readModel } from "../../src/backends/onnx/decode.ts";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import { checkAgainst } from "../../src/check.ts";
import { renderReport } from "../../src/cli/compare.ts";
import { compare } from "../../src/compare.ts";
import { compile, type Declared } from "../../src/compile.ts";
import type { Pass } from "../../src/passes/pass.ts";
import { modelBytes } from "../../src/session.ts";
import { expectRealPositions, paddedBatches, paddedFeeds, vocabulary, withUnpadAlways } from "../support/padding.ts";
import { sharedFixtures } from "./support.ts";

const unpad = "attention_mask";

describe("an encoder as an ONNX file", () => {
  const folder = mkdtempSync(join(tmpdir(), "qkv-unpad-"));
  const file = join(folder, "encoder.onnx");
  const names = ["input_ids", "attention_mask", "token_type_ids"];
  let declared: Declared;
  beforeAll(async () => {
    const settings = { layers: 1, d: 32, heads: 4, vocab: vocabulary, positions: 40, ffn: 512 };
    writeFileSync(file, modelBytes((await compile(minilm, { settings, naive: true })).onnx()));
    declared = { ...importModel(readModel(file)), file };
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("is computed on real tokens, and gives the file's outputs there", async () => {
    const compiled = await compile(declared, { unpad });
    expect(compiled.steps.some(({ tally }) => tally.fired.has("unpad"))).toBe(true);
    for (const masks of paddedBatches) await expectRealPositions(file, compiled, paddedFeeds(names, masks));
  });

  it("is compared with the file at real positions, and says so", async () => {
    const feeds = paddedFeeds(names, ["---xx", "x-x-x", "-----", "xxxxx"]);
    const report = await compare(declared, { feeds, unpad, memory: false, measure: { rounds: 1, minMs: 1 } });
    expect(report.runs[0]!.realPositionsOf).toBe(unpad);
    expect(report.runs[0]!.variants.map(({ name, equal }) => [name, equal])).toEqual([
      ["naive", true],
      ["ort", true],
      ["optimised", true],
    ]);
    expect(renderReport(report)).toContain("where attention_mask is not 0: a file is not zero at padding");
  });

  it("is checked against the file at real positions, where a wrong number is still found", async () => {
    const naive = await compile(declared, { unpad, naive: true });
    expect(await checkAgainst(naive, await compile(declared, { unpad }), { file })).toBe(true);
    const doubling: Pass = {
      name: "doubling",
      doc: "Doubles every output.",
      run: (graph, { arena: { build: b } }) => ({
        ...graph,
        outputs: graph.outputs.map(({ name, value }) => ({ name, value: b.add(value, value) })),
      }),
    };
    const wrong = await compile(declared, { unpad, passes: [doubling] });
    await expect(checkAgainst(naive, wrong, { file })).rejects.toMatchObject({ code: "QKV506" });
  });
});

const exports = sharedFixtures("exports");

test.skipIf(!exports)(
  "a mask read position by position is found; a small model is left alone (needs the shared fixtures)",
  async () => {
    const file = join(exports!, "bert-eager-torchscript.onnx");
    const declared = importModel(readModel(file));
    const { steps } = await compile(declared, { unpad });
    const { tally } = steps.find(({ pass }) => pass.name === "unpad")!;
    expect([...tally.refused.get("unpad")!.keys()]).toEqual(["too little work for each token to move it"]);
    const compiled = await compile(declared, { unpad, passes: withUnpadAlways });
    for (const masks of paddedBatches)
      await expectRealPositions(file, compiled, paddedFeeds(["input_ids", "attention_mask"], masks));
  },
);
