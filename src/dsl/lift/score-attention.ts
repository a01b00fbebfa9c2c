import type { Build } from "../../ir/arena.ts";
import { attentionShapes, both, everything } from "../../ir/attend.ts";
import type { Value } from "../../ir/graph.ts";
import { substituteParts } from "../../ir/index-expr/substitute.ts";
import {
  type IndexExpr,
  type IndexFormula,
  type IndexTable,
  type Lengths,
  lookup,
  score as theScore,
} from "../../ir/index-expr/types.ts";
import { fromNumbers } from "../../ir/tensor.ts";
import { splitCausal, splitMasked } from "./attention-formulas.ts";
import { liftFunction } from "./lift.ts";

/** The functions of an attention, as the author wrote them. */
export interface AttentionFunctions {
  readonly mask?: unknown;
  readonly score?: unknown;
  readonly prob?: unknown;
  /** Told the formula of the mask function. */
  readonly onMask?: (formula: IndexFormula, lengths: Lengths) => void;
}

interface Attrs {
  readonly scale: number;
  readonly causal: boolean;
  readonly normaliser: "softmax" | "sigmoid" | "sum" | "none";
}

interface Extras {
  readonly mask: Value | undefined;
  readonly bias: Value | undefined;
}

type Operands = readonly [q: Value, k: Value, v: Value];

/**
 * Attention with mask, score and prob functions, which become formulas on the op; the tables they read become its last
 * operands. `k <= q` becomes the causal flag, a score of -Infinity a mask. Throws QKV140 to QKV152.
 */
export function attentionWith(b: Build, qkv: Operands, extras: Extras, attrs: Attrs, fns: AttentionFunctions): Value {
  const [q, k, v] = qkv;
  const sizes = attentionShapes(q.type, k.type, v.type);
  const lengths: Lengths = { B: sizes.batch, H: sizes.heads, Q: sizes.queries, K: sizes.keys };
  const tables = new TableOperands(b);
  let { causal } = attrs;
  let mask: IndexExpr = everything;
  if (fns.mask !== undefined) {
    const formula = liftFunction(fns.mask, "mask", lengths);
    fns.onMask?.(formula, lengths);
    const split = splitCausal(formula.expr);
    causal ||= split.causal;
    mask = tables.adopt({ expr: split.rest, tables: formula.tables });
  }
  let score: IndexExpr = theScore();
  if (fns.score !== undefined) {
    const formula = liftFunction(fns.score, "score", lengths);
    const split = splitMasked(formula.expr);
    mask = both(mask, tables.adopt({ expr: split.seen, tables: formula.tables }));
    score = tables.adopt({ expr: split.score, tables: formula.tables });
  }
  const prob = fns.prob === undefined ? theScore() : tables.adopt(liftFunction(fns.prob, "prob", lengths));
  const operands = [q, k, v, extras.mask, extras.bias, ...tables.values].filter((value) => value !== undefined);
  const formulas = { mask, score, prob, tables: tables.values.length };
  return b.attention(...(operands as [Value, Value, Value]), { ...attrs, causal, ...formulas });
}

/** The tables of several formulas as operands, each once. */
class TableOperands {
  readonly values: Value[] = [];
  readonly #b: Build;
  readonly #numbers = new Map<Value, number>();

  constructor(b: Build) {
    this.#b = b;
  }

  /** The expression with its tables numbered as operands. */
  adopt({ expr, tables }: IndexFormula): IndexExpr {
    return substituteParts(expr, (part) =>
      part.kind === "lookup" ? lookup(this.#number(tables[part.table]!), part.at) : part,
    );
  }

  #number(table: IndexTable): number {
    const value =
      table.kind === "tensor"
        ? table.value
        : this.#b.constant({ value: fromNumbers(table.truth ? "bool" : "f64", table.dims, table.data) });
    let number = this.#numbers.get(value);
    if (number === undefined) this.#numbers.set(value, (number = this.values.push(value) - 1));
    return number;
  }
}
