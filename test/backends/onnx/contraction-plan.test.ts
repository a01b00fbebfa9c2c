import { describe, expect, it } from "vitest";
import { Arena, graphOf } from "../../../src/ir/arena.ts";
import { parseSpec } from "../../../src/ir/contraction.ts";
import { type Dim, symbol } from "../../../src/ir/dim.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import { check, count, ortCpu, standard, tensor } from "./support/check.ts";

const sizes: Readonly<Record<string, number>> = {
  b: 2,
  h: 3,
  q: 5,
  k: 7,
  d: 4,
  e: 6,
  g: 2,
  i: 3,
  j: 5,
  l: 4,
  m: 3,
  n: 6,
  s: 5,
  t: 3,
  o: 1,
  p: 1,
};

interface Options {
  readonly contrib?: boolean;
  /** Labels with symbolic sizes; `all` makes every label one. */
  readonly symbolic?: string;
  /** Operands that are parameters. */
  readonly weights?: readonly number[];
  readonly dtype?: DType;
  readonly levels?: Parameters<typeof check>[4] extends infer O ? (O extends { levels?: infer L } ? L : never) : never;
}

async function contractModel(spec: string, options: Options = {}) {
  const { symbolic = "", weights = [], dtype = "f32", contrib = false } = options;
  const arena = new Arena();
  const { operands } = parseSpec(spec);
  const dim = (label: string): Dim => (symbolic === "all" || symbolic.includes(label) ? symbol(label) : sizes[label]!);
  const feeds = new Map<string, ReturnType<typeof tensor>>();
  const params = new Map<string, ReturnType<typeof tensor>>();
  const values = operands.map((labels, i) => {
    const data = tensor(
      dtype,
      labels.map((label) => sizes[label]!),
      i + 1,
    );
    if (weights.includes(i)) {
      params.set(`w${i}`, data);
      return arena.build.param({ name: `w${i}`, dtype, shape: data.dims });
    }
    feeds.set(`x${i}`, data);
    return arena.build.input({ name: `x${i}`, dtype, shape: labels.map(dim) });
  });
  const out = arena.build.contract(...values, { spec });
  const inputs = values.filter((value) => value.node.op === "input");
  return check(arena, graphOf("g", inputs, [["y", out]]), feeds, contrib ? ortCpu() : standard(), {
    weights: params,
    levels: options.levels ?? ["disabled", "all"],
    tolerance: dtype === "f32" ? 5e-6 : 0,
  });
}

/** spec, transposes in standard ONNX, transposes with com.microsoft. */
const table: readonly [spec: string, standard: number, contrib: number][] = [
  // matrices
  ["i j, j k -> i k", 0, 0],
  ["i j, j k -> k i", 0, 0],
  ["j i, j k -> i k", 0, 0],
  ["j i, j k -> k i", 0, 0],
  ["i j, k j -> i k", 0, 0],
  ["i j, k j -> k i", 0, 0],
  ["j i, k j -> i k", 0, 0],
  ["j i, k j -> k i", 0, 0],
  // vectors
  ["i, i ->", 0, 0],
  ["i j, j -> i", 0, 0],
  ["j i, j -> i", 0, 0],
  ["j, j i -> i", 0, 0],
  ["i, j -> i j", 0, 0],
  ["i, j -> j i", 0, 0],
  ["b i, b i -> b", 0, 0],
  // linear layers
  ["b s i, i o -> b s o", 0, 0],
  ["b s d, d e -> b s e", 0, 0],
  ["b s d, e d -> b s e", 0, 0],
  ["b s d, d h e -> b s h e", 0, 0],
  ["b s d, h e d -> b s h e", 0, 0],
  ["b s h e, h e d -> b s d", 0, 0],
  ["d s, e d -> e s", 0, 0],
  ["b d s, e d -> b e s", 0, 0],
  ["b s d, d e -> b e s", 1, 0],
  // attention
  ["b h q d, b h k d -> b h q k", 1, 0],
  ["b h q k, b h k d -> b h q d", 0, 0],
  ["b h q d, b h d k -> b h q k", 0, 0],
  ["b h d q, b h d k -> b h q k", 1, 0],
  ["b h d q, b h d k -> b h k q", 1, 0],
  ["b h q d, b h k d -> b h k q", 1, 0],
  ["b h k q, b h k d -> b h q d", 1, 0],
  ["b h d k, b h q k -> b h d q", 1, 0],
  ["b h d k, b h k q -> b h d q", 0, 0],
  ["b h k d, b h k e -> b h d e", 1, 0],
  ["b h q d, b h d e -> b h q e", 0, 0],
  ["b h g q d, b h k d -> b h g q k", 1, 0],
  ["b h g q k, b h k d -> b h g q d", 0, 0],
  ["b q h d, b k h d -> b h q k", 2, 2],
  ["b h q k, b k h d -> b q h d", 2, 2],
  ["b h q k, b k h d -> b h q d", 1, 1],
  ["q d, k d -> q k", 0, 0],
  ["d q, d k -> q k", 0, 0],
  ["d k, k q -> d q", 0, 0],
  // element-wise and outer
  ["b i, b i -> b i", 0, 0],
  ["b i, i -> b i", 0, 0],
  ["b i, b -> b i", 0, 0],
  ["b i, i b -> b i", 1, 1],
  ["b i, b j -> b i j", 0, 0],
  ["b i, b j -> b j i", 0, 0],
  ["i, j b -> b i j", 1, 1],
  // several summed labels, several of each kind
  ["i j k, j k l -> i l", 0, 0],
  ["i j k, k j l -> i l", 1, 1],
  ["b i j k, b l j k -> b i l", 1, 0],
  ["i j k, k l -> i j l", 0, 0],
  ["i j k, k l m -> i j l m", 0, 0],
  ["k i j, k l m -> i j l m", 0, 0],
  ["b h i k, b h k j -> b h i j", 0, 0],
  ["g b h i k, g b h k j -> g b h i j", 0, 0],
  // sums on one side
  ["i j, k l -> i k", 0, 0],
  ["b i j, j k l -> b i k", 0, 0],
  ["i j, j ->", 0, 0],
  // axes of size 1
  ["o h q d, o h k d -> o h q k", 1, 0],
  ["o q h d, o k h d -> o h q k", 2, 2],
];

describe("transposes per contraction", () => {
  it.each(table)("%s", async (spec, least, contribLeast) => {
    const plain = await contractModel(spec);
    expect(count(plain, "Einsum")).toBe(0);
    expect(count(plain, "Transpose"), "standard").toBe(least);
    const contrib = await contractModel(spec, { contrib: true });
    expect(count(contrib, "Transpose"), "com.microsoft").toBe(contribLeast);
  });
  it.each(table)("%s with symbolic sizes", async (spec, least) => {
    const model = await contractModel(spec, { symbolic: "all", levels: ["disabled"] });
    expect(count(model, "Transpose")).toBe(least);
  });
  it.each(table)("%s with a weight costs no transposition of it", async (spec, least) => {
    const model = await contractModel(spec, { weights: [1], levels: ["disabled"] });
    expect(count(model, "Transpose")).toBeLessThanOrEqual(Math.max(0, least));
  });
});

it("transposes move blocks where they can", async () => {
  // Relative positions of SAM: a table for each row of an image.
  const model = await contractModel("b h q d, h k d -> b h q k", { contrib: true, symbolic: "b" });
  const perms = model.graph.nodes
    .filter(({ opType }) => opType === "Transpose")
    .map(({ attributes }) => (attributes.get("perm") as { readonly value: readonly number[] }).value);
  expect(perms).toEqual([
    [1, 0, 2, 3],
    [1, 0, 2, 3],
  ]);
});

describe("other contractions", () => {
  const specs = [
    "i i -> i",
    "i i ->",
    "b i i j -> b j i",
    "i i, i j -> j",
    "i j, j k, k l -> i l",
    "b q d, b k d, b k e -> b q e",
    "i, i, i -> i",
    "i j k -> k i",
    "i j k -> j",
    "i j -> i j",
    "i j, i j, i j ->",
    "b i j, j j -> b i",
  ];
  it.each(specs)("%s", async (spec) => {
    for (const contrib of [false, true]) await contractModel(spec, { contrib });
    await contractModel(spec, { symbolic: "all" });
    await contractModel(spec, { weights: [0, 1, 2].slice(0, parseSpec(spec).operands.length) });
  });
  it.each(["i64", "i32", "i8", "u8"] as const)("of %s", async (dtype) => {
    for (const spec of ["i j, j k -> i k", "b h q d, b h k d -> b h q k", "i j, i j -> i j"])
      await contractModel(spec, { dtype, contrib: true });
  });
  it("is right for random specs", async () => {
    let state = 7;
    const next = (n: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 8) % n;
    };
    const letters = ["b", "i", "j", "k", "l", "o"];
    for (let round = 0; round < 150; round++) {
      const pick = () => {
        const chosen = letters.filter(() => next(2) === 0);
        return chosen.sort(() => next(3) - 1);
      };
      const [a, b] = [pick(), pick()];
      const union = [...new Set([...a, ...b])];
      const result = union.filter(() => next(3) > 0).sort(() => next(3) - 1);
      const spec = `${a.join(" ")}, ${b.join(" ")} -> ${result.join(" ")}`;
      await contractModel(spec, {
        contrib: round % 2 === 0,
        symbolic: round % 3 === 0 ? "all" : "b",
        weights: round % 3 !== 0 && !b.includes("b") ? [1] : [],
        levels: ["disabled"],
      });
    }
  });
});
