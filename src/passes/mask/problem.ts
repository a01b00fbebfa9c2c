import type { Build } from "../../ir/arena.ts";
import { attrsOf } from "../../ir/arena.ts";
import {
  type AttentionShapes,
  atScore,
  attentionShapes,
  both,
  causalFormula,
  maySayMinusInfinity,
  type ScoreProgram,
  tablesOf,
} from "../../ir/attend.ts";
import { isStatic } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { seesItself } from "../../ir/index-analysis/diagonal.ts";
import { type MaskFacts, maskFacts } from "../../ir/index-analysis/facts.ts";
import { addedTo } from "../../ir/index-expr/added.ts";
import { boundsWithin, within } from "../../ir/index-expr/bounds.ts";
import { substituteParts } from "../../ir/index-expr/substitute.ts";
import {
  applied,
  constant,
  type IndexExpr,
  type IndexFormula,
  type IndexTable,
  type LengthName,
  type Lengths,
  lookup,
  score as theScore,
} from "../../ir/index-expr/types.ts";
import { attentionExtras } from "../../ir/ops/attention.ts";

/** Scores, or what is added to them where that is the same for all queries and a kernel takes it. */
export type Held = "scores" | "biases";

/** One attention whose lowering is to be chosen. */
export interface MaskProblem {
  readonly node: Node;
  readonly b: Build;
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly sizes: AttentionShapes;
  /** All of the mask and bias as formulas, the causal flag and the operands among them. */
  readonly program: ScoreProgram;
  readonly mask: IndexFormula;
  readonly facts: MaskFacts;
  /** f where the score is s + f and f does not read s. */
  readonly added: IndexExpr | undefined;
  /** Softmax of s + f, f finite: what kernels of attention compute. */
  readonly isPlain: boolean;
  /** What is held up where what is added falls so far along a row that weights would be subnormal numbers. */
  readonly held?: Held | undefined;
  /** Every query sees a key, whatever the lengths. */
  readonly seesItself: boolean;
  readonly unseen: Unseen | undefined;
}

/** Rows that see nothing are not zero but the mean of all values: what is added to the attention. */
export interface Unseen {
  /** 1 where a row sees nothing, else 0. */
  readonly rows: Value;
  /** The rows times the mean. */
  readonly means: Value;
}

/** The attention as a problem, what is added to it for rows that see nothing included. */
export function problemOf(node: Node, b: Build, unseen?: Unseen): MaskProblem {
  const attrs = attrsOf(node, "attention");
  const [q, k, v, ...extras] = node.operands as [Value, Value, Value, ...Value[]];
  const sizes = attentionShapes(q.type, k.type, v.type);
  const operands = attentionExtras(extras, attrs.tables);
  const tableValues = [...operands.tables];
  const read = (tensor: Value): IndexExpr => atScore(tableValues.push(tensor) - 1, tensor.type);
  let mask = attrs.causal ? both(causalFormula, attrs.mask) : attrs.mask;
  if (operands.mask) mask = both(mask, read(operands.mask));
  let { score } = attrs;
  if (operands.bias) {
    const biased = applied("add", theScore(), read(operands.bias));
    score = substituteParts(score, (part) => (part === theScore() ? biased : part));
  }
  const tables = tablesOf(tableValues);
  const lengths = { B: sizes.batch, H: sizes.heads, Q: sizes.queries, K: sizes.keys };
  const clamped = clampedLookups(tables, lengths);
  [mask, score] = [clamped(mask), clamped(score)];
  const formula = { expr: mask, tables };
  const added = addedTo(score);
  const program = {
    ...{ scale: attrs.scale, causal: false, normaliser: attrs.normaliser, tables, lengths },
    formulas: { mask, score, prob: clamped(attrs.prob) },
  };
  const hides = maySayMinusInfinity(program);
  const isPlain = attrs.normaliser === "softmax" && attrs.prob === theScore() && added !== undefined && !hides;
  return {
    ...{ node, b, q, k, v, sizes, added, isPlain, mask: formula, unseen, program },
    facts: maskFacts(formula, lengths),
    seesItself: !hides && seesItself(formula, sizes.queries, sizes.keys),
  };
}

/** Indices that may leave their table, held at its ends: what their tensors do is what the analysis is told. */
function clampedLookups(tables: readonly IndexTable[], lengths: Lengths): (expr: IndexExpr) => IndexExpr {
  const known = Object.entries(lengths).filter((entry): entry is [LengthName, number] => isStatic(entry[1]));
  const bounds = boundsWithin(Object.fromEntries(known), tables);
  const held = (at: IndexExpr, size: number): IndexExpr =>
    within(bounds(at), size) ? at : applied("min", applied("max", at, constant(0)), constant(size - 1));
  return (root) =>
    substituteParts(root, (part) => {
      const table = part.kind === "lookup" ? tables[part.table] : undefined;
      if (part.kind !== "lookup" || table?.kind !== "constant") return part;
      return lookup(
        part.table,
        part.at.map((at, axis) => held(at, table.dims[axis]!)),
      );
    });
}
