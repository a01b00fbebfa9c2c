import {
  add,
  argSort,
  attention,
  cast,
  constant,
  type DimLike,
  einsum,
  embedding,
  heads,
  input,
  layerNorm,
  learnedPositions,
  linear,
  linearAttention,
  matmul,
  merge,
  model,
  oneHot,
  param,
  reshape,
  rope,
  scan,
  scatter,
  sinusoidal,
  type size,
  softmax,
  type Tensor,
  topK,
  transpose,
} from "qkv";

/**
 * What the type checker knows of shapes, checked by `npm run check`: a line that should be wrong and is not is an
 * unused `@ts-expect-error`. The messages are tested in test/diagnostics/programs.
 */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <A, B>(_: Same<A, B>): void => undefined;

export const shapes = model("shapes", { width: 64 }, ({ width }) => {
  const q = input("q", "f32", ["batch", 12, "seq", 64]);
  const k = input("k", "f32", ["batch", 12, "keys", 64]);
  const x = input("x", "f32", ["batch", "seq", 768]);
  const ids = input("ids", "i64", ["batch", "seq"]);
  is<typeof q, Tensor<readonly ["batch", 12, "seq", 64], "f32">>(true);

  const scores = einsum("b h q d, b h k d -> b h q k", q, k);
  is<typeof scores, Tensor<readonly ["batch", 12, "seq", "keys"], "f32">>(true);
  const compact = einsum("bhqd,bhkd->bhqk", q, k);
  is<typeof compact, typeof scores>(true);
  const three = einsum("b s d, d e, e f -> b s f", x, param("w1", [768, 32]), param("w2", [32, 16]));
  is<typeof three, Tensor<readonly ["batch", "seq", 16], "f32">>(true);

  const product = matmul(q, transpose(k));
  is<typeof product, Tensor<readonly ["batch", 12, "seq", "keys"], "f32">>(true);
  const projected = matmul(x, param("w3", [768, 10]));
  is<typeof projected, Tensor<readonly ["batch", "seq", 10], "f32">>(true);

  const split = heads(x, 12);
  is<typeof split, Tensor<readonly ["batch", 12, "seq", 64], "f32">>(true);
  const merged = merge(split);
  is<typeof merged, Tensor<readonly ["batch", "seq", 768], "f32">>(true);
  const seen = attention(split, split, split);
  is<typeof seen, typeof split>(true);

  const narrow = linear(x, 10, { name: "a" });
  is<typeof narrow, Tensor<readonly ["batch", "seq", 10], "f32">>(true);
  const row = input("row", "f32", [1, 768]);
  const sum = x.add(row).mul(2);
  is<typeof sum, Tensor<readonly ["batch", "seq", 768], "f32">>(true);
  const compared = q.less(0);
  is<typeof compared, Tensor<readonly ["batch", 12, "seq", 64], "bool">>(true);
  const half = cast(x, "f16");
  is<typeof half, Tensor<readonly ["batch", "seq", 768], "f16">>(true);
  const flat = reshape(x, ["batch", "seq", 12, 64]);
  is<typeof flat, Tensor<readonly ["batch", "seq", 12, 64], "f32">>(true);
  const swapped = transpose(flat, [0, 2, 1, 3]);
  is<typeof swapped, Tensor<readonly ["batch", 12, "seq", 64], "f32">>(true);
  const picked = embedding(ids, 100, 8, { name: "e" });
  is<typeof picked, Tensor<readonly ["batch", "seq", 8], "f32">>(true);
  const pickedHalf = embedding(ids, 100, 8, { name: "e", dtype: "f16" });
  is<typeof pickedHalf, Tensor<readonly ["batch", "seq", 8], "f16">>(true);
  const places = learnedPositions("seq", 8, { name: "p", max: 64, dtype: "f16" });
  is<typeof places, Tensor<readonly ["seq", 8], "f16">>(true);
  const waves = sinusoidal("seq", 8, { dtype: "f16" });
  is<typeof waves, Tensor<readonly ["seq", 8], "f16">>(true);
  const kept = layerNorm(softmax(rope(q)), { name: "n" });
  is<typeof kept, typeof q>(true);
  is<ReturnType<typeof size>, Tensor<readonly [], "i64">>(true);

  const [least, order] = topK(x, 4, { smallest: true });
  is<typeof least, Tensor<readonly DimLike[], "f32">>(true);
  is<typeof order, Tensor<readonly DimLike[], "i64">>(true);
  const ranking = argSort(q);
  is<typeof ranking, Tensor<readonly ["batch", 12, "seq", 64], "i64">>(true);
  const kind = oneHot(ids, 5);
  is<typeof kind, Tensor<readonly ["batch", "seq", 5], "f32">>(true);
  const replaced = scatter(x, ids, x, { batch: 1 });
  is<typeof replaced, typeof x>(true);

  // Large and small heads divide right.
  const h96 = heads(input("big", "f32", [2, 3, 12288]), 96);
  is<typeof h96, Tensor<readonly [2, 96, 3, 128], "f32">>(true);
  const joined = merge(h96);
  is<typeof joined, Tensor<readonly [2, 3, 12288], "f32">>(true);
  const h1 = heads(x, 1);
  is<typeof h1, Tensor<readonly ["batch", 1, "seq", 768], "f32">>(true);
  const h768 = heads(x, 768);
  is<typeof h768, Tensor<readonly ["batch", 768, "seq", 1], "f32">>(true);

  // What is no literal is left to the build.
  const wide = input("wide", "f32", ["n", width]);
  einsum("n d, m d -> n m", wide, input("other", "f32", ["m", 64]));
  matmul(wide, param("w", [64, 8]));
  const any: Tensor = x;
  const anything = [any.add(q), matmul(any, q), attention(any, q, q), heads(any, 7), einsum("a b, b -> a", any, any)];
  const expression = input("expression", "f32", ["past + seq", 64]);
  expression.add(input("same", "f32", ["seq + past", 64]));
  einsum("... i, i o -> ... o", x, param("w4", [768, 8]));
  const spec: string = "a b -> a";
  einsum(spec, any);
  linear(x, width, { name: "b" });
  heads(x, width);
  constant([[1, 2]]).add(x);
  return { y: anything[0] ?? any };
});

export const mistakes = model("mistakes", { layers: 2 }, ({ layers }) => {
  const q = input("q", "f32", ["batch", 12, "seq", 64]);
  const k = input("k", "f32", ["batch", 12, "seq", 32]);
  const x = input("x", "f32", ["batch", "seq", 768]);
  const ids = input("ids", "i64", ["batch", "seq"]);
  // @ts-expect-error axis 'd' is 64 in operand 1 but 32 in operand 2
  einsum("b h q d, b h k d -> b h q k", q, k);
  // @ts-expect-error the same in letters
  einsum("bhqd,bhkd->bhqk", q, k);
  // @ts-expect-error more axes than named
  einsum("b h q, b h k -> q k", q, q);
  // @ts-expect-error fewer axes than named
  einsum("a b c d e -> a", q);
  // @ts-expect-error one operand too few
  einsum("b s d, d e -> b s e", x);
  // @ts-expect-error one operand too many
  einsum("b s d -> b s", x, x);
  // @ts-expect-error no arrow
  einsum("b s d", x);
  // @ts-expect-error inner dimensions
  matmul(q, q);
  // @ts-expect-error widths of q and k
  attention(q, k, k);
  // @ts-expect-error lengths of k and v
  attention(q, q, input("v", "f32", ["batch", 12, "more", 64]));
  // @ts-expect-error shapes
  x.add(q);
  // @ts-expect-error shapes
  add(q, k);
  // @ts-expect-error element types
  ids.add(x);
  // @ts-expect-error 10 does not divide 768
  heads(x, 10);
  // @ts-expect-error float ids
  embedding(x, 10, 10, { name: "e" });
  // @ts-expect-error no such element type
  input("y", "float32", [1]);
  // @ts-expect-error no such option
  softmax(x, { axes: 1 });
  // @ts-expect-error no such reduction
  scatter(x, ids, x, { batch: 1, reduction: "max" });
  // @ts-expect-error an option of topK
  argSort(x, { smallest: true });
  // @ts-expect-error a state by a name there is none of
  scan({ s: x }, { x }, ({ t }) => ({ states: { s: t } }));
  // @ts-expect-error the next state is missing
  scan({ s: x }, { x }, () => ({ states: {} }));
  // @ts-expect-error no such option
  linearAttention(q, q, q, { decay: x });
  // @ts-expect-error no such normaliser
  attention(q, q, q, { normaliser: "mean" });
  // @ts-expect-error no operators
  x + 1;
  // @ts-expect-error a name is missing
  linear(x, 10, {});
  // @ts-expect-error not a setting's kind
  shapes.build({ width: "64" });
  // @ts-expect-error no such setting
  shapes.build({ depth: 64 });
  let y: Tensor = x;
  for (let i = 0; i < layers; i++) y = layerNorm(linear(y, 768, { name: `${i}` }), { name: `norm.${i}` });
  return { y };
});

// @ts-expect-error a model answers tensors
export const outputs = model("outputs", () => ({ y: 3 }));
