import {
  attention,
  concat,
  indexMatrix,
  input,
  learnedPositions,
  matmul,
  model,
  param,
  rope,
  sinusoidal,
  type Tensor,
  transpose,
} from "qkv";

/**
 * Ways to tell a set of tokens its order, each before one head of attention. Tokens are columns, as in the notes:
 * x is [d, n].
 *
 * - `index`: the notes' index matrix diag(0, 1, 2, …). Added to x where it fits (n ≤ d, both integers), stacked above x
 *   as n extra rows otherwise: give `tokens`, since weights have fixed sizes.
 * - `sinusoidal`, `learned`: Vaswani et al. (arXiv:1706.03762), §3.5.
 * - `rope`: turns queries and keys instead of x; Su et al. (arXiv:2104.09864).
 */
export default model("positional", { d: 64, tokens: 16, encoding: "index" }, ({ d, tokens, encoding }) => {
  const x = input("x", "f32", [d, encoding === "index" ? tokens : "seq"]);
  const marked = encode(x, encoding, d, tokens);
  const width = marked.dim(0) as number;

  const rows = transpose(marked);
  const q = matmul(rows, param("wq", [width, d]));
  const k = matmul(rows, param("wk", [width, d]));
  const v = matmul(rows, param("wv", [width, d]));
  const turned = encoding === "rope" ? [rope(q), rope(k)] : [q, k];
  const o = transpose(attention(turned[0]!, turned[1]!, v));
  return { o };
});

function encode(x: Tensor, encoding: string, d: number, tokens: number): Tensor {
  const n = x.dim(1);
  switch (encoding) {
    case "index":
      return tokens <= d ? x.add(indexMatrix(tokens, d)) : concat([indexMatrix(tokens), x], 0);
    case "sinusoidal":
      return x.add(transpose(sinusoidal(n, d)));
    case "learned":
      return x.add(transpose(learnedPositions(n, d, { name: "positions", max: 512 })));
    case "rope":
      return x;
    default:
      throw new Error(`encoding "${encoding}" is none of index, sinusoidal, learned, rope`);
  }
}
