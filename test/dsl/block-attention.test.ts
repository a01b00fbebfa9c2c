import { describe, expect, test } from "vitest";
import { blockAttention, compile, input, model, type QkvError, session, type Tensor } from "../../src/index.ts";
import { costOf } from "../../src/ir/cost.ts";
import { evaluate } from "../../src/ir/dim.ts";
import type { DType } from "../../src/ir/dtype.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../src/ir/tensor.ts";

let state = 1;
function random(): number {
  state = (state * 48271) % 2147483647;
  return state / 2147483647;
}

interface Case {
  readonly queries: number;
  readonly keys: number;
  readonly block: number;
  readonly chosen: number;
  readonly causal?: boolean;
  readonly group?: number;
  /** Only some keys may be seen. */
  readonly masked?: boolean;
  readonly dtype?: DType;
}

const [batch, kvHeads, width, valueWidth] = [2, 2, 4, 6];

function feedsOf({ queries, keys, block, chosen, group = 1, masked, dtype = "f32" }: Case): Map<string, HostTensor> {
  const floats = (...dims: number[]) =>
    fromNumbers(
      dtype,
      dims,
      Array.from({ length: dims.reduce((a, b) => a * b) }, () => 4 * random() - 2),
    );
  const truths = (...dims: number[]) =>
    fromNumbers(
      "bool",
      dims,
      Array.from({ length: dims.reduce((a, b) => a * b) }, () => Number(random() < 0.6)),
    );
  const blocks = Math.ceil(keys / block);
  const choice = Array.from({ length: batch * kvHeads * queries }, () => {
    const shuffled = Array.from({ length: blocks }, (_, i) => ({ i, at: random() })).sort((x, y) => x.at - y.at);
    return Array.from({ length: chosen }, (_, c) => (random() < 0.3 ? -1 : (shuffled[c]?.i ?? -1)));
  });
  return new Map([
    ["q", floats(batch, kvHeads * group, queries, width)],
    ["k", floats(batch, kvHeads, keys, width)],
    ["v", floats(batch, kvHeads, keys, valueWidth)],
    ["blocks", fromNumbers("i64", [batch, kvHeads, queries, chosen], choice.flat())],
    ...(masked ? [["mask", truths(batch, kvHeads, keys)] as const] : []),
  ]);
}

const at = (x: HostTensor, ...index: number[]): number =>
  toFloat64(x)[index.reduce((flat, i, axis) => flat * x.dims[axis]! + i, 0)]!;

/** Key by key. */
function expected(feeds: Map<string, HostTensor>, { queries, keys, block, chosen, causal, group = 1 }: Case): number[] {
  const [q, k, v, blocks] = ["q", "k", "v", "blocks"].map((name) => feeds.get(name)!) as [
    HostTensor,
    HostTensor,
    HostTensor,
    HostTensor,
  ];
  const out: number[] = [];
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < kvHeads * group; h++)
      for (let i = 0; i < queries; i++) {
        const g = Math.floor(h / group);
        const wanted = new Set(Array.from({ length: chosen }, (_, c) => at(blocks, b, g, i, c)));
        const sums = new Array<number>(valueWidth).fill(0);
        let total = 0;
        for (let j = 0; j < keys; j++) {
          if (!wanted.has(Math.floor(j / block)) || (causal && j > i)) continue;
          if (feeds.has("mask") && at(feeds.get("mask")!, b, g, j) === 0) continue;
          let score = 0;
          for (let c = 0; c < width; c++) score += at(q, b, h, i, c) * at(k, b, g, j, c);
          const power = Math.exp(score / Math.sqrt(width));
          total += power;
          for (let c = 0; c < valueWidth; c++) sums[c]! += power * at(v, b, g, j, c);
        }
        out.push(...sums.map((x) => (total > 0 ? x / total : 0)));
      }
  return out;
}

const declare = (
  { block, chosen, causal = false, group = 1, masked = false, dtype = "f32", ...sizes }: Case,
  open: boolean,
) =>
  model("blocks", () => {
    const [rows, columns] = open ? ["queries", "keys"] : [sizes.queries, sizes.keys];
    return {
      o: blockAttention(
        input("q", dtype, ["batch", kvHeads * group, rows, width]),
        input("k", dtype, ["batch", kvHeads, columns, width]),
        input("v", dtype, ["batch", kvHeads, columns, valueWidth]),
        input("blocks", "i64", ["batch", kvHeads, rows, chosen]),
        { block, causal, ...(masked && { keyMask: input("mask", "bool", ["batch", kvHeads, columns]) }) },
      ),
    };
  });

const worst = (a: ArrayLike<number>, b: readonly number[]) =>
  b.reduce((most, x, i) => Math.max(most, Math.abs(x - a[i]!)), 0);

describe.each<Case>([
  { queries: 1, keys: 1, block: 4, chosen: 1 },
  { queries: 15, keys: 15, block: 4, chosen: 2, causal: true },
  { queries: 17, keys: 17, block: 4, chosen: 3, causal: true, group: 3 },
  { queries: 33, keys: 65, block: 8, chosen: 4, group: 2 },
  { queries: 65, keys: 64, block: 16, chosen: 4 },
  { queries: 65, keys: 33, block: 5, chosen: 1, causal: true },
  { queries: 3, keys: 257, block: 16, chosen: 9 },
  { queries: 257, keys: 257, block: 16, chosen: 3, causal: true },
  { queries: 33, keys: 33, block: 5, chosen: 3, causal: true, group: 2, masked: true },
  { queries: 17, keys: 65, block: 8, chosen: 4, masked: true },
])("$queries queries, $keys keys, $chosen blocks of $block", (each) => {
  const feeds = feedsOf(each);
  const values = expected(feeds, each);

  test("in float64", () => {
    const { graph } = declare(each, true).build();
    expect(worst(evaluateGraph(graph, feeds).get("o")!.data, values)).toBeLessThan(1e-6);
  });

  test.each([
    ["naive", true, true],
    ["optimised", false, true],
    ["of fixed lengths", false, false],
  ] as const)("%s", async (_, naive, open) => {
    const running = await session(await compile(declare(each, open), { naive }));
    const { o } = Object.fromEntries(await running.run(feeds));
    await running.close();
    expect(o!.dims).toEqual([batch, kvHeads * (each.group ?? 1), each.queries, valueWidth]);
    expect(worst(toFloat64(o!), values)).toBeLessThan(1e-5);
  });
});

test.each([
  ["f64", 1e-9],
  ["f16", 2e-2],
] as const)("in %s", async (dtype, tolerance) => {
  const each: Case = { queries: 33, keys: 33, block: 4, chosen: 3, causal: true, dtype };
  const feeds = feedsOf(each);
  const running = await session(await compile(declare(each, true)));
  const { o } = Object.fromEntries(await running.run(feeds));
  await running.close();
  expect(worst(toFloat64(o!), expected(feeds, each))).toBeLessThan(tolerance);
});

test("the cost is that of the blocks chosen", async () => {
  const { declared } = await compile(declare({ queries: 1, keys: 1, block: 16, chosen: 2 }, true));
  const flops = (n: number) =>
    evaluate(
      costOf(declared).flops,
      new Map([
        ["batch", 1],
        ["queries", n],
        ["keys", n],
      ]),
    );
  const dense = (n: number) => 2 * kvHeads * n * n * (width + valueWidth);
  expect(flops(65536)).toBeLessThan(dense(65536) / 20);
});

describe("refusals", () => {
  const loose = (value: unknown) => value as never;
  const q = () => input("q", "f32", ["b", 4, "s", 8]);
  const k = () => input("k", "f32", ["b", 2, "t", 8]);
  const blocks = (...dims: (number | string)[]) => input("blocks", "i64", dims);

  test.each<[string, () => unknown, RegExp]>([
    [
      "blocks for other heads",
      () => {
        const keys = k();
        return blockAttention(q(), keys, keys, blocks("b", 4, "s", 2), { block: 4 });
      },
      /QKV107 blockAttention: blocks i64\[b, 4, s, 2\] name no blocks/,
    ],
    [
      "blocks that are no indices",
      () => {
        const keys = k();
        return blockAttention(q(), keys, keys, input("blocks", "f32", ["b", 2, "s", 2]), { block: 4 });
      },
      /QKV109 blockAttention: blocks are f32/,
    ],
    [
      "blocks of nothing",
      () => {
        const keys = k();
        return blockAttention(q(), keys, keys, blocks("b", 2, "s", 2), loose({ block: 0 }));
      },
      /QKV101 block is 0/,
    ],
    [
      "queries without a batch",
      () => {
        const [queries, keys] = [input("q", "f32", [2, "s", 8]), input("k", "f32", [2, "t", 8])];
        return blockAttention(queries, keys, keys, blocks("b", 2, "s", 2), { block: 4 });
      },
      /QKV110 blockAttention: q has 3 axes/,
    ],
    [
      "a mask of other keys",
      () => {
        const keys = k();
        const keyMask = input("mask", "bool", ["b", 2, "s"]);
        return blockAttention(q(), keys, keys, blocks("b", 2, "s", 2), { block: 4, keyMask });
      },
      /QKV111 blockAttention: the mask of keys is bool\[b, 2, s\]/,
    ],
    [
      "an option that is none",
      () => {
        const keys = k();
        return blockAttention(q(), keys, keys, blocks("b", 2, "s", 2), loose({ block: 4, window: 3 }));
      },
      /QKV120 blockAttention has no option "window"/,
    ],
  ])("%s", (_, body, message) => {
    try {
      model("wrong", () => body() as Tensor).build();
    } catch (error) {
      expect(`${(error as QkvError).code} ${(error as QkvError).message}`).toMatch(message);
      return;
    }
    throw new Error("nothing was thrown");
  });
});
