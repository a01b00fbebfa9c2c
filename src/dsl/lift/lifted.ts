import type { ts } from "ts-morph";
import { type Bounds, boundsWithin, type KnownLengths } from "../../ir/index-expr/bounds.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr, type IndexTable, type LengthName, type Lengths } from "../../ir/index-expr/types.ts";
import { describe } from "../checks.ts";
import { Tensor } from "../tensor.ts";
import type { FunctionNode } from "./function-source.ts";

/** What an expression of a mask or score function stands for while it is lifted. */
export type Lifted =
  | { readonly kind: "number"; readonly expr: IndexExpr }
  | { readonly kind: "truth"; readonly expr: IndexExpr }
  /** A value that exists now: an array, a function, a text, a tensor of the model. */
  | { readonly kind: "live"; readonly value: unknown; readonly name: string }
  /** A table with fewer indices than axes so far. */
  | { readonly kind: "row"; readonly table: number; readonly at: readonly IndexExpr[] }
  | { readonly kind: "record"; readonly entries: ReadonlyMap<string, Lifted> }
  | { readonly kind: "list"; readonly items: readonly Lifted[] }
  | { readonly kind: "closure"; readonly node: FunctionNode; readonly scope: Scope }
  | { readonly kind: "nothing" };

export interface Variable {
  value: Lifted;
  readonly fixed: boolean;
}

/** Names in sight: those of the function itself first, then what its outer function declared, then what it captured. */
export interface Scope {
  readonly variables: Map<string, Variable>;
  readonly outer: Scope | undefined;
  /** Looks a captured name up; only the outermost scope of a live function has it. */
  readonly captured?: (name: string) => Lifted | undefined;
}

export const nothing: Lifted = { kind: "nothing" };
export const numeric = (expr: IndexExpr): Lifted => ({ kind: "number", expr });
export const truthOf = (expr: IndexExpr): Lifted => ({ kind: "truth", expr });
export const never = constant(0);
export const always = constant(1);

/** A live value as what it stands for: numbers and truth are constants. */
export function fromLive(value: unknown, name: string): Lifted {
  if (typeof value === "number") return numeric(constant(value));
  if (typeof value === "bigint") return { kind: "live", value, name };
  if (typeof value === "boolean") return truthOf(constant(value));
  return value === undefined ? nothing : { kind: "live", value, name };
}

/** The value itself where it is known now. */
export function knownValue(lifted: Lifted): { readonly value: unknown } | undefined {
  if (lifted.kind === "live") return { value: lifted.value };
  if (lifted.kind === "nothing") return { value: undefined };
  if ((lifted.kind === "number" || lifted.kind === "truth") && lifted.expr.kind === "number")
    return { value: lifted.kind === "truth" ? lifted.expr.value !== 0 : lifted.expr.value };
  return undefined;
}

/** Short text for messages. */
export function describeLifted(lifted: Lifted): string {
  switch (lifted.kind) {
    case "number":
      return lifted.expr.kind === "number" ? String(lifted.expr.value) : "a number";
    case "truth":
      return "true or false";
    case "live":
      return lifted.value instanceof Tensor ? "a tensor" : describe(lifted.value);
    case "row":
      return "a row of a table";
    case "record":
      return "an object";
    case "list":
      return "a list";
    case "closure":
      return "a function";
    case "nothing":
      return "undefined";
  }
}

/** State of lifting one function. */
export class Lifting {
  readonly lengths: Lengths;
  readonly tables: IndexTable[] = [];
  readonly bounds: (expr: IndexExpr) => Bounds;
  /** Conditions around what is being lifted: what stands there may not be reached for every index. */
  guards = 0;
  /** Calls under way. */
  depth = 0;
  steps = 0;
  /** Values that variables had before the branch under way changed them. */
  changed: Map<Variable, Lifted> | undefined;
  readonly #numbers = new Map<unknown, number>();

  /** How a call is lifted; given, because calls run bodies and bodies call. */
  readonly call: (cx: Lifting, node: ts.CallExpression, scope: Scope) => Lifted;

  constructor(lengths: Lengths, call: Lifting["call"]) {
    this.lengths = lengths;
    this.call = call;
    const known: KnownLengths = Object.fromEntries(
      Object.entries(lengths).filter((entry): entry is [LengthName, number] => typeof entry[1] === "number"),
    );
    this.bounds = boundsWithin(known, this.tables);
  }

  /** The number of a table; the same source has one number. */
  table(source: unknown, make: () => IndexTable): number {
    let number = this.#numbers.get(source);
    if (number === undefined) {
      number = this.tables.push(make()) - 1;
      this.#numbers.set(source, number);
    }
    return number;
  }

  assign(variable: Variable, value: Lifted): void {
    if (this.changed && !this.changed.has(variable)) this.changed.set(variable, variable.value);
    variable.value = value;
  }

  /** Runs one of two branches; answers the variables it changed, which then have their old values again. */
  branch<T>(body: () => T): { readonly result: T; readonly changes: ReadonlyMap<Variable, Lifted> } {
    const outer = this.changed;
    const before = new Map<Variable, Lifted>();
    this.changed = before;
    this.guards++;
    try {
      const result = body();
      const changes = new Map([...before.keys()].map((variable) => [variable, variable.value] as const));
      for (const [variable, value] of before) variable.value = value;
      return { result, changes };
    } finally {
      this.guards--;
      this.changed = outer;
    }
  }

  /** Whether a number counts as true: not 0, not NaN. */
  truthy(expr: IndexExpr): IndexExpr {
    if (this.bounds(expr).finite) return simplified("notEqual", expr, constant(0));
    return simplified("greater", simplified("abs", expr), constant(0));
  }
}
