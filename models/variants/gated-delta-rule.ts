import {
  exp,
  expandDims,
  heads,
  input,
  linear,
  linearAttention,
  log,
  merge,
  model,
  neg,
  param,
  sigmoid,
  silu,
  transpose,
} from "qkv";
import { unit } from "./unit.ts";

/**
 * Gated DeltaNet: the delta rule on a state that fades, at a rate that each token says for each head.
 *
 * S ← S' + β k (v - S'ᵀ k)ᵀ, S' = α S, o = (Sᵀ q) Wᵒ, q and k of length 1, β = σ(x Wᵝ), α = exp(-eᵃ softplus(x Wᵅ + b)).
 *
 * Yang et al., "Gated Delta Networks: Improving Mamba2 with Delta Rule" (arXiv:2412.06464), §3.
 */
export default model("gated-delta-rule", { heads: 8, d: 64 }, ({ heads: n, d }) => {
  const width = n * d;
  const x = input("x", "f32", ["batch", "seq", width]);
  const project = (name: string) => heads(silu(linear(x, width, { name, bias: false })), n);
  const [q, k, v] = [unit(project("q_proj")), unit(project("k_proj")), project("v_proj")];
  const perHead = (y: typeof x) => expandDims(transpose(y, [0, 2, 1]), 3);
  const rate = sigmoid(linear(x, n, { name: "b_proj", bias: false }));
  const softplus = log(exp(linear(x, n, { name: "a_proj" })).add(1));
  const logDecay = neg(exp(param("a_log", [n], { init: "zeros" })).mul(softplus));
  const seen = linearAttention(q, k, v, { rate: perHead(rate), logDecay: perHead(logDecay) });
  return { o: linear(merge(seen), width, { name: "o_proj", bias: false }) };
});
