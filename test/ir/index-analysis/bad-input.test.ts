import { expect, it } from "vitest";
import { classifyBlock } from "../../../src/ir/index-analysis/classify.ts";
import { blockStructure } from "../../../src/ir/index-analysis/structure.ts";
import { formula, k, le, q } from "./formula.ts";

const causal = formula(le(k, q));

it.each([0, -1, 1.5, Number.NaN, 2 ** 40])("a length of %d is refused", (Q) => {
  expect(() => classifyBlock(causal, { q: [0, 0], k: [0, 0] }, { Q, K: 4 })).toThrow(/the length Q of a mask is/);
  expect(() => blockStructure(causal, { Q: 4, K: 4, H: Q })).toThrow(/the length H of a mask is/);
});

it.each([0, -4, 0.5, Number.NaN])("a block size of %d is refused", (size) => {
  expect(() => blockStructure(causal, { Q: 4, K: 4 }, size)).toThrow(expect.objectContaining({ code: "QKV248" }));
});
