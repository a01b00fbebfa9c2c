import { describe, expect, test } from "vitest";
import { compile } from "../../src/compile.ts";
import { randomFeeds } from "../../src/feeds.ts";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { costOf } from "../../src/ir/cost.ts";
import { evaluate, symbol } from "../../src/ir/dim.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";

const [T, heads, width] = [symbol("T"), 2, 8];

interface Gates {
  readonly decay?: "one" | "each";
  readonly rate?: boolean;
}

/** A recurrence over inputs q, k, v, and g and r as far as there are gates. */
function recurrence({ decay, rate }: Gates) {
  const arena = new Arena();
  const b = arena.build;
  const of = (name: string, last: number) => b.input({ name, dtype: "f32", shape: [1, heads, T, last] });
  const gates = [...(decay ? [of("g", decay === "each" ? width : 1)] : []), ...(rate ? [of("r", 1)] : [])];
  const operands = [of("q", width), of("k", width), of("v", width), ...gates];
  const attrs = { scale: 1, decay: decay !== undefined, delta: rate ?? false };
  return {
    arena,
    graph: graphOf("recurrence", operands, [["y", arena.node("linearAttention", operands, attrs).results[0]!]]),
  };
}

const filled = (length: number, last: number, at: (t: number, c: number) => number): HostTensor => {
  const values = Array.from({ length: heads * length * last }, (_, i) => at(Math.floor(i / last) % length, i % last));
  return fromNumbers("f32", [1, heads, length, last], values);
};

/** Largest error of the chunks in float32, against the recurrence in float64, over the largest result. */
async function error(gates: Gates, length: number, given: Readonly<Record<string, HostTensor>>): Promise<number> {
  const declared = recurrence(gates);
  const feeds = randomFeeds(declared.graph, new Map([["T", length]]), 7);
  for (const [name, tensor] of Object.entries(given)) feeds.set(name, tensor);
  const expected = evaluateGraph(declared.graph, feeds).get("y")!.data;
  const compiled = await compile(declared, { dims: new Map([["T", length]]) });
  expect(compiled.steps.flatMap(({ tally }) => [...tally.fired.keys()])).toContain("chunk-recurrence");
  const actual = toFloat64((await runModel(compiled.onnx(), feeds)).get("y")!);
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return actual.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!)), 0) / largest;
}

const length = 257;
const unitKey = filled(length, width, () => 1 / Math.sqrt(width));
const half = filled(length, 1, () => 0.5);

describe("numbers", () => {
  // Powers of what keys find of one another grow like binomials before they cancel: with these they leave nothing right.
  test("keys that are all alike, replaced wholly", async () => {
    expect(await error({ rate: true }, length, { k: unitKey, r: filled(length, 1, () => 1) })).toBeLessThan(1e-5);
  });

  test("keys that are all alike, a state that fades", async () => {
    const g = filled(length, 1, () => -0.01);
    expect(await error({ decay: "one", rate: true }, length, { k: unitKey, r: half, g })).toBeLessThan(1e-5);
  });

  test.each(["one", "each"] as const)("gates that close wholly, now and then: %s", async (decay) => {
    const g = filled(length, decay === "one" ? 1 : width, (t, c) =>
      (t + c) % 5 === 0 ? Number.NEGATIVE_INFINITY : -0.1,
    );
    // A closed gate counts as -104 in the sums, of which float32 keeps seven digits.
    expect(await error({ decay }, length, { g })).toBeLessThan(1e-4);
  });

  test.each(["one", "each"] as const)("gates that nearly close at every step: %s", async (decay) => {
    const g = filled(length, decay === "one" ? 1 : width, (t) => -20 - (t % 3));
    expect(await error({ decay }, length, { g })).toBeLessThan(2e-5);
  });

  test("a long sequence with a slow decay", async () => {
    const g = filled(2049, width, (t, c) => -0.0005 * (1 + ((t + c) % 4)));
    expect(await error({ decay: "each" }, 2049, { g })).toBeLessThan(2e-5);
  });
});

test("cost is linear in the length", async () => {
  for (const gates of [{}, { decay: "one" }, { decay: "each" }, { rate: true }] as const) {
    const at = async (n: number) => {
      const { graph } = await compile(recurrence(gates), { hints: new Map([["T", n]]) });
      return evaluate(costOf(graph).flops, new Map([["T", n]]));
    };
    expect((await at(8192)) / (await at(1024))).toBeCloseTo(8, 6);
  }
});
