import { indexFunctions } from "../index-expr/functions.ts";
import { type IndexExpr, type IndexTable, partsInOrder } from "../index-expr/types.ts";
import { rangeTable } from "./range-table.ts";

/** An integer combination of parts: constant + Σ coefficient · part. */
export interface LinearForm {
  readonly constant: number;
  readonly terms: ReadonlyMap<IndexExpr, number>;
}

/** Coefficients beyond are left alone: their products with indices might not be exact. */
const largest = 2 ** 24;

const integerValued = new Set(["floor", "ceil", "round", "trunc", "sign"]);
const integerOfIntegers = new Set(["add", "sub", "mul", "mod", "neg", "min", "max", "abs", "select"]);

/** The parts of `root` that are integers (or NaN) whatever the indices are. */
export function integralParts(root: IndexExpr, tables: readonly IndexTable[]): ReadonlySet<IndexExpr> {
  const found = new Set<IndexExpr>();
  for (const expr of partsInOrder(root)) if (isIntegral(expr, tables, found)) found.add(expr);
  return found;
}

function isIntegral(expr: IndexExpr, tables: readonly IndexTable[], found: ReadonlySet<IndexExpr>): boolean {
  switch (expr.kind) {
    case "number":
      return Number.isInteger(expr.value);
    case "index":
    case "length":
      return true;
    case "score":
      return false;
    case "lookup": {
      const table = tables[expr.table];
      if (!table) return false;
      return table.truth || (table.kind === "constant" && rangeTable(table).integer);
    }
    case "apply": {
      const { truth, bits } = indexFunctions[expr.fn];
      if (truth || bits || integerValued.has(expr.fn)) return true;
      const args = expr.fn === "select" ? expr.args.slice(1) : expr.args;
      return integerOfIntegers.has(expr.fn) && args.every((arg) => found.has(arg));
    }
  }
}

/** Every integral part as a linear form over parts that are no sums themselves. */
export function linearForms(
  root: IndexExpr,
  integral: ReadonlySet<IndexExpr>,
  lengthOf: (name: "B" | "H" | "Q" | "K") => number | undefined = () => undefined,
): ReadonlyMap<IndexExpr, LinearForm> {
  const forms = new Map<IndexExpr, LinearForm>();
  for (const expr of partsInOrder(root)) {
    if (!integral.has(expr)) continue;
    forms.set(expr, formOf(expr, forms, lengthOf) ?? { constant: 0, terms: new Map([[expr, 1]]) });
  }
  return forms;
}

function formOf(
  expr: IndexExpr,
  forms: ReadonlyMap<IndexExpr, LinearForm>,
  lengthOf: (name: "B" | "H" | "Q" | "K") => number | undefined,
): LinearForm | undefined {
  if (expr.kind === "number") return bounded({ constant: expr.value + 0, terms: new Map() });
  if (expr.kind === "length") {
    const value = lengthOf(expr.name);
    return value === undefined ? undefined : bounded({ constant: value, terms: new Map() });
  }
  if (expr.kind !== "apply") return undefined;
  const [x, y] = expr.args.map((arg) => forms.get(arg));
  if (!x) return undefined;
  if (expr.fn === "neg") return scaled(x, -1);
  if (!y) return undefined;
  if (expr.fn === "add") return combined(x, y, 1);
  if (expr.fn === "sub") return combined(x, y, -1);
  if (expr.fn !== "mul") return undefined;
  if (y.terms.size === 0) return scaled(x, y.constant);
  return x.terms.size === 0 ? scaled(y, x.constant) : undefined;
}

const bounded = (form: LinearForm): LinearForm | undefined => {
  if (Math.abs(form.constant) > largest) return undefined;
  for (const coefficient of form.terms.values()) if (Math.abs(coefficient) > largest) return undefined;
  return form;
};

const scaled = ({ constant, terms }: LinearForm, factor: number): LinearForm | undefined =>
  bounded({
    constant: constant * factor,
    terms: new Map([...terms].map(([part, coefficient]) => [part, coefficient * factor])),
  });

/** x + sign · y. */
export function combined(x: LinearForm, y: LinearForm, sign: 1 | -1): LinearForm | undefined {
  const terms = new Map(x.terms);
  for (const [part, coefficient] of y.terms) {
    const sum = (terms.get(part) ?? 0) + sign * coefficient;
    // What may be NaN does not cancel: its term stays, with coefficient 0.
    if (sum === 0 && part.kind === "index") terms.delete(part);
    else terms.set(part, sum);
  }
  return bounded({ constant: x.constant + sign * y.constant, terms });
}
