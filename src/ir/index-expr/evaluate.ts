import { fail, invariant } from "../diagnostics.ts";
import { indexFunctions } from "./functions.ts";
import { type IndexExpr, type IndexFormula, type IndexTable, partsInOrder } from "./types.ts";

/** Where a formula is evaluated. */
export interface IndexPoint {
  readonly b: number;
  readonly h: number;
  readonly q: number;
  readonly k: number;
  /** The score, or the probability. */
  readonly s?: number;
  readonly lengths?: { readonly B: number; readonly H: number; readonly Q: number; readonly K: number };
}

/** Values of the tables that are tensors of the model: element type f64, row-major. */
export type TableValues = ReadonlyMap<number, { readonly dims: readonly number[]; readonly data: ArrayLike<number> }>;

type Step = (point: IndexPoint, values: Float64Array) => number;

/**
 * The formula as a function of a point, in float64: the reference. Tables that are tensors need their values.
 * An index outside of a table answers NaN, as JavaScript's undefined does in arithmetic.
 */
export function indexEvaluator(formula: IndexFormula, given: TableValues = new Map()): (point: IndexPoint) => number {
  const order = partsInOrder(formula.expr);
  const slots = new Map(order.map((expr, slot) => [expr, slot]));
  const steps = order.map((expr) => stepOf(expr, slots, formula.tables, given));
  const values = new Float64Array(order.length);
  return (point) => {
    for (let i = 0; i < steps.length; i++) values[i] = steps[i]!(point, values);
    return values[values.length - 1]!;
  };
}

/** One value of a formula. For many points, make an `indexEvaluator` once. */
export const evaluateIndex = (formula: IndexFormula, point: IndexPoint, given?: TableValues): number =>
  indexEvaluator(formula, given)(point);

function stepOf(
  expr: IndexExpr,
  slots: ReadonlyMap<IndexExpr, number>,
  tables: readonly IndexTable[],
  given: TableValues,
): Step {
  switch (expr.kind) {
    case "number":
      return () => expr.value;
    case "index":
      return (point) => point[expr.name];
    case "length":
      return ({ lengths }) => lengths?.[expr.name] ?? fail("QKV240", `no length ${expr.name} is given`);
    case "score":
      return ({ s }) => s ?? fail("QKV240", "no score is given");
    case "apply": {
      const { evaluate } = indexFunctions[expr.fn];
      const [x = 0, y = 0, z = 0] = expr.args.map((arg) => slots.get(arg)!);
      return (_, values) => evaluate(values[x]!, values[y]!, values[z]!);
    }
    case "lookup": {
      const table = tables[expr.table];
      invariant(table !== undefined, `there is no table ${expr.table}`);
      const content = table.kind === "constant" ? table : given.get(expr.table);
      if (!content) return fail("QKV240", `no values are given for ${table.name}`);
      const at = expr.at.map((part) => slots.get(part)!);
      return (_, values) => elementAt(content, at, values);
    }
  }
}

function elementAt(
  { dims, data }: { readonly dims: readonly number[]; readonly data: ArrayLike<number> },
  at: readonly number[],
  values: Float64Array,
): number {
  let offset = 0;
  for (let axis = 0; axis < dims.length; axis++) {
    const i = values[at[axis]!]!;
    if (!(Number.isInteger(i) && i >= 0 && i < dims[axis]!)) return Number.NaN;
    offset = offset * dims[axis]! + i;
  }
  return data[offset]!;
}
