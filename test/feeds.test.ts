import { describe, expect, test } from "vitest";
import { checkDims, completeDims, dimsOfFeeds, randomFeeds, symbolsIn } from "../src/feeds.ts";
import { cast, concat, embedding, input, model, param, reshape, transpose } from "../src/index.ts";
import { Arena, graphOf } from "../src/ir/arena.ts";
import { add, floorDiv, mul, sub, symbol } from "../src/ir/dim.ts";
import type { Value } from "../src/ir/graph.ts";
import { fromNumbers, toFloat64 } from "../src/ir/tensor.ts";

const tokens = model("tokens", { vocab: 7 }, ({ vocab }) => {
  const ids = input("ids", "i64", ["batch", "seq"]);
  const mask = input("mask", "i64", ["batch", "seq"]);
  const x = input("x", "f32", ["batch", "seq", 4]);
  const seen = input("seen", "bool", ["batch", "seq"]);
  return { y: embedding(ids, vocab, 4, { name: "table" }).add(x), m: cast(mask, "f32"), s: cast(seen, "f32") };
});
const { graph } = tokens.build();
const sizes = new Map([
  ["batch", 3],
  ["seq", 65],
]);

describe("random feeds", () => {
  const feeds = randomFeeds(graph, sizes, 0);

  test("indices stay within what they index and reach all of it", () => {
    const ids = toFloat64(feeds.get("ids")!);
    expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < 7)).toBe(true);
    expect(new Set(ids).size).toBe(7);
  });

  test("other integers and bools are zeros and ones, with something seen in every row", () => {
    for (const name of ["mask", "seen"]) {
      const mask = toFloat64(feeds.get(name)!);
      expect(mask.every((bit) => bit === 0 || bit === 1)).toBe(true);
    }
    const mask = toFloat64(feeds.get("mask")!);
    for (let row = 0; row < 3; row++) expect(mask.subarray(row * 65, (row + 1) * 65)).toContain(1);
  });

  test("floats are about normal", () => {
    const x = toFloat64(feeds.get("x")!);
    const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
    const variance = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
    expect(Math.abs(mean)).toBeLessThan(0.2);
    expect(Math.abs(variance - 1)).toBeLessThan(0.3);
  });

  test("depend on the seed and on nothing else", () => {
    expect(randomFeeds(graph, sizes, 0)).toEqual(feeds);
    expect(randomFeeds(graph, sizes, 1).get("x")).not.toEqual(feeds.get("x"));
  });

  test("the smallest table indexed is the limit, through movement", () => {
    const { graph: two } = model("two", {}, () => {
      const ids = input("ids", "i64", [2, "n"]);
      const wide = embedding(ids, 100, 2, { name: "wide" });
      const narrow = embedding(transpose(ids), 3, 2, { name: "narrow" });
      return { wide, narrow };
    }).build();
    const ids = toFloat64(randomFeeds(two, new Map([["n", 40]]), 0).get("ids")!);
    expect(Math.max(...ids)).toBe(2);
  });

  test("through reshape and concat", () => {
    const { graph: joined } = model("joined", {}, () => {
      const a = input("a", "i64", [2, 8]);
      const b = input("b", "i32", [16]);
      return { y: embedding(concat([reshape(a, [16]), cast(b, "i64")], 0), 5, 2, { name: "t" }) };
    }).build();
    const feeds = randomFeeds(joined, new Map(), 3);
    for (const name of ["a", "b"]) expect(Math.max(...toFloat64(feeds.get(name)!))).toBeLessThan(5);
  });

  test("sizes of one and of none", () => {
    const empty = new Map([
      ["batch", 1],
      ["seq", 0],
    ]);
    expect(randomFeeds(graph, empty, 0).get("x")!.dims).toEqual([1, 0, 4]);
  });
});

describe("dims", () => {
  test("are those of the inputs, in their order", () => {
    expect(symbolsIn(graph)).toEqual(["batch", "seq"]);
  });

  test("not given are 1 for a batch and 128 for others", () => {
    expect([...completeDims(graph, new Map())]).toEqual([
      ["batch", 1],
      ["seq", 128],
    ]);
    expect(completeDims(graph, new Map([["seq", 5]])).get("seq")).toBe(5);
  });

  test.each(["sequence", "constructor", "__proto__"])("there is no %s", (name) => {
    const given = new Map([[name, 1]]);
    expect(() => checkDims(graph, given)).toThrow(
      expect.objectContaining({ code: "QKV504", details: { help: "it has batch, seq" } }),
    );
  });

  test("a graph of fixed sizes says so", () => {
    const { graph: fixed } = model("fixed", {}, () => ({ y: input("x", "f32", [2]).mul(param("w", [2])) })).build();
    expect(() => checkDims(fixed, new Map([["seq", 1]]))).toThrow(
      expect.objectContaining({ details: { help: "all its dimensions are fixed" } }),
    );
  });
});

describe("dims of given inputs", () => {
  const { graph: pair } = model("pair", {}, () => {
    const a = input("a", "f32", ["n", 2]);
    const b = input("b", "f32", ["n"]);
    return { y: a.mul(2), z: b.mul(2) };
  }).build();
  const f32 = (dims: readonly number[]) => fromNumbers("f32", dims, new Float64Array(dims.reduce((x, y) => x * y, 1)));

  test("are read off them", () => {
    expect(
      dimsOfFeeds(
        pair,
        new Map([
          ["a", f32([5, 2])],
          ["b", f32([5])],
        ]),
      ),
    ).toEqual(new Map([["n", 5]]));
  });

  const given = new Map([["n", 4]]);
  test.each([
    ["one missing", { a: f32([5, 2]) }, undefined, "QKV240"],
    ["one too many", { a: f32([5, 2]), b: f32([5]), c: f32([1]) }, undefined, "QKV241"],
    ["two sizes for one name", { a: f32([5, 2]), b: f32([4]) }, undefined, "QKV242"],
    ["another rank", { a: f32([5]), b: f32([5]) }, undefined, "QKV242"],
    ["another fixed size", { a: f32([5, 3]), b: f32([5]) }, undefined, "QKV242"],
    ["another element type", { a: f32([5, 2]), b: fromNumbers("i64", [5], new Float64Array(5)) }, undefined, "QKV242"],
    ["sizes given that are others", { a: f32([5, 2]), b: f32([5]) }, given, "QKV242"],
    ["a name that is none", { a: f32([5, 2]), b: f32([5]) }, new Map([["m", 5]]), "QKV504"],
  ] as const)("%s", (_, feeds, sizes, code) => {
    expect(() => dimsOfFeeds(pair, new Map(Object.entries(feeds)), sizes)).toThrow(expect.objectContaining({ code }));
  });
});

describe("sizes", () => {
  const sounds = () => {
    const arena = new Arena();
    const x = arena.build.input({ name: "x", dtype: "f32", shape: ["batch", "n"].map(symbol) });
    const left = add(floorDiv(sub(symbol("n"), 200), 64), 1);
    const dims = [symbol("batch"), left];
    const [y] = arena.node("opaque", [x], { code: "", dtypes: "f32", ranks: [2], dims }).results;
    return graphOf("sounds", [x], [["y", y!]]);
  };

  test("are doubled where a window would leave nothing, unless they are given", () => {
    const windowed = sounds();
    expect(Object.fromEntries(completeDims(windowed, new Map()))).toEqual({ batch: 1, n: 256 });
    expect(Object.fromEntries(completeDims(windowed, new Map([["n", 100]])))).toEqual({ batch: 1, n: 100 });
  });

  test("are halved where a table is shorter than what is read of it, unless they are given", () => {
    const arena = new Arena();
    const b = arena.build;
    const ids = b.input({ name: "ids", dtype: "i64", shape: ["seq"].map(symbol) });
    const table = (rows: number) => b.param({ name: `table${rows}`, dtype: "f32", shape: [rows, 2] });
    const counted = b.add(b.iota({ size: symbol("seq") }), b.scalar(2, "i64"));
    const tokens = b.mul(
      b.cumsum(b.cast(b.less(b.scalar(0, "i64"), ids), { to: "i64" }), { axis: 0 }),
      b.scalar(1, "i64"),
    );
    const mask = b.input({ name: "attention_mask", dtype: "i64", shape: ["seq"].map(symbol) });
    const real = b.sub(b.cumsum(mask, { axis: 0 }), b.scalar(1, "i64"));
    const limited = (y: Value) =>
      Object.fromEntries(completeDims(graphOf("limited", [ids, mask], [["y", y]]), new Map()));
    expect(limited(b.gather(table(64), real, { axis: 0 }))).toEqual({ seq: 64 });
    expect(limited(b.gather(table(66), counted, { axis: 0 }))).toEqual({ seq: 64 });
    expect(limited(b.gather(table(65), counted, { axis: 0 }))).toEqual({ seq: 32 });
    expect(limited(b.gather(table(33), tokens, { axis: 0 }))).toEqual({ seq: 32 });
    expect(limited(b.slice(table(50), { axis: 0, start: 0, end: symbol("seq") }))).toEqual({ seq: 32 });
    expect(limited(b.gather(table(1), ids, { axis: 0 }))).toEqual({ seq: 128 });
    const cut = graphOf("cut", [ids], [["y", b.slice(table(50), { axis: 0, start: 0, end: symbol("seq") })]]);
    expect(completeDims(cut, new Map([["seq", 60]])).get("seq")).toBe(60);
  });

  const maskOfPairs = (flat: boolean) => {
    const arena = new Arena();
    const b = arena.build;
    const [batch, rows, past, seq, total] = ["batch", "rows", "past", "seq", "total"].map(symbol);
    const length = add(past!, seq!);
    const mask = b.input({ name: "mask", dtype: "bool", shape: [rows!, total!] });
    const ids = b.input({ name: "ids", dtype: "i64", shape: [batch!, seq!] });
    const cache = b.input({ name: "cache", dtype: "f32", shape: [batch!, past!] });
    const key = b.reshape(b.iota({ size: length }), { shape: [1, length] });
    if (!flat) return graphOf("sliced", [mask, ids, cache], [["y", b.slice(mask, { axis: 1, start: 0, end: length })]]);
    const sentence = b.reshape(b.iota({ size: batch! }), { shape: [batch!, 1] });
    const at = b.add(b.mul(sentence, b.size({ of: total! })), key);
    const wrapped = b.select(b.less(at, b.scalar(0, "i64")), b.add(at, b.size({ of: total! })), at);
    const all = b.reshape(mask, { shape: [mul(rows!, total!)] });
    return graphOf("pairs", [mask, ids, cache], [["y", b.gather(all, wrapped, { axis: 0 })]]);
  };

  test.each([
    ["a slice", false, {}, { batch: 1, rows: 128, past: 128, seq: 128, total: 256 }],
    ["sentences by keys", true, {}, { batch: 1, rows: 128, past: 128, seq: 128, total: 256 }],
    ["more sentences", true, { batch: 130, past: 1, seq: 1 }, { batch: 130, rows: 130, past: 1, seq: 1, total: 128 }],
    ["no past", true, { past: 0 }, { batch: 1, rows: 128, past: 0, seq: 128, total: 128 }],
    ["a length given", true, { total: 100, past: 60 }, { batch: 1, rows: 128, past: 60, seq: 32, total: 100 }],
  ])("grow where a mask is shorter than what is read of it: %s", (_, flat, given, sizes) => {
    expect(Object.fromEntries(completeDims(maskOfPairs(flat), new Map(Object.entries(given))))).toEqual(sizes);
  });

  test("lead by one sentence where a name says nothing", () => {
    const unnamed = (...shapes: readonly (readonly string[])[]) =>
      model("unnamed", {}, () => {
        const all = shapes.map((shape, i) => input(`x${i}`, "f32", [...shape]));
        return Object.fromEntries(all.map((x, i) => [`y${i}`, x.mul(2)]));
      }).build().graph;
    const sizesOf = (...shapes: readonly (readonly string[])[]) =>
      Object.fromEntries(completeDims(unnamed(...shapes), new Map()));
    expect(sizesOf(["s23", "s27"], ["s23", "s31"])).toEqual({ s23: 1, s27: 128, s31: 128 });
    expect(sizesOf(["s23", "s27"], ["s23"])).toEqual({ s23: 128, s27: 128 });
    expect(sizesOf(["s23", "s23"])).toEqual({ s23: 128 });
    expect(sizesOf(["seq", "width"], ["ids.0", "ids.1"])).toEqual({ seq: 128, width: 128, "ids.0": 1, "ids.1": 128 });
  });

  test("are a second for samples of sound", () => {
    const { graph: wave } = model("wave", {}, () => ({ y: input("x", "f32", ["num_samples"]) })).build();
    expect(completeDims(wave, new Map()).get("num_samples")).toBe(16_000);
  });
});

test("position ids are the last positions there are", () => {
  const { graph: step } = model("step", {}, () => {
    const [at, mask] = [input("position_ids", "i64", ["b", "seq"]), input("mask", "i64", ["b", "all"])];
    return { at: cast(at, "f32"), seen: cast(mask, "f32") };
  }).build();
  const sizes = new Map([
    ["b", 2],
    ["seq", 2],
    ["all", 9],
  ]);
  expect([...toFloat64(randomFeeds(step, sizes, 0).get("position_ids")!)]).toEqual([7, 8, 7, 8]);
});

test("what branches index with what they read of the graph around stays within it", () => {
  const arena = new Arena();
  const { build: b } = arena;
  const ids = b.input({ name: "ids", dtype: "i64", shape: [50] });
  const go = b.input({ name: "go", dtype: "bool", shape: [] });
  const inner = b.input({ name: "inner", dtype: "i64", shape: [50] });
  const branch = (name: string, rows: number) =>
    graphOf(name, [inner], [["y", b.gather(b.param({ name, dtype: "f32", shape: [rows, 2] }), inner, { axis: 0 })]]);
  const choice = arena.node("if", [go, ids], { whenTrue: branch("wide", 90), whenFalse: branch("narrow", 5) });
  const feeds = randomFeeds(graphOf("choice", [go, ids], [["y", choice.results[0]!]]), new Map(), 0);
  expect(Math.max(...toFloat64(feeds.get("ids")!))).toBe(4);
  expect([...feeds.get("go")!.data]).toEqual([1]);
});
