import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Arena, graphOf } from "../../src/ir/arena.ts";
import { costOf } from "../../src/ir/cost.ts";
import { add, type Dim, evaluate, floorDiv, sub, symbol } from "../../src/ir/dim.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { type Graph, nodesOf, type Value } from "../../src/ir/graph.ts";
import { printGraph } from "../../src/ir/print.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";
import { assumedSizes } from "../../src/passes/assumed-size.ts";
import { defaultPassOptions, type PassOptions, type Tally, tallying } from "../../src/passes/pass.ts";
import { reassociate } from "../../src/passes/reassociate.ts";
import { onnxTarget } from "../../src/passes/target.ts";

interface Outcome {
  readonly graph: Graph;
  readonly tally: Tally;
  readonly text: string;
}

const contextFor = (arena: Arena) => ({
  arena,
  target: onnxTarget(),
  dims: new Map<string, number>(),
  report: tallying().report,
  options: defaultPassOptions,
});

function run(
  arena: Arena,
  graph: Graph,
  dims: Record<string, number> = {},
  options: Partial<PassOptions> = {},
): Outcome {
  const { report, tally } = tallying();
  const after = reassociate.run(graph, {
    arena,
    target: onnxTarget(),
    dims: new Map(Object.entries(dims)),
    report,
    options: { ...defaultPassOptions, ...options },
  }) as Graph;
  return { graph: after, tally: tally(), text: printGraph(after) };
}

const output = (name: string, inputs: readonly Value[], value: Value) => graphOf(name, inputs, [["y", value]]);

/** Small whole numbers: every order of exact sums gives the same float64. */
function feedsFor(graph: Graph, dims: Record<string, number>, seed = 1): Map<string, HostTensor> {
  const values = new Map(Object.entries(dims));
  let state = seed;
  const next = () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return (state % 7) - 3;
  };
  const feeds = new Map<string, HostTensor>();
  for (const { node, type } of graph.inputs) {
    const sizes = type.shape.map((dim) => evaluate(dim, values));
    const count = sizes.reduce((a, b) => a * b, 1);
    feeds.set(String(node.attrs.get("name")), fromNumbers(type.dtype, sizes, Array.from({ length: count }, next)));
  }
  return feeds;
}

const weights = {
  read(name: string): HostTensor {
    const dims = (/\[(.*)\]/.exec(name)?.[1] ?? "").split(",").filter(Boolean).map(Number);
    const count = dims.reduce((a, b) => a * b, 1);
    return fromNumbers(
      "f64",
      dims,
      Array.from({ length: count }, (_, i) => ((i * 7 + dims.length) % 5) - 2),
    );
  },
};

/** Zero has one sign. */
const unsigned = (x: number) => x + 0;

function expectEqual(before: Graph, after: Graph, dims: Record<string, number> = {}) {
  const feeds = feedsFor(before, dims);
  const sizes = new Map(Object.entries(dims));
  const a = evaluateGraph(before, feeds, { weights, dims: sizes });
  const b = evaluateGraph(after, feeds, { weights, dims: sizes });
  for (const [name, tensor] of a) {
    expect(b.get(name)!.dims).toEqual(tensor.dims);
    expect(Array.from(b.get(name)!.data, unsigned)).toEqual(Array.from(tensor.data, unsigned));
  }
}

function setup() {
  const arena = new Arena();
  const b = arena.build;
  return {
    arena,
    b,
    input: (name: string, shape: readonly Dim[]) => b.input({ name, dtype: "f64", shape }),
    param: (name: string, shape: readonly number[]) => b.param({ name: `${name}[${shape}]`, dtype: "f64", shape }),
  };
}

const flops = (graph: Graph, dims: Record<string, number> = {}) =>
  evaluate(costOf(graph).flops, new Map(Object.entries(dims)));

const fired = (outcome: Outcome) => outcome.tally.fired.get("reassociate") ?? 0;
const reasons = (outcome: Outcome) => [...(outcome.tally.refused.get("reassociate")?.keys() ?? [])];

/** V·(Kᵀ·Q), tokens as columns. */
function linear(d: number, n: Dim = symbol("n")) {
  const { arena, b, input } = setup();
  const [v, k, q] = ["v", "k", "q"].map((name) => input(name, [d, n])) as [Value, Value, Value];
  const scores = b.contract(k, q, { spec: "d i, d j -> i j" });
  return { arena, graph: output("linear", [v, k, q], b.contract(v, scores, { spec: "e i, i j -> e j" })) };
}

describe("linear attention", () => {
  it("finds (V·Kᵀ)·Q in V·(Kᵀ·Q), and says from which length on it pays", () => {
    const { arena, graph } = linear(64);
    const after = run(arena, graph);
    expect(after.text).toContain('contract(%v, %k) {spec = "e i, d i -> e d"}');
    expect(after.tally.notes).toEqual([
      "y: as written, v (k q), 256*n^2 FLOPs; reassociated, (v k) q, 16384*n FLOPs, cheaper where n > 64; assumed n = 512",
    ]);
    for (const n of [1, 15, 17, 31, 33, 64, 65]) expectEqual(graph, after.graph, { n });
  });

  it("stays as written up to the crossover", () => {
    const { arena, graph } = linear(64);
    expect(run(arena, graph, { n: 64 }).graph).toBe(graph);
    expect(run(arena, graph, { n: 65 }).graph).not.toBe(graph);
  });

  it("solves the crossover as a formula where widths are symbols too", () => {
    const { arena, b, input } = setup();
    const [n, dk, dv] = [symbol("n"), symbol("dk"), symbol("dv")];
    const [v, k, q] = [input("v", [dv, n]), input("k", [dk, n]), input("q", [dk, n])];
    const scores = b.contract(k, q, { spec: "d i, d j -> i j" });
    const graph = output("linear", [v, k, q], b.contract(v, scores, { spec: "e i, i j -> e j" }));
    const { tally } = run(arena, graph, { n: 1024, dk: 64, dv: 64 });
    expect(tally.notes.join()).toContain("n > 2*dk*dv/(dk + dv)");
  });

  it("goes through projections and scales: Wv·(I·Iᵀ)·(Wkᵀ·Wq)·I, at least 8 times fewer FLOPs at 512", () => {
    const { arena, b, input, param } = setup();
    const x = input("x", [64, symbol("n")]);
    const project = (name: string) => b.contract(param(name, [64, 64]), x, { spec: "e d, d n -> e n" });
    const scores = b.contract(project("k"), project("q"), { spec: "d i, d j -> i j" });
    const scaled = b.div(scores, b.scalar(8, "f64"));
    const graph = output("linear", [x], b.contract(project("v"), scaled, { spec: "e i, i j -> e j" }));
    const after = run(arena, graph, { n: 512 });
    expect(flops(graph, { n: 512 }) / flops(after.graph, { n: 512 })).toBeGreaterThan(8);
    expect(after.text).toContain('contract(%x, %x) {spec = "d i, d2 i -> d d2"}');
    expectEqual(graph, after.graph, { n: 33 });
  });

  it("reorders a sum of three operands, batch and heads kept", () => {
    const { arena, b, input } = setup();
    const [s, h] = [symbol("s"), 4];
    const values = ["q", "k", "v"].map((name) => input(name, [symbol("b"), h, s, 16])) as [Value, Value, Value];
    const graph = output("einsum", values, b.einsum(...values, { spec: "b h q d, b h k d, b h k v -> b h q v" }));
    const after = run(arena, graph, { b: 2, s: 1024 });
    expect(after.text).toContain("b h k d, b h k v -> b h d v");
    expectEqual(graph, after.graph, { b: 2, s: 17 });
  });

  it("reorders attention that has no normaliser", () => {
    const { arena, b, input } = setup();
    const values = ["q", "k", "v"].map((name) => input(name, [2, 4, symbol("s"), 8])) as [Value, Value, Value];
    const graph = output("a", values, b.attention(...values, { scale: 0.5, normaliser: "none" }));
    const after = run(arena, graph);
    expect(fired(after)).toBe(1);
    expectEqual(graph, after.graph, { s: 33 });
    const causal = output("a", values, b.attention(...values, { scale: 0.5, normaliser: "none", causal: true }));
    expect(run(arena, causal).graph).toBe(causal);
  });
});

/** DeepSeek-V2, §2.1.2: keys and values of all heads from one latent; heads side by side until they are split. */
function latentAttention() {
  const { arena, b, input, param } = setup();
  const [q, k] = [symbol("q"), symbol("k")];
  const [heads, width, rank, model] = [4, 16, 24, 32];
  const query = input("query", [1, heads, q, width]);
  const latent = input("latent", [1, k, rank]);
  const expand = (name: string) => {
    const wide = b.contract(latent, param(name, [rank, heads * width]), { spec: "b k r, r e -> b k e" });
    return b.transpose(b.reshape(wide, { shape: [1, k, heads, width] }), { perm: [0, 2, 1, 3] });
  };
  const scores = b.contract(query, expand("uk"), { spec: "b h q d, b h k d -> b h q k" });
  const weights = b.softmax(b.mul(scores, b.scalar(0.25, "f64")));
  const seen = b.contract(weights, expand("uv"), { spec: "b h q k, b h k d -> b h q d" });
  const packed = b.reshape(b.transpose(seen, { perm: [0, 2, 1, 3] }), { shape: [1, q, heads * width] });
  const out = b.contract(packed, param("o", [heads * width, model]), { spec: "b q e, e m -> b q m" });
  return { arena, graph: output("mla", [query, latent], out) };
}

describe("latent attention", () => {
  it("absorbs W^UK into the queries and W^UV into the output for a decoding step", () => {
    const { arena, graph } = latentAttention();
    const dims = { q: 1, k: 4096 };
    const after = run(arena, graph, dims);
    expect(fired(after)).toBe(2);
    expect(flops(graph, dims) / flops(after.graph, dims)).toBeGreaterThan(6);
    expect(nodesOf(after.graph).some(({ results }) => results[0]!.type.shape.join() === "1,4096,64")).toBe(false);
  });

  it("does not for a prefill, and reports where it would", () => {
    const { arena, graph } = latentAttention();
    const after = run(arena, graph, { q: 512, k: 512 });
    expect(after.graph).toBe(graph);
    expect(reasons(after)).toContain("already the cheapest order");
    expect(after.tally.notes.join("\n")).toContain("cheaper where q < ");
  });

  it("computes the same", () => {
    const { arena, graph } = latentAttention();
    const after = run(arena, graph, { q: 1, k: 4096 });
    const feeds = feedsFor(graph, { q: 3, k: 17 });
    const [a, b] = [graph, after.graph].map((each) => evaluateGraph(each, feeds, { weights }).get("y")!.data);
    a!.forEach((value, i) => {
      expect(b![i]).toBeCloseTo(value, 9);
    });
  });
});

describe("weights", () => {
  it("multiplies weights ahead where they do not grow", () => {
    const { arena, b, input, param } = setup();
    const x = input("x", [symbol("n"), 64]);
    const once = b.contract(x, param("a", [64, 64]), { spec: "n i, i j -> n j" });
    const graph = output("chain", [x], b.contract(once, param("b", [64, 64]), { spec: "n j, j k -> n k" }));
    const after = run(arena, graph);
    expect(after.text).toContain('contract(%"a[64,64]", %"b[64,64]")');
    expectEqual(graph, after.graph, { n: 31 });
  });

  it("keeps a low-rank pair apart", () => {
    const { arena, b, input, param } = setup();
    const x = input("x", [symbol("n"), 64]);
    const once = b.contract(x, param("a", [64, 4]), { spec: "n i, i j -> n j" });
    const graph = output("low", [x], b.contract(once, param("b", [4, 64]), { spec: "n j, j k -> n k" }));
    expect(run(arena, graph).graph).toBe(graph);
  });

  it("undoes a low-rank pair that was multiplied out", () => {
    const { arena, b, input } = setup();
    const [x, u, v] = [input("x", [symbol("n"), 64]), input("u", [64, 4]), input("v", [4, 64])];
    const whole = b.contract(u, v, { spec: "i r, r j -> i j" });
    const graph = output("low", [x, u, v], b.contract(x, whole, { spec: "n i, i j -> n j" }));
    const after = run(arena, graph);
    expect(after.text).toContain("n i, i r -> n r");
    expectEqual(graph, after.graph, { n: 15 });
  });
});

describe("what must stay", () => {
  const chain = (use: (b: Arena["build"], inner: Value, x: Value) => readonly (readonly [string, Value])[]) => {
    const { arena, b, input } = setup();
    const [x, k, q] = [input("x", [8, 33]), input("k", [8, 33]), input("q", [8, 33])];
    const inner = b.contract(k, q, { spec: "d i, d j -> i j" });
    return { arena, graph: graphOf("stay", [x, k, q], use(b, inner, x)) };
  };
  const outer = (b: Arena["build"], x: Value, inner: Value) => b.contract(x, inner, { spec: "e i, i j -> e j" });

  it("fires without an obstacle", () => {
    const { arena, graph } = chain((b, inner, x) => [["y", outer(b, x, inner)]]);
    expect(fired(run(arena, graph))).toBe(1);
  });

  it.each<[string, string | undefined, Parameters<typeof chain>[0]]>([
    [
      "an output",
      "the intermediate is an output",
      (b, inner, x) => [
        ["y", outer(b, x, inner)],
        ["s", inner],
      ],
    ],
    [
      "used twice",
      "the intermediate is used elsewhere too",
      (b, inner, x) => [
        ["y", outer(b, x, inner)],
        ["s", b.exp(inner)],
      ],
    ],
    ["under a softmax", "a softmax stands between", (b, inner, x) => [["y", outer(b, x, b.softmax(inner))]]],
    [
      "under a sum",
      "a sum stands between; products are not distributed over it",
      (b, inner, x) => [["y", outer(b, x, b.add(inner, b.scalar(1, "f64")))]],
    ],
    [
      "under a reshape that mixes axes",
      undefined,
      (b, inner, x) => {
        const mixed = b.reshape(inner, { shape: [9, 121] });
        return [
          [
            "y",
            b.contract(mixed, b.reshape(b.contract(x, x, { spec: "e i, f i -> e f" }), { shape: [64] }), {
              spec: "i j, k -> i j k",
            }),
          ],
        ];
      },
    ],
  ])("where the intermediate is %s", (_, reason, use) => {
    const { arena, graph } = chain(use);
    const after = run(arena, graph);
    expect(after.graph).toBe(graph);
    if (reason) expect(reasons(after)).toContain(reason);
  });

  it("where another name for it was not asked for: the pass can be left out", () => {
    const { arena, graph } = chain((b, inner, x) => [["y", outer(b, x, inner)]]);
    expect(run(arena, graph, {}, { without: new Set(["reassociate"]) }).graph).toBe(graph);
  });
});

describe("dispatch", () => {
  it("emits both orders behind if, on the length", () => {
    const { arena, graph } = linear(8);
    const after = run(arena, graph, {}, { dispatch: true });
    const branch = nodesOf(after.graph).find(({ op }) => op === "if");
    expect(branch).toBeDefined();
    expect(after.tally.fired.get("dispatch")).toBe(1);
    for (const n of [1, 7, 8, 9, 33]) expectEqual(graph, after.graph, { n });
  });

  it("compares the costs where the threshold depends on lengths", () => {
    const { arena, graph } = latentAttention();
    const after = run(arena, graph, {}, { dispatch: true });
    expect(after.tally.fired.get("dispatch")).toBe(2);
    for (const dims of [
      { q: 1, k: 33 },
      { q: 17, k: 17 },
    ]) {
      const feeds = feedsFor(graph, dims);
      const [a, b] = [graph, after.graph].map((each) => evaluateGraph(each, feeds, { weights }).get("y")!.data);
      a!.forEach((value, i) => {
        expect(b![i]).toBeCloseTo(value, 9);
      });
    }
  });
});

describe("random nests of products, movements and scales", () => {
  const letters = [..."abcdef"];
  const sizes = [1, 2, 3, 15, 17, 4];
  const sizeOf = (label: string) => sizes[letters.indexOf(label)]!;

  interface Labelled {
    readonly value: Value;
    readonly labels: readonly string[];
  }

  /** A random tree: leaves with random labels, joined pairwise or by three, some labels summed, then moved about. */
  function nest(
    pick: (below: number) => number,
    b: Arena["build"],
    leaf: (shape: readonly number[]) => Value,
  ): Labelled {
    const make = (depth: number): Labelled => {
      if (depth === 0 || pick(4) === 0) {
        const labels = letters.filter(() => pick(5) < 2);
        return { value: leaf(labels.map(sizeOf)), labels };
      }
      const parts = Array.from({ length: 1 + pick(3) }, () => make(depth - 1));
      const known = [...new Set(parts.flatMap(({ labels }) => labels))];
      const kept = known.filter(() => pick(3) > 0);
      if (pick(2)) kept.reverse();
      const spec = `${parts.map(({ labels }) => labels.join(" ")).join(", ")} -> ${kept.join(" ")}`;
      return { ...moved(b.contract(...parts.map(({ value }) => value), { spec }), kept) };
    };
    const moved = (start: Value, labels: readonly string[]): Labelled => {
      let value = start;
      if (pick(3) === 0) value = b.mul(value, b.scalar(pick(5) - 2, "f64"));
      if (pick(4) === 0) value = b.div(value, b.scalar(2, "f64"));
      if (pick(4) === 0) value = b.neg(value);
      if (pick(3) === 0 && labels.length > 1) {
        // Out and back: two axes as one.
        const { shape } = value.type;
        const merged = [Number(shape[0]) * Number(shape[1]), ...shape.slice(2)];
        value = b.reshape(b.reshape(value, { shape: merged }), { shape });
      }
      if (pick(3) > 0 || labels.length < 2) return { value, labels };
      const perm = labels.map((_, i) => labels.length - 1 - i);
      return { value: b.transpose(value, { perm }), labels: [...labels].reverse() };
    };
    return make(3);
  }

  it("compute the same, never at more FLOPs", () => {
    let changed = 0;
    let small = 0;
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat({ max: 1000 })), (stream) => {
        const numbers = stream[Symbol.iterator]();
        const pick = (below: number) => (numbers.next().value as number) % below;
        const { arena, b, input, param } = setup();
        const inputs: Value[] = [];
        const leaf = (shape: readonly number[]) => {
          const kind = pick(6);
          if (kind === 0 && inputs.length > 0) {
            const again = inputs.find(({ type }) => type.shape.join() === shape.join());
            if (again) return again;
          }
          if (kind < 3) return param(`w${pick(3)}`, shape);
          inputs.push(input(`x${inputs.length}`, shape));
          return inputs.at(-1)!;
        };
        const graph = output("random", inputs, nest(pick, b, leaf).value);
        const needed = graphOf(
          "random",
          [
            ...new Set(
              nodesOf(graph)
                .filter(({ op }) => op === "input")
                .map((n) => n.results[0]!),
            ),
          ],
          [["y", graph.outputs[0]!.value]],
        );
        const after = run(arena, needed);
        if (after.graph !== needed) changed++;
        expectEqual(needed, after.graph);
        const operands = nodesOf(needed).reduce(
          (sum, { op, operands: xs }) => sum + (op === "contract" ? xs.length - 1 : 0),
          1,
        );
        expect(flops(after.graph)).toBeLessThanOrEqual(flops(needed));
        // Weights that are used once more or less are worth something else.
        if (operands <= 12 && !nodesOf(needed).some(({ op }) => op === "param")) {
          expect(printGraph(run(arena, after.graph).graph)).toBe(after.text);
          small++;
        }
      }),
      { numRuns: 400, seed: 3 },
    );
    expect(changed).toBeGreaterThan(50);
    expect(small).toBeGreaterThan(50);
  });
});

it("takes a chain of ten thousand products", () => {
  const { arena, b, input } = setup();
  let value = input("x", [symbol("n"), 4]);
  const inputs = [value];
  for (let i = 0; i < 10_000; i++) {
    const next = i < 50 ? input(`w${i}`, [4, 4]) : inputs[1 + (i % 50)]!;
    if (i < 50) inputs.push(next);
    value = b.contract(value, next, { spec: "n i, i j -> n j" });
  }
  const graph = output("deep", inputs, value);
  const after = reassociate.run(graph, contextFor(arena)) as Graph;
  expect(nodesOf(after).length).toBeLessThan(nodesOf(graph).length);
});

describe("sizes nobody gave", () => {
  const [batch, seq, samples] = ["batch", "seq", "n"].map(symbol) as [Dim, Dim, Dim];
  const frames = sub(floorDiv(sub(samples, 127), 384), 1);

  it.each([
    ["a sequence is a few hundred long", [seq], { seq: 512 }],
    ["a batch is one", [batch, seq], { batch: 1, seq: 512 }],
    ["samples are as many as make frames a few hundred", [seq, frames], { seq: 512, n: 2 ** 18 }],
    ["a length that is cut into blocks is a length", [seq, floorDiv(seq, 64)], { seq: 512 }],
    ["windows over two lengths", [floorDiv(add(samples, seq), 64)], { n: 2 ** 15, seq: 512 }],
  ] as const)("%s", (_, dims, sizes) => {
    expect(Object.fromEntries(assumedSizes(dims, Object.keys(sizes)))).toEqual(sizes);
  });
});
