import { describe, expect, test } from "vitest";
import { bindWeights } from "../../../src/backends/weights/bind-weights.ts";
import { memoryStore, type ParamSpec, type WeightStore } from "../../../src/backends/weights/store.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import { elementCount, fromNumbers, toFloat64 } from "../../../src/ir/tensor.ts";
import { errorOf } from "./temp-files.ts";

type Entry = readonly [name: string, dtype: DType, dims: readonly number[], values?: readonly number[]];

const store = (...entries: readonly Entry[]): WeightStore =>
  memoryStore(
    new Map(
      entries.map(([name, dtype, dims, values]) => [
        name,
        fromNumbers(dtype, dims, values ?? Array(elementCount(dims)).fill(1)),
      ]),
    ),
  );
const params = (...entries: readonly Entry[]): ParamSpec[] =>
  entries.map(([name, dtype, dims]) => ({ name, dtype, dims }));
const failure = (declared: ParamSpec[], weights: WeightStore) => errorOf(() => bindWeights(declared, weights));

describe("names", () => {
  test("as they are", () => {
    const bound = bindWeights(params(["a.w", "f32", [2]]), store(["a.w", "f32", [2], [3, 4]]));
    expect([...bound.read("a.w").data]).toEqual([3, 4]);
    expect(bound.prefix).toBeUndefined();
    expect(bound.read("a.w")).toBe(bound.read("a.w"));
    expect(errorOf(() => bound.read("b")).code).toBe("QKV435");
  });

  test("a prefix only the weights have", () => {
    const bound = bindWeights(
      params(["h.0.w", "f32", [1]], ["h.1.w", "f32", [1]], ["lm_head.w", "f32", [1]]),
      store(
        ["transformer.h.0.w", "f32", [1], [5]],
        ["transformer.h.1.w", "f32", [1], [6]],
        ["lm_head.w", "f32", [1], [7]],
      ),
    );
    expect(bound.prefix).toEqual({ action: "add", prefix: "transformer." });
    expect(["h.0.w", "h.1.w", "lm_head.w"].map((name) => bound.read(name).data[0])).toEqual([5, 6, 7]);
    expect(bound.storedNames.get("h.0.w")).toBe("transformer.h.0.w");
  });

  test("a prefix only the model has", () => {
    const bound = bindWeights(params(["bert.x.w", "f32", [1]]), store(["x.w", "f32", [1], [5]]));
    expect(bound.prefix).toEqual({ action: "drop", prefix: "bert." });
    expect(bound.read("bert.x.w").data[0]).toBe(5);
  });

  test("norms by their older names, under a prefix too, where they have no others", () => {
    const declared = params(["e.LayerNorm.weight", "f32", [1]], ["e.LayerNorm.bias", "f32", [1]]);
    const older = [
      ["bert.e.LayerNorm.gamma", "f32", [1], [5]],
      ["bert.e.LayerNorm.beta", "f32", [1], [6]],
    ] as const;
    const bound = bindWeights(declared, store(...older));
    expect(declared.map(({ name }) => bound.read(name).data[0])).toEqual([5, 6]);
    expect(bound.storedNames.get("e.LayerNorm.bias")).toBe("bert.e.LayerNorm.beta");
    expect(bound.extra).toEqual([]);

    const both = bindWeights(declared, store(...older, ["bert.e.LayerNorm.weight", "f32", [1], [7]]));
    expect(both.read("e.LayerNorm.weight").data[0]).toBe(7);
    expect(both.extra).toEqual(["bert.e.LayerNorm.gamma"]);
    const own = bindWeights(params(["LayerNorm.gamma", "f32", [1]]), store(["LayerNorm.gamma", "f32", [1]]));
    expect(own.names()).toEqual(["LayerNorm.gamma"]);
  });

  test("two prefixes that fit equally well are a question, not a choice", () => {
    const weights = store(["encoder.0.w", "f32", [1], [1]], ["decoder.0.w", "f32", [1], [2]]);
    const error = failure(params(["0.w", "f32", [1]]), weights);
    expect(error.code).toBe("QKV430");
    expect(error.details.help).toMatch(/add "encoder\." or add "decoder\."/);
  });

  test("the prefix under which the shapes fit", () => {
    const weights = store(["small.w", "f32", [1]], ["large.w", "f32", [2]]);
    expect(bindWeights(params(["w", "f32", [2]]), weights).prefix).toEqual({ action: "add", prefix: "large." });
  });

  test("one stray name is no convention", () => {
    const weights = store(["a", "f32", [1]], ["b", "f32", [1]], ["pooler.weight", "f32", [1]]);
    const error = failure(params(["a", "f32", [1]], ["b", "f32", [1]], ["weight", "f32", [1]]), weights);
    expect(error.message).toMatch(/1 missing, 1 extra/);
  });

  test("no tensor is taken twice", () => {
    const error = failure(params(["x.w", "f32", [1]], ["w", "f32", [1]]), store(["w", "f32", [1]]));
    expect(error.message).toMatch(/1 missing/);
  });

  test("prototype names are names", () => {
    const bound = bindWeights(params(["__proto__", "f32", [1]]), store(["__proto__", "f32", [1], [2]]));
    expect(bound.read("__proto__").data[0]).toBe(2);
    expect(bound.has("constructor")).toBe(false);
  });
});

describe("one error lists everything", () => {
  test("missing, mismatched, transposed, extra, each with the nearest name", () => {
    const error = failure(
      params(
        ["layer.0.query.weight", "f32", [4, 4]],
        ["layer.0.mlp.weight", "f32", [4, 16]],
        ["layer.0.norm.weight", "f32", [4]],
        ["ids", "f32", [3]],
        ["fine", "f32", [1]],
      ),
      store(
        ["layer.0.querry.weight", "f16", [4, 4]],
        ["layer.0.mlp.weight", "f32", [16, 4]],
        ["layer.0.norm.weight", "f32", [5]],
        ["ids", "i64", [3]],
        ["fine", "f16", [1]],
        ["pooler.bias", "f32", [4]],
      ),
    );
    expect([error.code, error.exitCode]).toEqual(["QKV430", 2]);
    expect([error.message, ...(error.details.notes ?? [])].join("\n")).toMatchInlineSnapshot(`
      "the given tensors does not fit the model: 1 missing, 3 mismatched, 2 extra
      missing "layer.0.query.weight" f32[4, 4]; nearest is "layer.0.querry.weight" f16[4, 4]
      mismatched "layer.0.mlp.weight" f32[4, 16]; the weights have "layer.0.mlp.weight" f32[16, 4] (transposed: declare the parameter with the dims reversed)
      mismatched "layer.0.norm.weight" f32[4]; the weights have "layer.0.norm.weight" f32[5]
      mismatched "ids" f32[3]; the weights have "ids" i64[3]: i64 does not stand for f32
      extra "layer.0.querry.weight" f16[4, 4]
      extra "pooler.bias" f32[4]"
    `);
  });

  test("a missing tensor whose nearest is its transpose", () => {
    const [note] =
      failure(params(["c_attn.weight", "f32", [48, 16]]), store(["c_attn.weigth", "f32", [16, 48]])).details.notes ??
      [];
    expect(note).toMatch(/nearest is "c_attn\.weigth" f32\[16, 48\] \(transposed/);
  });

  test("layer 1 is not suggested for layer 10", () => {
    const [note] = failure(params(["1", "f32", [1]]), store(["10", "f32", [1]])).details.notes ?? [];
    expect(note).not.toMatch(/nearest/);
  });

  test("5,000 missing against 5,000 extra: all listed", () => {
    const declared = Array.from({ length: 5000 }, (_, i): Entry => [`encoder.layer.${i}.attention.query`, "f32", [1]]);
    const stored = Array.from({ length: 5000 }, (_, i): Entry => [`model.blocks.${i}.attn.q_proj.kernel`, "f32", [1]]);
    expect(failure(params(...declared), store(...stored)).details.notes?.length).toBe(10_000);
  });

  test("names of a hundred thousand dots", () => {
    const dots = ".".repeat(100_000);
    expect(failure(params([dots, "f32", [1]]), store([`${dots}x`, "f32", [1]])).code).toBe("QKV430");
  });
});

test("extra tensors are warned of", () => {
  const bound = bindWeights(params(["a", "f32", [1]]), store(["a", "f32", [1]], ["pooler", "f32", [1]]));
  expect(bound.extra).toEqual(["pooler"]);
  expect(bound.warnings()).toMatchObject([{ kind: "extra", names: ["pooler"] }]);
});

describe("values", () => {
  const read = (from: DType, to: DType, values: readonly number[]) => {
    const bound = bindWeights(params(["a", to, [values.length]]), store(["a", from, [values.length], values]));
    return { values: [...toFloat64(bound.read("a"))], warnings: bound.warnings().map(({ kind }) => kind) };
  };

  test.each<[DType, DType]>([
    ["f16", "f32"],
    ["bf16", "f32"],
    ["f64", "f32"],
    ["f32", "f16"],
    ["f64", "bf16"],
    ["f16", "bf16"],
    ["i64", "i32"],
    ["i32", "i64"],
    ["i64", "u8"],
    ["u8", "bool"],
    ["bool", "u8"],
  ])("%s stands for %s", (from, to) => {
    expect(read(from, to, [0, 1, 1, 0]).values).toEqual([0, 1, 1, 0]);
  });

  test.each<[DType, DType]>([
    ["i64", "f32"],
    ["f32", "i64"],
    ["bool", "f32"],
    ["i32", "bool"],
  ])("%s does not stand for %s", (from, to) => {
    expect(errorOf(() => read(from, to, [1])).code).toBe("QKV430");
  });

  test.each<[DType, DType, readonly number[]]>([
    ["f32", "f16", [65519, 65520, -1e6]],
    ["f64", "f32", [1e38, 1e39, -1e300]],
    ["f64", "bf16", [1, 3.4e38, -1e39]],
    ["bf16", "f16", [1, 2 ** 17, -(2 ** 100)]],
    ["i64", "i32", [1, 2 ** 40, -(2 ** 40)]],
    ["i32", "u8", [1, 256, -1]],
  ])("%s to %s: two of three are beyond it", (from, to, values) => {
    const error = errorOf(() => read(from, to, values));
    expect([error.code, error.message]).toEqual(["QKV434", expect.stringMatching(/2 values beyond the range/)]);
  });

  test("the largest number of a type is within it", () => {
    expect(read("f32", "f16", [65519, -65504]).values).toEqual([65504, -65504]);
    expect(read("i64", "i32", [2 ** 31 - 1, -(2 ** 31)]).values).toEqual([2 ** 31 - 1, -(2 ** 31)]);
  });

  test.each<DType>(["f64", "f32", "f16", "bf16"])(
    "NaN and infinities in %s are warned of with their counts",
    (dtype) => {
      const values = [Number.NaN, Number.NaN, Number.POSITIVE_INFINITY, 1];
      const bound = bindWeights(params(["a", dtype, [4]]), store(["a", dtype, [4], values]));
      bound.read("a");
      bound.read("a");
      expect(bound.warnings()).toMatchObject([
        { kind: "nan", name: "a", count: 2 },
        { kind: "infinity", name: "a", count: 1 },
      ]);
    },
  );

  test("an infinity is not an overflow", () => {
    expect(read("f32", "f16", [Number.NEGATIVE_INFINITY]).values).toEqual([Number.NEGATIVE_INFINITY]);
  });

  test("subnormals and matrices of zeros", () => {
    expect(read("f32", "f32", [1e-40, 1]).warnings).toEqual(["subnormal"]);
    expect(read("f16", "f32", [2 ** -24, 1]).warnings).toEqual([]);
    const bound = bindWeights(
      params(["m", "f32", [2, 2]], ["b", "f32", [2]]),
      store(["m", "f32", [2, 2], [0, 0, -0, 0]], ["b", "f32", [2], [0, 0]]),
    );
    for (const name of bound.names()) bound.read(name);
    expect(bound.warnings()).toMatchObject([{ kind: "all-zero", name: "m", count: 4 }]);
  });
});
