import { describe, expect, test } from "vitest";
import { liftFunction } from "../../src/dsl/lift/lift.ts";
import type { MaskFunction } from "../../src/index.ts";
import { symbol } from "../../src/ir/dim.ts";
import { showIndex } from "../../src/ir/index-expr/show.ts";
import { and, causal, window } from "./support/mask-algebra.ts";

const lengths = { B: 2, H: 4, Q: symbol("q_len"), K: symbol("k_len") };
const text = (fn: MaskFunction) => showIndex(liftFunction(fn, "mask", lengths));

describe("captures under the test runner", () => {
  const local = 7;
  test.each<[string, MaskFunction, string]>([
    ["expression body", ({ q, k }) => k <= q, "k <= q"],
    ["closure variable", ({ q, k }) => q - k < local, "q - k < 7"],
    ["imported functions", and(causal, window(256)), "k <= q && Math.abs(q - k) < 256"],
    ["plain parameter", (i) => i.k <= i.q, "k <= q"],
  ])("%s", (_, fn, expected) => expect(text(fn)).toBe(expected));
});
