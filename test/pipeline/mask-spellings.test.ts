import { expect, it } from "vitest";
import { randomFeeds } from "../../src/feeds.ts";
import { Arena } from "../../src/ir/arena.ts";
import { spelled } from "../support/mask-spellings.ts";
import { checkCompiled } from "./support/differential.ts";

/** How many spellings are tried; all that `QKV_SPELLINGS` says in a long run. */
const count = Number(process.env.QKV_SPELLINGS ?? 24);
/** As `transformers` fills, and as people do. */
const fills = [-3.4028234663852886e38, -3.4028234663852886e38, Number.NEGATIVE_INFINITY, -1e9, -1e4];
const sizes = [
  { B: 1, S: 1, P: 2, T: 3 },
  { B: 3, S: 5, P: 3, T: 7 },
];

it("the runtime gives rows that see nothing what masks in every spelling do", async () => {
  const wrong: string[] = [];
  for (let seed = 0; seed < count; seed++) {
    const make = () => {
      const arena = new Arena();
      return { arena, weights: new Map(), ...spelled(arena, seed, fills) };
    };
    for (const target of ["ort-cpu", "onnx"])
      await checkCompiled(
        make,
        { target, opset: 23 },
        sizes.map((each) => new Map(Object.entries(each))),
        (problem) => wrong.push(`seed ${seed} (${make().text}), ${target}: ${problem}`),
        (graph, at) => randomFeeds(graph, at, seed, "masked"),
      );
  }
  expect(wrong).toEqual([]);
});
