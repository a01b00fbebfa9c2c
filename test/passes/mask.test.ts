import { describe, expect, test } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { symbol } from "../../src/ir/dim.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import type { Node, Value } from "../../src/ir/graph.ts";
import { parseFormula } from "../../src/ir/index-expr/text.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";
import { verifyGraph } from "../../src/ir/verify.ts";
import { forms } from "../../src/passes/mask/choose.ts";
import { problemOf } from "../../src/passes/mask/problem.ts";
import { ortCpuTarget } from "../../src/passes/target.ts";
import { heldEveryWay } from "./support/held.ts";

/** Every form against the attention's own meaning, in float64, whether it would be chosen or not. */

interface Case {
  readonly name: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly tables?: readonly HostTensor[];
  /** Forms that must have a plan, at known lengths and open ones. */
  readonly fixed?: readonly string[];
  readonly open?: readonly string[];
}

const f = parseFormula;
const flags = (count: number, of: (i: number) => boolean): HostTensor =>
  fromNumbers(
    "bool",
    [count],
    Array.from({ length: count }, (_, i) => Number(of(i))),
  );
const ids = (count: number, of: (i: number) => number): HostTensor =>
  fromNumbers(
    "f64",
    [count],
    Array.from({ length: count }, (_, i) => of(i)),
  );
const long = 160;

const cases: readonly Case[] = [
  { name: "causal", attrs: { causal: true }, fixed: ["mask-split"], open: ["mask-stairs"] },
  { name: "window", attrs: { causal: true, mask: f("q - k < 8") }, fixed: ["mask-banded"], open: ["mask-banded"] },
  { name: "both sides", attrs: { mask: f("Math.abs(q - k) <= 5") }, fixed: ["mask-banded"], open: ["mask-banded"] },
  { name: "behind only", attrs: { mask: f("q - k >= 3 && q - k < 9") }, open: ["mask-banded"] },
  { name: "ahead only", attrs: { mask: f("k - q >= 2 && k - q < 6") }, open: ["mask-banded"] },
  { name: "dilated", attrs: { mask: f("Math.abs(q - k) <= 12 && (q - k) % 3 === 0") }, open: ["mask-banded"] },
  { name: "tiles", attrs: { mask: f("Math.floor(q / 7) === Math.floor(k / 7)") }, open: ["mask-banded"] },
  {
    name: "window of each head, ALiBi",
    attrs: { causal: true, mask: f("q - k < table0[h]"), score: f("s - table1[h] * (q - k)"), tables: 2 },
    tables: [ids(4, (h) => 3 + 2 * h), ids(4, (h) => 2 ** -(h + 1))],
    fixed: ["mask-split"],
  },
  {
    name: "steep by key",
    attrs: { causal: true, score: f("s + 3 * k") },
    fixed: ["mask-split"],
    open: ["mask-stairs"],
  },
  {
    name: "steep by key, keys hidden",
    attrs: { causal: true, mask: f("table0[k]"), score: f("s + (h < 2 ? 3 : 0.7) * k"), tables: 1 },
    tables: [flags(long, (k) => (k > 9 && k < 31) || (k > 120 && k % 3 !== 0))],
    fixed: ["mask-split"],
    open: ["mask-stairs"],
  },
  { name: "steeply falling", attrs: { causal: true, score: f("s - 3 * k") }, fixed: ["mask-split"] },
  {
    name: "soft cap",
    attrs: { causal: true, score: f("3 * Math.tanh(s / 3)") },
    fixed: ["mask-split"],
  },
  {
    name: "soft cap in a window, squared",
    attrs: { mask: f("Math.abs(q - k) < 6"), score: f("3 * Math.tanh(s / 3)"), prob: f("s * s") },
    open: ["mask-banded"],
  },
  {
    name: "sigmoid in a window",
    attrs: { mask: f("Math.abs(q - k) < 6"), normaliser: "sigmoid" },
    open: ["mask-banded"],
  },
  { name: "no normaliser", attrs: { causal: true, normaliser: "none", score: f("s * 0.5") }, fixed: ["mask-split"] },
  {
    name: "documents",
    attrs: { causal: true, mask: f("table0[q] === table0[k]"), tables: 1 },
    tables: [ids(long, (i) => Math.floor(Math.sqrt(i)))],
    fixed: ["mask-split"],
  },
  {
    name: "odd queries see nothing, two heads see all",
    attrs: { mask: f("h < 2 || q % 2 === 0 && Math.abs(q - k) < 9") },
  },
  {
    name: "first keys are hidden by the score",
    attrs: { mask: f("q - k < 9"), causal: true, score: f("k < 4 ? -Infinity : s") },
    open: ["mask-banded"],
  },
  { name: "prefix", attrs: { mask: f("k < 9 || k <= q") }, fixed: ["mask-split"] },
  {
    name: "global",
    attrs: { mask: f("Math.abs(q - k) < 5 || table0[q] || table0[k]"), tables: 1 },
    tables: [flags(long, (i) => i < 2 || i === 11)],
    fixed: ["mask-globals", "mask-gathered"],
    open: ["mask-globals"],
  },
  {
    name: "global keys, causal, ALiBi",
    attrs: { causal: true, mask: f("k < 3 || q - k < 6"), score: f("s - (q - k) / (h + 2)") },
    fixed: ["mask-globals"],
    open: ["mask-globals"],
  },
  {
    name: "global queries, soft cap",
    attrs: { mask: f("q === 4 || Math.abs(q - k) < 3"), score: f("3 * Math.tanh(s / 3)") },
    open: ["mask-globals"],
  },
  {
    name: "scattered blocks",
    attrs: { mask: f("Math.floor(q / 16) * 5 % 7 === Math.floor(k / 16) || Math.abs(q - k) < 4") },
    fixed: ["mask-gathered"],
  },
  {
    name: "padding of each sequence",
    attrs: { causal: true, mask: f("q - k < 9 && k < table0[b]"), tables: 1 },
    tables: [ids(2, (b) => 20 + 20 * b)],
    open: ["mask-banded"],
  },
  { name: "by batch", attrs: { mask: f("Math.abs(q - k) < 5 + b") } },
  { name: "never", attrs: { mask: f("q - k > 5 && k - q > 5") } },
];

const sizes = [1, 17, 33, 65, 130];
const pairs: readonly (readonly [number, number])[] = [
  ...sizes.map((n) => [n, n] as const),
  [17, 33],
  [33, 17],
  [1, 65],
];
const width = 4;

interface Attention {
  readonly arena: Arena;
  readonly node: Node;
  readonly inputs: readonly Value[];
}

function attentionOf({ attrs, tables = [] }: Case, Q: number | string, K: number | string, kvHeads: number): Attention {
  const arena = new Arena();
  const dim = (n: number | string) => (typeof n === "string" ? symbol(n) : n);
  const tensor = (name: string, heads: number, length: number | string, last = width) =>
    arena.build.input({ name, dtype: "f32", shape: [2, heads, dim(length), last] });
  const inputs = [tensor("q", 4, Q), tensor("k", kvHeads, K), tensor("v", kvHeads, K, 3)];
  const constants = tables.map((value) => arena.build.constant({ value }));
  const node = arena.node("attention", [...inputs, ...constants], { scale: 0.5, ...attrs });
  return { arena, node, inputs };
}

let state = 7;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5;

function feedsFor(Q: number, K: number, kvHeads: number): Map<string, HostTensor> {
  const tensor = (dims: number[]) =>
    fromNumbers(
      "f32",
      dims,
      Array.from({ length: dims.reduce((x, y) => x * y) }, () => 4 * random()),
    );
  return new Map([
    ["q", tensor([2, 4, Q, width])],
    ["k", tensor([2, kvHeads, K, width])],
    ["v", tensor([2, kvHeads, K, 3])],
  ]);
}

function outputOf(inputs: readonly Value[], value: Value, feeds: Map<string, HostTensor>): Float64Array {
  const graph = graphOf("g", inputs, [["y", value]]);
  verifyGraph(graph);
  return evaluateGraph(graph, feeds).get("y")!.data;
}

interface Expected {
  readonly feeds: Map<string, HostTensor>;
  readonly output: Float64Array;
}

type Reference = (Q: number, K: number, kvHeads: number) => Expected;

/** Inputs for an attention of these lengths and what it means for them, computed once for all forms. */
function referenceOf(one: Case): Reference {
  const known = new Map<string, Expected>();
  return (Q, K, kvHeads) => {
    const key = `${Q} ${K} ${kvHeads}`;
    const found = known.get(key);
    if (found) return found;
    const { node, inputs } = attentionOf(one, Q, K, kvHeads);
    const feeds = feedsFor(Q, K, kvHeads);
    const expected = { feeds, output: outputOf(inputs, node.results[0]!, feeds) };
    known.set(key, expected);
    return expected;
  };
}

function check(
  one: Case,
  reference: Reference,
  Q: number | string,
  K: number | string,
  at: readonly (readonly [number, number])[],
) {
  const seen = new Set<string>();
  for (const kvHeads of [4, 2]) {
    const attention = attentionOf(one, Q, K, kvHeads);
    const problems = heldEveryWay(problemOf(attention.node, attention.arena.build));
    for (const [form, problem] of forms.flatMap((form) => problems.map((problem) => [form, problem] as const))) {
      const plan = form.plan(problem, { target: ortCpuTarget(), numbers: undefined });
      if (typeof plan === "string") continue;
      seen.add(form.name);
      const value = plan.build();
      for (const [queries, keys] of at) {
        if (queries < (plan.least ?? 1)) continue;
        const { feeds, output } = reference(queries, keys, kvHeads);
        const found = outputOf(attention.inputs, value, feeds);
        const worst = output.reduce((most, x, i) => Math.max(most, Math.abs(x - found[i]!)), 0);
        expect(worst, `${form.name} at ${queries} × ${keys}, ${kvHeads} key heads`).toBeLessThan(1e-9);
      }
    }
  }
  return seen;
}

describe.each(cases)("$name", (one) => {
  const reference = referenceOf(one);

  test("at known lengths", () => {
    const seen = new Set(pairs.flatMap(([Q, K]) => [...check(one, reference, Q, K, [[Q, K]])]));
    expect([...seen]).toEqual(expect.arrayContaining(["mask-dense", ...(one.fixed ?? [])]));
  });

  test("at open lengths", () => {
    const square = check(
      one,
      reference,
      "n",
      "n",
      sizes.map((n) => [n, n] as const),
    );
    const oblong = check(one, reference, "n", "m", pairs);
    const open = one.open ?? [];
    expect([...square]).toEqual(expect.arrayContaining(["mask-dense", ...open]));
    const anyShape = open.filter((name) => name !== "mask-stairs");
    expect([...oblong]).toEqual(expect.arrayContaining(["mask-dense", ...anyShape]));
  });
});
