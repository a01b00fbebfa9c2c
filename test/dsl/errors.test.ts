import { describe, expect, test } from "vitest";
import {
  add,
  attention,
  constant,
  einsum,
  embedding,
  expandDims,
  gather,
  gelu,
  heads,
  input,
  iota,
  layerNorm,
  learnedPositions,
  linear,
  logSoftmax,
  matmul,
  merge,
  model,
  multiHeadAttention,
  pad,
  param,
  rearrange,
  reduce,
  repeat,
  reshape,
  rope,
  scope,
  sinusoidal,
  slice,
  softmax,
  split,
  squeeze,
  sum,
  type Tensor,
  transpose,
  where,
} from "../../src/index.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";

/** What the type checker would refuse: these tests stand for authors who write JavaScript. */
const loose = (value: unknown) => value as never;

function errorOf(run: () => unknown): QkvError {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** The error of a model whose body is `body`; its place is this file. */
function refused(body: (x: Tensor) => unknown): string {
  const declared = model("wrong", () => loose(body(input("x", "f32", ["n", 8]))));
  const error = errorOf(() => declared.build());
  expect(error.details.location?.file).toMatch(/errors\.test\.ts$/);
  return `${error.code} ${error.message}`;
}

const q = () => input("q", "f32", ["b", 4, "s", 8]);

describe("dims", () => {
  const wrong = [
    0,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    2 ** 53 + 1,
    "8",
    "-8",
    "1.5",
    null,
    undefined,
    true,
    [],
    {},
  ];
  test.each(wrong)("%s is refused", (dim) => {
    expect(refused(() => input("y", "f32", ["n", loose(dim)]))).toMatch(/^QKV101 dimension 2 of input "y" is /);
  });
  test.each(wrong.slice(0, 7))("%s features are refused", (dim) => {
    expect(refused((x) => linear(x, dim as number, { name: "a" }))).toMatch(/^QKV101 /);
  });
  test.each(["", "a b", "seq +", "2 * (x", "-", "a/b", "🙂"])("the expression %j is refused", (dim) => {
    expect(refused(() => input("y", "f32", [dim]))).toMatch(/^QKV203 /);
  });
  test("text that is a number says to write the number", () => {
    expect(errorOf(() => model("m", () => input("y", "f32", ["8"])).build()).details.help).toBe("write the number: 8");
  });
  test("no list", () => expect(refused(() => input("y", "f32", loose("n")))).toMatch(/^QKV101 the dims of/));
  test("symbolic parameters", () =>
    expect(refused(() => param("w", ["n", 8]))).toMatch(/^QKV101 dimension 1 of parameter "w"/));
});

describe("names", () => {
  const wrong = ["", "a\0b", "a\nb", "x".repeat(1025), "x".repeat(1 << 20), "\ud800", loose(7), loose(null)];
  test.each(wrong.map((name) => [JSON.stringify(name).slice(0, 20), name]))("%s is refused", (_, name) => {
    expect(refused(() => input(name, "f32", [1]))).toMatch(/^QKV102 the name of an input/);
    expect(refused(() => param(name, [1]))).toMatch(/^QKV102 the name of a parameter/);
    expect(refused(() => scope(name, () => param("w", [1])))).toMatch(/^QKV102 the prefix/);
    expect(errorOf(() => model(name, () => input("x", "f32", [1]))).code).toBe("QKV102");
  });
  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "../x", "é", "🙂", "a b", "A", "a"])(
    "%s is fine",
    (name) => {
      const declared = model(name, () => ({
        [name === "x" ? "y" : `${name}.out`]: add(input(name, "f32", ["n"]), param(`${name}.w`, [1])),
      }));
      expect(declared.build().graph.inputs[0]!.node.attrs.get("name")).toBe(name);
    },
  );
  test("an output called __proto__", () => {
    const outputs = Object.defineProperty({}, "__proto__", { value: 1, enumerable: true });
    expect(refused(() => outputs)).toBe('QKV114 the output "__proto__" is 1, not a tensor');
  });
});

describe("names declared twice", () => {
  test("inputs", () =>
    expect(refused(() => input("x", "f32", ["n", 8]))).toMatch(/^QKV103 the input "x" is declared twice/));
  test("parameters", () => {
    expect(refused(() => [param("w", [2]), param("w", [2])])).toMatch(/^QKV103 the parameter "w" is declared twice/);
  });
  test("scopes tell parameters apart", () => {
    const declared = model("m", () => {
      const [a, b] = ["a", "b"].map((prefix) => scope(prefix, () => param("w", [2])));
      return a!.add(b!);
    });
    expect(declared.build().graph.outputs).toHaveLength(1);
  });
  test("input and parameter", () => expect(refused(() => param("x", [2]))).toMatch(/^QKV103 "x" is both/));
  test("output and input", () => expect(refused((x) => ({ x: x.add(1) }))).toMatch(/^QKV103 the output "x"/));
  test("an input may be the output of its name", () => {
    expect(model("m", () => ({ x: input("x", "f32", [1]) })).build().graph.outputs[0]!.name).toBe("x");
  });
});

describe("builds", () => {
  test("outside a model", () => {
    const error = errorOf(() => input("x", "f32", [1]));
    expect(error.code).toBe("QKV104");
    expect(error.details.location?.file).toMatch(/errors\.test\.ts$/);
    expect(errorOf(() => scope("a", () => 1)).code).toBe("QKV104");
  });
  test("a tensor of another build", () => {
    const kept: Tensor[] = [];
    const first = model("first", () => {
      kept.push(input("x", "f32", ["n", 8]));
      return kept[0]!;
    });
    first.build();
    expect(refused((x) => x.add(kept[0]!))).toBe('QKV105 y belongs to another build (model "first")');
    expect(refused(() => ({ y: kept[0] }))).toMatch(/^QKV105 the output "y"/);
    expect(errorOf(() => kept[0]!.exp()).code).toBe("QKV104");
  });
  test("builds nest and repeat", () => {
    const inner = model("inner", () => input("a", "f32", ["n"]).exp());
    const outer = model("outer", () => {
      const x = input("a", "f32", ["n"]);
      expect(inner.build().graph.name).toBe("inner");
      return x.exp();
    });
    expect(outer.build().graph.name).toBe("outer");
    expect(outer.build().graph).not.toBe(outer.build().graph);
  });
  test("a build that fails leaves nothing behind", () => {
    expect(refused(() => null)).toMatch(/^QKV113/);
    expect(errorOf(() => input("x", "f32", [1])).code).toBe("QKV104");
  });
});

test("what is no tensor", () => {
  for (const wrong of [undefined, null, "x", {}, [], () => 1])
    expect(refused(() => softmax(loose(wrong)))).toMatch(/^QKV106 x is .*, not a tensor/);
  expect(refused(() => add(loose(1), loose(2)))).toMatch(/^QKV106/);
  expect(errorOf(() => model("m", loose(7))).code).toBe("QKV118");
  expect(errorOf(() => model("m", {}, loose(7))).code).toBe("QKV106");
});

test("dimensions that do not match", () => {
  expect(refused((x) => x.add(input("y", "f32", ["m", 8])))).toMatch(/^QKV107 add: shapes do not broadcast: n meets m/);
  expect(refused((x) => matmul(x, x))).toMatch(/^QKV107 matmul: inner dimensions differ: 8 and n/);
  expect(
    refused((x) => matmul(expandDims(x, 0).add(input("a", "f32", [2, 1, 1])), input("y", "f32", [3, 8, 2]))),
  ).toMatch(/^QKV107 matmul: batch/);
  expect(refused((x) => einsum("n d, m n -> m", x, x))).toMatch(
    /^QKV107 einsum: axis 'n' is n in operand 1 but 8 in operand 2/,
  );
  expect(refused((x) => squeeze(x, 1))).toMatch(/^QKV107 squeeze/);
  expect(refused((x) => split(x, [3, 4], 1))).toMatch(/^QKV107 split: the parts add up to 7, the axis has 8/);
  expect(refused((x) => learnedPositions(600, 8, { name: "p", max: 512 }) && x)).toMatch(/^QKV107 learnedPositions/);
  expect(refused((x) => rope(x, { positions: iota("m") }))).toMatch(/^QKV107 rope: positions/);
  expect(refused((x) => reshape(x, ["n", 9]))).toMatch(/^QKV210 reshape: /);
});

test("heads and parts that do not divide", () => {
  const x3 = () => input("h", "f32", ["b", "s", 10]);
  expect(refused(() => heads(x3(), loose(4)))).toBe("QKV108 heads: 4 heads do not divide 10 features");
  expect(refused(() => multiHeadAttention(x3(), { heads: 4 }))).toMatch(/^QKV108 multiHeadAttention: 4 heads/);
  expect(refused(() => multiHeadAttention(x3(), { heads: 5, kvHeads: 2 }))).toMatch(
    /^QKV108 multiHeadAttention: 2 key heads/,
  );
  expect(
    refused(() => attention(q(), input("k", "f32", ["b", 3, "s", 8]), input("v", "f32", ["b", 3, "s", 8]))),
  ).toMatch(/^QKV108 attention: 3 key heads/);
  expect(refused((x) => split(x, 3, 1))).toBe("QKV108 split: 3 parts do not divide 8");
  expect(refused((x) => split(x, 2, 0))).toBe("QKV108 split: 2 parts do not divide n");
  expect(refused((x) => rearrange(x, "n (a b) -> n a b", { a: 3 }))).toMatch(/^QKV108 rearrange: 3 does not divide 8/);
});

test("element types that do not match", () => {
  const ids = () => input("ids", "i64", ["n"]);
  expect(refused(() => input("y", loose("f4"), [1]))).toMatch(/^QKV109 the element type of input "y" is "f4"/);
  expect(refused((x) => x.add(loose(input("h", "f16", [1]))))).toBe("QKV109 add: element types differ: f32 and f16");
  expect(refused(() => ids().mul(0.5))).toMatch(/^QKV109 0.5 cannot stand beside i64/);
  expect(refused(() => softmax(ids()))).toMatch(/^QKV109 softmax: x is i64/);
  expect(refused(() => logSoftmax(ids()))).toMatch(/^QKV109 logSoftmax: x is i64/);
  expect(refused((x) => gather(x, x))).toMatch(/^QKV109 gather: indices are f32/);
  expect(refused((x) => embedding(loose(x), 4, 4, { name: "e" }))).toMatch(/^QKV109 embedding: ids are f32/);
  expect(refused((x) => where(x, x, x))).toMatch(/^QKV109 where: the condition is f32, not bool/);
  expect(refused((x) => linear(x.cast("i32"), 4, { name: "l" }))).toMatch(/^QKV109 linear: x is i32/);
  expect(refused((x) => rope(x, { positions: x }))).toMatch(/^QKV109 rope: positions are f32/);
  expect(refused((x) => x.cast(loose("int")))).toMatch(/^QKV109 the element type of the result/);
});

test("axes that do not match", () => {
  expect(refused((x) => softmax(x, { axis: 2 }))).toBe("QKV110 softmax: axis 2 does not fit rank 2");
  expect(refused((x) => softmax(x, { axis: loose("1") }))).toBe('QKV110 softmax: axis "1" does not fit rank 2');
  expect(refused((x) => sum(x, { axes: [1, -1] }))).toMatch(/^QKV110 reduceSum: an axis occurs twice/);
  expect(refused((x) => sum(x, loose({})))).toMatch(/^QKV110 reduceSum needs axes/);
  expect(refused((x) => heads(x, loose(2)))).toMatch(/^QKV110 heads: x has 2 axes/);
  expect(refused((x) => merge(x))).toMatch(/^QKV110 merge: x has 2 axes/);
  expect(refused((x) => ((k) => attention(x, k, k))(q()))).toMatch(
    /^QKV110 attention: q, k and v have 2, 4 and 4 axes/,
  );
  expect(refused(() => linear(input("s", "f32", []), 4, { name: "l" }))).toMatch(
    /^QKV110 linear: the last axis of x is missing/,
  );
  expect(refused(() => layerNorm(input("s", "f32", ["b", "n"]), { name: "l" }))).toMatch(/^QKV110 layerNorm/);
  expect(refused(() => transpose(input("v", "f32", [3])))).toMatch(/^QKV110 transpose/);
  expect(refused((x) => matmul(x, input("v", "f32", [8])))).toMatch(/^QKV110 matmul: y has 1 axes/);
  expect(refused((x) => x.dim(5))).toMatch(/^QKV110 dim: axis 5/);
  expect(refused((x) => einsum("n -> n", x))).toMatch(/^QKV110 einsum: operand 1 has 2 axes/);
  expect(refused((x) => rearrange(x, "a b c -> a b c"))).toMatch(/^QKV110 rearrange/);
});

describe("masks and biases", () => {
  const q2 = () => input("k", "f32", ["b", 4, "t", 8]);
  const twice = (dims: (number | string)[]) =>
    refused(() => {
      const k = q2();
      return attention(q(), k, k, { mask: input("m", "bool", dims) });
    });
  test.each([
    [["b", "t"]],
    [["s", "t"]],
    [["t"]],
    [["b", "s", "t"]],
    [[2, 1, 1, "t"]],
    [["b", 1, "t", "s"]],
    [["b", 2, 1, "t"]],
  ])("%j is refused", (dims) =>
    expect(twice(dims)).toMatch(/^QKV111 attention: the mask .* does not stretch to \[b, 4, s, t\]/),
  );
  test("the fix is shown with the author's own names", () => {
    const error = errorOf(() =>
      model("m", () => {
        const k = q2();
        const padding = input("m", "bool", ["b", "t"]);
        return attention(q(), k, k, { mask: padding });
      }).build(),
    );
    expect(error.details.help).toBe("add the missing axes of size 1: expandDims(mask, 1, 2)");
  });
  test("polarity", () => {
    expect(refused(() => attention(q(), q2(), loose(q2()), {}))).toMatch(/^QKV103/);
    const float = refused(() => ((k) => attention(q(), k, k, { mask: input("m", "f32", [1, 1, 1, "t"]) }))(q2()));
    expect(float).toBe("QKV111 attention: the mask is f32, not bool");
    const ints = refused(() => ((k) => attention(q(), k, k, { mask: input("m", "i64", [1, 1, 1, "t"]) }))(q2()));
    expect(ints).toBe("QKV111 attention: the mask is i64, not bool");
    const bias = refused(() => ((k) => attention(q(), k, k, { bias: input("m", "bool", [1, 1, 1, "t"]) }))(q2()));
    expect(bias).toBe("QKV111 attention: the bias is bool");
    const half = refused(() => ((k) => attention(q(), k, k, { bias: input("m", "f16", [1, 1, 1, "t"]) }))(q2()));
    expect(half).toBe("QKV109 attention: the bias is f16, q is f32");
  });
});

test("positions need an even width", () => {
  expect(refused(() => rope(input("q", "f32", ["s", 7])))).toBe("QKV112 rope: the width 7 is odd");
  expect(refused(() => rope(input("q", "f32", ["s", "d"])))).toBe("QKV112 rope: the width d is no integer");
  expect(refused(() => sinusoidal("s", 7))).toBe("QKV112 sinusoidal: the width 7 is odd");
});

test("rope has a frequency for each pair", () => {
  const x = () => input("q", "f32", ["s", 4]);
  expect(refused(() => rope(x(), { frequencies: [1] }))).toBe(
    "QKV120 rope: [1] is no list of 2 frequencies, one for each pair",
  );
  expect(refused(() => rope(x(), { frequencies: [1, Number.NaN] }))).toMatch(/^QKV120 a frequency is NaN/);
  expect(refused(() => rope(x(), { frequencies: loose("1, 2") }))).toMatch(/^QKV120 rope: "1, 2" is no list/);
});

test("outputs", () => {
  expect(refused(() => ({}))).toBe('QKV113 the model "wrong" has no outputs');
  expect(refused(() => undefined)).toBe('QKV113 the body of "wrong" answers nothing');
  expect(refused((x) => [x])).toMatch(/^QKV114 the body of "wrong" answers \[an object\]/);
  expect(refused(() => 7)).toMatch(/^QKV114 the body of "wrong" answers 7/);
  expect(refused(() => ({ y: 7 }))).toBe('QKV114 the output "y" is 7, not a tensor');
  expect(refused((x) => ({ "": x }))).toBe("QKV102 the name of an output is empty");
});

test("what the body throws", () => {
  const thrown = errorOf(() =>
    model("m", () => {
      throw new TypeError("no");
    }).build(),
  );
  expect(`${thrown.code} ${thrown.message}`).toBe('QKV115 the body of "m" threw TypeError: no');
  expect(thrown.cause).toBeInstanceOf(TypeError);
  expect(refused(() => Promise.resolve(1))).toMatch(/^QKV116/);
  const text = errorOf(() =>
    model("m", () => {
      throw loose("text");
    }).build(),
  );
  expect(text.message).toBe('the body of "m" threw "text"');
});

test("settings", () => {
  const declared = model("m", { layers: 2, kind: "a", causal: true, sizes: [1, 2] }, ({ layers }) =>
    input("x", "f32", [layers]),
  );
  expect(errorOf(() => declared.build(loose({ layer: 3 }))).code).toBe("QKV117");
  expect(errorOf(() => declared.build(loose({ __proto__: null, toString: 3 }))).code).toBe("QKV117");
  for (const wrong of [
    { layers: "3" },
    { layers: Number.NaN },
    { layers: null },
    { kind: 3 },
    { causal: "true" },
    { sizes: 3 },
  ])
    expect(errorOf(() => declared.build(loose(wrong))).code).toBe("QKV118");
  expect(declared.build({ layers: 5 }).graph.outputs[0]!.value.type.shape).toEqual([5]);
  expect(errorOf(() => model("m", loose({ f: () => 1 }), () => input("x", "f32", [1]))).code).toBe("QKV118");
  expect(errorOf(() => declared.build({ layers: -1 })).code).toBe("QKV101");
});

test("tensors as numbers", () => {
  const operations: ((x: number) => unknown)[] = [
    (x) => x + 1,
    (x) => x > 0,
    (x) => -x,
    (x) => x * x,
    (x) => Math.max(x, 0),
  ];
  for (const operation of operations) expect(refused((x) => operation(loose(x)))).toMatch(/^QKV119/);
  model("m", () => {
    const x = input("x", "f32", ["n", 8]);
    expect(`${x}`).toBe("f32[n, 8]");
    return x;
  }).build();
});

test("options", () => {
  expect(refused((x) => linear(x, 4, loose({ name: "a", biass: true })))).toBe('QKV120 linear has no option "biass"');
  expect(refused((x) => linear(x, 4, loose({ name: "a", weightLayout: "x" })))).toMatch(/^QKV120 weightLayout/);
  expect(refused((x) => linear(x, 4, loose(undefined)))).toMatch(/^QKV102/);
  expect(refused((x) => softmax(x, loose("axis")))).toMatch(/^QKV120 the options of softmax/);
  expect(refused((x) => layerNorm(x, { name: "a", epsilon: Number.NaN }))).toMatch(/^QKV120 epsilon is NaN/);
  expect(refused((x) => layerNorm(x, { name: "a", epsilon: -1 }))).toMatch(/^QKV120 epsilon is -1/);
  expect(refused((x) => gelu(x, loose({ approximate: "erf" })))).toMatch(/^QKV120 gelu/);
  expect(refused(() => attention(q(), loose(1), loose(2), loose({ window: 1 })))).toMatch(/^QKV106/);
  expect(refused(() => ((k) => attention(k, k, k, loose({ window: 0 })))(q()))).toBe(
    'QKV120 attention has no option "window"',
  );
  expect(refused(() => ((k) => attention(k, k, k, { scale: Number.NaN }))(q()))).toMatch(/^QKV120 scale is NaN/);
  expect(refused(() => ((k) => attention(k, k, k, loose({ normaliser: "relu" })))(q()))).toMatch(
    /^QKV120 attention: normaliser/,
  );
  expect(refused(() => ((k) => attention(k, k, k))(input("k", "f32", ["s", "d"])))).toMatch(
    /^QKV120 attention: the width d/,
  );
  expect(refused(() => param("w", [2], loose({ init: "he" })))).toMatch(/^QKV120 init is "he"/);
  expect(refused((x) => reduce(x, "n d -> n", loose("prod")))).toMatch(/^QKV120 reduce/);
});

test("constants", () => {
  expect(refused(() => constant([[1, 2], [3]]))).toMatch(/^QKV121 constant: a list has 1 elements where 2/);
  expect(refused(() => constant(loose([1, [2]])))).toMatch(/^QKV121/);
  expect(refused(() => constant(loose(["a"])))).toMatch(/^QKV121 constant: "a" is no number/);
});

test("malformed einsum", () => {
  for (const spec of ["", "n d", "n d -> n -> d", "n d, n d -> n", "n 1 -> n", "n d -> n n", "n d -> n e"])
    expect(refused((x) => einsum(loose(spec), x))).toMatch(/^QKV122 einsum: /);
  expect(refused((x) => einsum(loose(3), x))).toMatch(/^QKV122 einsum: 3 is no spec/);
});

test("malformed rearrangements", () => {
  for (const pattern of [
    "",
    "n d",
    "n d -> n",
    "n d -> n d e",
    "n n -> n",
    "(n d -> n d",
    "n d) -> n d",
    "n ((d)) -> n d",
    "n d -> n 2 d",
  ])
    expect(refused((x) => rearrange(x, pattern))).toMatch(/^QKV(124|110) rearrange: /);
  expect(refused((x) => rearrange(x, "n (a b) -> n a b"))).toMatch(
    /^QKV124 rearrange: '\(a b\)' has more than one unknown/,
  );
  expect(refused((x) => rearrange(x, "n d -> n d", { e: 3 }))).toMatch(/^QKV124 rearrange: the pattern has no 'e'/);
  expect(refused((x) => repeat(x, "n d -> h n d"))).toMatch(/^QKV124 repeat: .* does not say how often/);
  expect(refused((x) => repeat(x, "n d -> n"))).toMatch(/^QKV124 repeat: .* loses 'd'/);
  expect(refused((x) => reduce(x, "n d -> e", "sum"))).toMatch(/^QKV124 reduce: .* only on the right/);
});

test("slices", () => {
  expect(refused((x) => slice(x, { axis: 1, start: 5, end: 3 }))).toMatch(/^QKV210 slice/);
  expect(refused((x) => slice(x, { axis: 1, start: 1.5 }))).toMatch(/^QKV101 start is 1.5/);
  expect(refused((x) => slice(x, { axis: 3 }))).toMatch(/^QKV110 slice/);
  expect(refused((x) => pad(x, { axis: 1, low: -1 }))).toMatch(/^QKV101 low is -1/);
});

test("a loop that does not end", () => {
  const endless = model("endless", () => {
    let x: Tensor = input("x", "f32", ["n"]);
    for (;;) x = x.add(1);
  });
  const error = errorOf(() => endless.build({}, { nodeLimit: 1000 }));
  expect(`${error.code} ${error.message}`).toBe("QKV123 the model has more than 1000 nodes");
  expect(error.exitCode).toBe(3);
});
