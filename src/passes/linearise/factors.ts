import { attrsOf, type Build } from "../../ir/arena.ts";
import { allOf, everything, lowerOn, type ScoreProgram } from "../../ir/attend.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { partsInOrder, score as theScore } from "../../ir/index-expr/types.ts";
import { scoreProgram } from "../../ir/ops/attention.ts";
import { fromNumbers } from "../../ir/tensor.ts";
import { decayOfScore } from "./decay-of-score.ts";
import { ungrouped } from "./forms.ts";

/** Attention whose weights are products of queries and keys, each by itself. */
export interface Factors {
  readonly q: Value;
  /** Zeros where a key is masked for every query. */
  readonly k: Value;
  readonly v: Value;
  /** Logarithm of what a key's weight keeps from one query to the next, [1, heads, 1, 1]. */
  readonly decay?: Value | undefined;
}

export const obstacles = {
  bias: "a bias is added for every pair of query and key",
  pairs: "a mask is given for every pair of query and key",
  mask: "its mask is a function of query and key",
  score: "its score is a function of query and key",
  prob: "its prob is a function of query and key",
} as const;

/** The factors of an attention without a softmax, or why it has none. */
export function factorsOf(node: Node, b: Build): Factors | string {
  const attrs = attrsOf(node, "attention");
  const operands = node.operands as readonly [Value, Value, Value, ...Value[]];
  const [q, k, v] = operands;
  const program = scoreProgram(operands, attrs);
  const { formulas, bias, mask } = program;
  if (bias) return obstacles.bias;
  if (formulas.prob !== theScore()) return obstacles.prob;
  if (mask && mask.type.shape[2] !== 1) return obstacles.pairs;
  if (partsInOrder(formulas.mask).some((part) => part.kind === "index" && part.name === "q")) return obstacles.mask;
  const decay = formulas.score === theScore() ? undefined : decayOf(node, b, program);
  if (decay === "none") return obstacles.score;
  return { q, k: withoutMasked(b, k, q.type.shape[1]!, program), v, decay };
}

/** A decay lies over the keys that come before a query: it is known for causal weights that are not normalised. */
function decayOf({ operands }: Node, b: Build, { formulas, tables, causal, normaliser }: ScoreProgram) {
  const { dtype, shape } = operands[0]!.type;
  const logs =
    causal && normaliser === "none"
      ? decayOfScore(formulas.score, shape[1]!, operands.slice(operands.length - tables.length))
      : undefined;
  return logs ? b.constant({ value: fromNumbers(dtype, [1, logs.length, 1, 1], logs) }) : "none";
}

function withoutMasked(b: Build, k: Value, heads: Dim, program: ScoreProgram): Value {
  const formula = program.formulas.mask === everything ? undefined : lowerOn(b, program, program.formulas.mask, "f64");
  const mask = allOf(b, [program.mask, formula]);
  if (!mask) return k;
  const [batch, each, , keys] = mask.type.shape as [Dim, Dim, Dim, Dim];
  const column = b.reshape(mask, { shape: [batch, each, keys, 1] });
  return b.select(column, each === 1 ? k : ungrouped(b, k, heads), b.scalar(0, k.type.dtype));
}
