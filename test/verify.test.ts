import { describe, expect, test } from "vitest";
import encoder from "../models/encoder.ts";
import linearAttention from "../models/linear-attention.ts";
import { checkAgainst } from "../src/check.ts";
import { compile } from "../src/compile.ts";
import { input, model } from "../src/index.ts";
import { Arena } from "../src/ir/arena.ts";
import { parseGraph } from "../src/ir/parse.ts";
import { fromNumbers } from "../src/ir/tensor.ts";
import type { Pass } from "../src/passes/pass.ts";
import { verify } from "../src/verify.ts";
import { sizesPastBranches, sizesToTry } from "../src/verify-sizes.ts";
import { breaking, harmless, planted, slightlyWrong } from "./support/planted.ts";

const small = { layers: 1, d: 16, heads: 2, ffn: 24, vocab: 11 };

describe("verify", () => {
  test("a sound pipeline is equal after every pass and at every level", async () => {
    const { runs, guilty, skipped } = await verify(encoder, { settings: small });
    expect(guilty).toBeUndefined();
    expect(skipped).toEqual([]);
    expect(runs).toHaveLength(7);
    for (const { dims, stages } of runs) {
      if (Object.values(dims).includes(0) || dims.seq === 131) continue;
      expect(stages.filter(({ equal }) => !equal)).toEqual([]);
      expect(stages.slice(-4).map(({ stage }) => stage)).toEqual(
        ["disabled", "basic", "extended", "all"].map((level) => `ONNX Runtime, ${level}`),
      );
    }
  });

  test("names the pass that changes results, not those before and after", async () => {
    const { guilty, runs } = await verify(linearAttention, {
      settings: { d: 8 },
      passes: ["canonicalise", harmless, slightlyWrong, "canonicalise"],
    });
    expect(guilty?.stage).toBe("slightly-wrong");
    for (const { dims, stages } of runs) {
      if (dims.seq === 0) continue;
      expect(stages.find(({ stage }) => stage === "harmless")?.equal).toBe(true);
      expect(stages.find(({ stage }) => stage === "slightly-wrong")?.equal).toBe(false);
    }
  });

  test("fixed sizes are tried as they are", async () => {
    const fixed = model("fixed", {}, () => ({ y: input("x", "f32", [3, 5]).mul(2) }));
    expect((await verify(fixed)).runs.map(({ dims }) => dims)).toEqual([{}]);
  });

  const ofTable = async (places: string) => {
    const text = `graph @m(%x: f32[n, 4]) {
      %table: f32[20, 4] = param() {name = "table"}
      %counted: i64[n] = iota() {size = n}
      %back: i64[n] = neg(%counted)
      %places: i64[n] = ${places}
      %rows: f32[n, 4] = gather(%table, %places)
      %y: f32[n, 4] = add(%x, %rows)
      return %y
    }`;
    const arena = new Arena();
    const { guilty, runs, skipped } = await verify({ graph: parseGraph(text, arena), arena });
    expect(guilty).toBeUndefined();
    return { sizes: runs.slice(0, 4).map(({ dims }) => dims.n), skipped };
  };

  test("sizes past the end of a table are halved", async () => {
    expect(await ofTable("add(%counted, %counted)")).toEqual({ sizes: [1, 9, 8, 0], skipped: [] });
  });

  test("sizes past the end of a table are left out where what is read is not known", async () => {
    expect(await ofTable("neg(%back)")).toEqual({ sizes: [1, 17, 15, 0], skipped: [{ n: 33 }] });
  });

  test("sizes at which the reference takes too long are refused", async () => {
    const dims = new Map([["seq", 40_000]]);
    await expect(verify(linearAttention, { dims })).rejects.toMatchObject({ code: "QKV513", exitCode: 3 });
  });

  test("sizes are one, then odd ones, different for different names", () => {
    const sizes = sizesToTry(encoder.build(small).graph);
    expect(Object.fromEntries(sizes[0]!)).toEqual({ batch: 1, seq: 1 });
    expect(new Set(sizes.map((dims) => dims.get("seq"))).size).toBe(sizes.length);
  });
});

describe("queries that see nothing, whose softmax is no number", () => {
  const text = `graph @m(%q: f32[2, 8], %k: f32[3, 8], %v: f32[3, 8], %keep: bool[2, 3]) {
    %s: f32[2, 3] = contract(%q, %k) {spec = "q d, k d -> q k"}
    %masked: f32[2, 3] = select(%keep, %s, -inf)
    %p: f32[2, 3] = softmax(%masked) {axis = -1}
    %y: f32[2, 8] = contract(%p, %v) {spec = "q k, k d -> q d"}
    return %y
  }`;
  const ofShape = (dims: readonly number[]) =>
    fromNumbers(
      "f32",
      dims,
      Float64Array.from({ length: dims[0]! * dims[1]! }, (_, i) => Math.sin(i)),
    );
  const feeds = new Map([
    ["q", ofShape([2, 8])],
    ["k", ofShape([3, 8])],
    ["v", ofShape([3, 8])],
    ["keep", fromNumbers("bool", [2, 3], [0, 0, 0, 1, 0, 1])],
  ]);
  const verified = async (passes?: readonly Pass[]) => {
    const arena = new Arena();
    return verify({ graph: parseGraph(text, arena), arena }, { feeds, ...(passes && { passes }) });
  };

  test("may be cleared by a kernel, and are then compared no further", async () => {
    const { guilty, runs } = await verified();
    expect(guilty).toBeUndefined();
    expect(runs[0]!.stages.map(({ stage }) => stage)).toContain("fuse-attention");
    for (const { maxUlpError } of runs[0]!.stages) expect(maxUlpError).not.toBeNaN();
  });

  test("are tried in the runtime too, where the declared graph gives numbers there", async () => {
    const arena = new Arena();
    const graph = parseGraph(
      `graph @m(%s: f32[b, n, n], %mask: i64[b, n]) {
        %keep: bool[b, n] = cast(%mask) {to = bool}
        %row: bool[b, 1, n] = reshape(%keep) {shape = [b, 1, n]}
        %masked: f32[b, n, n] = select(%row, %s, -3e38)
        %p: f32[b, n, n] = softmax(%masked) {axis = -1}
        return %p
      }`,
      arena,
    );
    expect((await verify({ graph, arena }, { passes: ["canonicalise"] })).guilty).toBeUndefined();
    const { guilty } = await verify({ graph, arena }, { passes: [planted.hiddenTwice] });
    expect(guilty).toMatchObject({ stage: "ONNX Runtime, disabled", index: null });
  });

  test("may not be cleared by a pass", async () => {
    expect((await verified([planted.nanForgotten])).guilty).toMatchObject({ rule: "nan-forgotten" });
  });
});

describe("the rewrite to blame", () => {
  const blamed = async (text: string, ...passes: readonly (Pass | string)[]) => {
    const arena = new Arena();
    const graph = parseGraph(text, arena, { file: "planted.ir" });
    return (await verify({ graph, arena }, { passes })).guilty;
  };

  test("is found among many of its rule, in a pipeline, with the name and place of its node", async () => {
    const text = `graph @m(%x: f32[n, 5]) {
      %square: f32[n, 5] = mul(%x, %x)
      %a: f32[n, 5] = abs(%square)
      %e: f32[n, 5] = exp(%a)
      %b: f32[n, 5] = abs(%e)
      %shifted: f32[n, 5] = add(%x, -0.25)
      %distance: f32[n, 5] = abs(%shifted)
      %sum: f32[n, 5] = add(%b, %distance)
      %y: f32[n, 5] = abs(%sum)
      return %y
    }`;
    const guilty = await blamed(text, "canonicalise", planted.absOfAnything, "canonicalise");
    expect(guilty).toMatchObject({
      stage: "planted-abs-of-anything",
      index: 1,
      rule: "abs-of-anything",
      node: { op: "abs", name: "distance", location: { file: "planted.ir", line: 7 } },
      rewrite: { number: 3, total: 4 },
    });
  });

  test("shows where only masks that hide, small rows or weights other than zero can tell", async () => {
    const attention = `graph @m(%q: f32[b, 2, n, 4], %k: f32[b, 2, n, 4], %v: f32[b, 2, n, 4], %mask: bool[b, 1, 1, n]) {
      %y: f32[b, 2, n, 4] = attention(%q, %k, %v, %mask) {scale = 0.5}
      return %y
    }`;
    expect(await blamed(attention, planted.maskForgotten)).toMatchObject({
      rule: "mask-forgotten",
      node: { name: "y" },
    });
    const norm = `graph @m(%x: f32[n, 8], %g: f32[8]) {
      %y: f32[n, 8] = rmsNorm(%x, %g) {epsilon = 1e-6}
      return %y
    }`;
    expect(await blamed(norm, planted.epsilonForgotten)).toMatchObject({ rule: "epsilon-forgotten" });
    const bias = `graph @m(%x: f32[n, 8]) {
      %bias: f32[8] = param() {name = "bias", init = "zeros"}
      %y: f32[n, 8] = add(%x, %bias)
      return %y
    }`;
    expect(await blamed(bias, planted.biasForgotten)).toMatchObject({ rule: "bias-forgotten", node: { op: "add" } });
  });

  test("shows where only a size of nothing can tell", async () => {
    const text = `graph @m(%x: f32[n, past]) {
      %most: f32[n, 1] = reduceMax(%x) {axes = [-1], keepDims = true}
      %y: f32[n, 1] = neg(%most)
      return %y
    }`;
    expect(await blamed(text, planted.nothingForgotten)).toMatchObject({
      rule: "nothing-forgotten",
      dims: { n: 3, past: 0 },
    });
  });

  test("shows where only integers that are no mask, or positions further on, can tell", async () => {
    const integers = `graph @m(%x: i64[n, 3]) {
      %low: i8[n, 3] = cast(%x) {to = i8}
      %y: i64[n, 3] = cast(%low) {to = i64}
      return %y
    }`;
    expect(await blamed(integers, planted.bytesForgotten)).toMatchObject({ rule: "bytes-forgotten", dims: { n: 17 } });
    const positions = `graph @m(%x: f32[n]) {
      %place: i64[n] = iota() {size = n}
      %near: i64[n] = min(%place, 100)
      %y: f32[n] = cast(%near) {to = f32}
      %z: f32[n] = add(%x, %y)
      return %z
    }`;
    expect(await blamed(positions, planted.farForgotten)).toMatchObject({ rule: "far-forgotten", dims: { n: 131 } });
  });

  const plain = `graph @m(%x: f32[n, 3]) {
    %y: f32[n, 3] = mul(%x, %x)
    return %y
  }`;

  test("is the only rule of a pass that does not ask", async () => {
    expect(await blamed(plain, slightlyWrong)).toMatchObject({ stage: "slightly-wrong", rule: "slightly-wrong" });
  });

  test("is one that throws", async () => {
    const integers = `graph @m(%x: i64[n, 3], %z: f32[n, 3]) {
      %a: f32[n, 3] = max(%z, 0)
      %b: i64[n, 3] = max(%x, 0)
      return %a, %b
    }`;
    expect(await blamed(integers, planted.reluOfAnything)).toMatchObject({
      stage: "planted-relu-of-anything",
      rule: "relu-of-anything",
      node: { op: "max", name: "b" },
      rewrite: { number: 2, total: 2 },
    });
  });

  test("a pass that breaks off is a stage that fails", async () => {
    const arena = new Arena();
    const { guilty, runs } = await verify({ graph: parseGraph(plain, arena), arena }, { passes: [harmless, breaking] });
    expect(guilty).toMatchObject({ stage: "breaking", index: 1 });
    expect(runs[0]?.stages.map(({ stage, error }) => [stage, error])).toEqual([
      ["harmless", undefined],
      ["breaking", "out of ideas"],
    ]);
  });
});

test("sizes past a branch are tried once for each choice", async () => {
  const arena = new Arena();
  const text = `graph @m(%q: f32[b, 2, n, 4], %k: f32[b, 2, n, 4], %v: f32[b, 2, n, 4]) {
    %y: f32[b, 2, n, 4] = attention(%q, %k, %v) {scale = 0.5, mask = "Math.abs(q - k) <= 100"}
    return %y
  }`;
  const graph = parseGraph(text, arena);
  const compiled = await compile({ graph, arena });
  expect(sizesPastBranches(graph, graph, sizesToTry(graph))).toEqual([]);
  const past = sizesPastBranches(graph, compiled.graph, sizesToTry(graph));
  expect(past.map((dims) => dims.get("b"))).toEqual([1]);
  expect(past[0]!.get("n")).toBeGreaterThan(100);
});

describe("the check before a file is written", () => {
  const build = async (passes?: Parameters<typeof compile>[1]) => {
    const declared = linearAttention.build({ d: 8 });
    return [await compile(declared, { naive: true }), await compile(declared, passes)] as const;
  };

  test("passes what is right", async () => {
    const [naive, compiled] = await build();
    expect(await checkAgainst(naive, compiled)).toBe(true);
  });

  test("refuses what is wrong", async () => {
    const [naive, compiled] = await build({ passes: [slightlyWrong] });
    await expect(checkAgainst(naive, compiled)).rejects.toMatchObject({ code: "QKV506", exitCode: 4 });
  });

  test("is left out where sizes are frozen too large", async () => {
    const declared = linearAttention.build({ d: 8 });
    const dims = new Map([["seq", 40_000]]);
    const naive = await compile(declared, { naive: true, dims });
    expect(await checkAgainst(naive, await compile(declared, { dims }))).toBe(false);
  });
});
