import { tablesOf } from "../../ir/attend.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import { indexEvaluator } from "../../ir/index-expr/evaluate.ts";
import { applied, constant, type IndexExpr, partsInOrder } from "../../ir/index-expr/types.ts";

/** Whether a formula is the same for all batches, queries and keys, and known before the model runs. */
const isPerHead = (expr: IndexExpr, tables: ReturnType<typeof tablesOf>): boolean =>
  partsInOrder(expr).every(
    (part) =>
      part.kind === "number" ||
      part.kind === "apply" ||
      (part.kind === "index" && part.name === "h") ||
      (part.kind === "lookup" && tables[part.table]?.kind === "constant"),
  );

const isIndex = (expr: IndexExpr | undefined, name: string) => expr?.kind === "index" && expr.name === name;

/**
 * The logarithm of the decay per position where a score is `s` times something to the power of q - k, as in
 * `s * gamma[h] ** (q - k)` or `s * Math.exp((k - q) / 8)`: one number per head. Undefined for other scores, and where the
 * weight grows with the distance.
 */
export function decayOfScore(score: IndexExpr, heads: Dim, operands: readonly Value[]): readonly number[] | undefined {
  if (score.kind !== "apply" || score.fn !== "mul" || typeof heads !== "number") return undefined;
  const [x, y] = score.args;
  const factor = x!.kind === "score" ? y! : y!.kind === "score" ? x! : undefined;
  const logarithm = factor && logarithmPerStep(factor);
  const tables = tablesOf(operands);
  if (!logarithm || !isPerHead(logarithm, tables)) return undefined;
  const at = indexEvaluator({ expr: logarithm, tables });
  const values = Array.from({ length: heads }, (_, h) => at({ b: 0, h, q: 0, k: 0 }));
  return values.every((value) => value <= 0) ? values : undefined;
}

/** r where an expression is e^(r · (q - k)). */
function logarithmPerStep(expr: IndexExpr): IndexExpr | undefined {
  if (expr.kind !== "apply" || (expr.fn !== "pow" && expr.fn !== "exp")) return undefined;
  const slope = slopeOf(expr.args.at(-1)!);
  return slope && (expr.fn === "exp" ? slope : applied("mul", applied("log", expr.args[0]!), slope));
}

/** r where an expression is r · (q - k), r without q and k. */
function slopeOf(root: IndexExpr): IndexExpr | undefined {
  const slopes = new Map<IndexExpr, IndexExpr>();
  for (const part of partsInOrder(root)) {
    const slope = ownSlope(part, slopes);
    if (slope) slopes.set(part, slope);
  }
  return slopes.get(root);
}

function ownSlope(expr: IndexExpr, slopes: ReadonlyMap<IndexExpr, IndexExpr>): IndexExpr | undefined {
  if (expr.kind !== "apply") return undefined;
  const [x, y] = expr.args;
  const within = (inner: IndexExpr | undefined, wrap: (slope: IndexExpr) => IndexExpr) => {
    const slope = inner && slopes.get(inner);
    return slope && wrap(slope);
  };
  switch (expr.fn) {
    case "sub":
      if (isIndex(x, "q") && isIndex(y, "k")) return constant(1);
      return isIndex(x, "k") && isIndex(y, "q") ? constant(-1) : undefined;
    case "neg":
      return within(x, (slope) => applied("neg", slope));
    case "mul":
      return within(x, (slope) => applied("mul", slope, y!)) ?? within(y, (slope) => applied("mul", x!, slope));
    case "div":
      return within(x, (slope) => applied("div", slope, y!));
    default:
      return undefined;
  }
}
