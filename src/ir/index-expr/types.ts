import { invariant } from "../diagnostics.ts";
import type { Dim } from "../dim.ts";
import type { Value } from "../graph.ts";
import { type IndexFn, indexFunctions } from "./functions.ts";

export type IndexName = "b" | "h" | "q" | "k";
export type LengthName = "B" | "H" | "Q" | "K";
/** The length of the axis an index runs along. */
export const lengthOf = { b: "B", h: "H", q: "Q", k: "K" } as const satisfies Readonly<Record<IndexName, LengthName>>;
/** The sizes of the attention a formula belongs to. */
export type Lengths = Readonly<Record<LengthName, Dim>>;

/**
 * A formula over the indices of one attention score: what a mask, score or prob function means. Booleans are 0 and 1.
 * Interned: the same formula is the same object, so `===` compares and shared parts are shared.
 */
export type IndexExpr =
  | { readonly kind: "number"; readonly value: number }
  /** Batch, query head, query and key, each counted from 0. */
  | { readonly kind: "index"; readonly name: IndexName }
  /** How many there are of each; may be symbolic when the model is compiled. */
  | { readonly kind: "length"; readonly name: LengthName }
  /** The score (or the probability) the function is given. */
  | { readonly kind: "score" }
  | { readonly kind: "apply"; readonly fn: IndexFn; readonly args: readonly IndexExpr[] }
  /** Element of table number `table`; as many indices as it has axes. */
  | { readonly kind: "lookup"; readonly table: number; readonly at: readonly IndexExpr[] };

/** What `lookup` reads. */
export type IndexTable = { readonly name: string; readonly truth: boolean } & (
  | { readonly kind: "constant"; readonly dims: readonly number[]; readonly data: Float64Array }
  /** A tensor of the model; its shape may be symbolic. */
  | { readonly kind: "tensor"; readonly value: Value }
);

/** An expression with the tables it reads. */
export interface IndexFormula {
  readonly expr: IndexExpr;
  readonly tables: readonly IndexTable[];
}

const interned = new Map<string, IndexExpr>();
const numbers = new WeakMap<IndexExpr, number>();

function intern(key: string, expr: IndexExpr): IndexExpr {
  const known = interned.get(key);
  if (known) return known;
  interned.set(key, Object.freeze(expr));
  numbers.set(expr, interned.size);
  return expr;
}

const keys = (args: readonly IndexExpr[]) => args.map((arg) => numbers.get(arg)).join(" ");

/** Text that is equal exactly where two formulas are the same object. */
export const formulaKey = (expr: IndexExpr): string => String(numbers.get(expr));

/** Whether a value is a formula made here. */
export const isFormula = (value: unknown): value is IndexExpr =>
  typeof value === "object" && value !== null && numbers.has(value as IndexExpr);

/** A number; `true` and `false` are 1 and 0. -0 and 0 differ. */
export function constant(value: number | boolean): IndexExpr {
  const number = Number(value);
  return intern(`n${Object.is(number, -0) ? "-0" : number}`, { kind: "number", value: number });
}

export const index = (name: IndexName): IndexExpr => intern(name, { kind: "index", name });
export const length = (name: LengthName): IndexExpr => intern(name, { kind: "length", name });
export const score = (): IndexExpr => intern("s", { kind: "score" });

/** `fn` of `args`, as it stands: nothing is simplified. */
export function applied(fn: IndexFn, ...args: readonly IndexExpr[]): IndexExpr {
  invariant(args.length === indexFunctions[fn].arity, `${fn} takes ${indexFunctions[fn].arity} arguments`);
  return intern(`${fn} ${keys(args)}`, { kind: "apply", fn, args });
}

export const lookup = (table: number, at: readonly IndexExpr[]): IndexExpr =>
  intern(`t${table} ${keys(at)}`, { kind: "lookup", table, at });

/** What an expression is made of directly. */
export const partsOf = (expr: IndexExpr): readonly IndexExpr[] =>
  expr.kind === "apply" ? expr.args : expr.kind === "lookup" ? expr.at : [];

/** Every part of an expression once, parts before what is made of them; itself last. */
export function partsInOrder(root: IndexExpr): readonly IndexExpr[] {
  const order: IndexExpr[] = [];
  const seen = new Set<IndexExpr>();
  const stack: { readonly expr: IndexExpr; next: number }[] = [{ expr: root, next: 0 }];
  seen.add(root);
  while (stack.length > 0) {
    const top = stack.at(-1)!;
    const part = partsOf(top.expr)[top.next++];
    if (part === undefined) {
      order.push(top.expr);
      stack.pop();
    } else if (!seen.has(part)) {
      seen.add(part);
      stack.push({ expr: part, next: 0 });
    }
  }
  return order;
}

/** Whether a score is read anywhere in an expression. */
export const readsScore = (expr: IndexExpr): boolean => partsInOrder(expr).includes(score());

/**
 * How many times as many parts an expression has where shared ones count at every use: what looks at them so takes as much
 * longer. In a loop that doubles them it grows without bounds.
 */
export function sharing(root: IndexExpr): number {
  const sizes = new Map<IndexExpr, number>();
  for (const part of partsInOrder(root))
    sizes.set(
      part,
      partsOf(part).reduce((size, inner) => size + sizes.get(inner)!, 1),
    );
  return sizes.get(root)! / sizes.size;
}

/** What nested `fn`s are applied to, each once, from left to right: the operands of a conjunction, and the like. */
export function joinedBy(fn: IndexFn, root: IndexExpr): readonly IndexExpr[] {
  const found: IndexExpr[] = [];
  const pending = [root];
  const seen = new Set<IndexExpr>();
  for (let part = pending.pop(); part; part = pending.pop()) {
    if (seen.has(part)) continue;
    seen.add(part);
    if (part.kind === "apply" && part.fn === fn) pending.push(...part.args.toReversed());
    else found.push(part);
  }
  return found;
}

/** Whether an expression answers 0 or 1 because of what it is: a comparison, logic, a table of booleans. */
export function isTruth(root: IndexExpr, tables: readonly IndexTable[] = []): boolean {
  if (root.kind !== "apply" || root.fn !== "select") return isOwnTruth(root, tables);
  const answers = new Set<IndexExpr>([root]);
  for (const expr of answers) {
    if (expr.kind === "apply" && expr.fn === "select") answers.add(expr.args[1]!).add(expr.args[2]!);
    else if (!isOwnTruth(expr, tables)) return false;
  }
  return true;
}

const isOwnTruth = (expr: IndexExpr, tables: readonly IndexTable[]): boolean =>
  expr.kind === "apply"
    ? indexFunctions[expr.fn].truth === true
    : expr.kind === "lookup"
      ? tables[expr.table]?.truth === true
      : expr.kind === "number" && (expr.value === 1 || Object.is(expr.value, 0));
