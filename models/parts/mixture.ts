import {
  add,
  expandDims,
  greater,
  linear,
  mul,
  oneHot,
  param,
  reshape,
  scope,
  sigmoid,
  slice,
  sum,
  type Tensor,
  topK,
  where,
} from "qkv";
import { gatedFeedForward } from "./decoder.ts";

export interface Mixture {
  readonly experts: number;
  /** How many experts a token has. */
  readonly expertsPerToken: number;
  /** Experts lie in groups of equal size; a token's experts come from the best few groups. */
  readonly groups: number;
  readonly groupsPerToken: number;
  readonly sharedExperts: number;
  readonly expertWidth: number;
  /** Weights of a token's experts add up to 1, before they are multiplied by `routedScale`. */
  readonly normalised: boolean;
  readonly routedScale: number;
  readonly activation: string;
}

/** 1 for each of the k largest along the last axis, 0 for the others. */
const largest = (x: Tensor, k: number): Tensor => sum(oneHot(topK(x, k)[1], x.dim(2)), { axes: 2 });

/** Which experts a token has, [batch, seq, experts] of 0 and 1: the best of the best groups (arXiv:2412.19437, §2.1.2). */
function choose(scores: Tensor, mixture: Mixture): Tensor {
  const { experts, expertsPerToken, groups, groupsPerToken } = mixture;
  const inGroups = reshape(scores, ["batch", "seq", groups, experts / groups]);
  const best = sum(topK(inGroups, 2)[0], { axes: 3 });
  const open = expandDims(greater(largest(best, groupsPerToken), 0), 3);
  const candidates = reshape(where(open, inGroups, Number.NEGATIVE_INFINITY), ["batch", "seq", experts]);
  return largest(candidates, expertsPerToken);
}

/**
 * A mixture of experts (DeepSeek-AI, "DeepSeek-V3", arXiv:2412.19437, §2.1.2), declared plainly: every expert is computed
 * for every token, and most of them count nothing. x is [batch, seq, d].
 */
export function mixtureOfExperts(x: Tensor, mixture: Mixture): Tensor {
  const { experts, expertWidth, activation } = mixture;
  const scores = sigmoid(linear(x, experts, { name: "gate", bias: false }));
  const bias = param("gate.e_score_correction_bias", [experts], { init: "zeros" });
  const taken = mul(scores, choose(add(scores, bias), mixture));
  const total = sum(taken, { axes: 2, keepDims: true }).add(1e-20);
  const weights = (mixture.normalised ? taken.div(total) : taken).mul(mixture.routedScale);

  const shared = { ffn: expertWidth * mixture.sharedExperts, activation };
  let out = scope("shared_experts", () => gatedFeedForward(x, shared));
  for (let expert = 0; expert < experts; expert++) {
    const own = scope(`experts.${expert}`, () => gatedFeedForward(x, { ffn: expertWidth, activation }));
    out = out.add(own.mul(slice(weights, { axis: 2, start: expert, end: expert + 1 })));
  }
  return out;
}
