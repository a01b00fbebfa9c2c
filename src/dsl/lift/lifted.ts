import type { ts } from "ts-morph";
import type { DiagnosticDetails } from "../../ir/diagnostics.ts";
import type { Dim } from "../../ir/dim.ts";
import { type Bounds, boundsWithin, type KnownLengths } from "../../ir/index-expr/bounds.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import {
  constant,
  type IndexExpr,
  type IndexTable,
  type LengthName,
  type Lengths,
  length,
} from "../../ir/index-expr/types.ts";
import { describe } from "../checks.ts";
import { Tensor } from "../tensor.ts";
import { type Captures, capturesOf, type LiveFunction } from "./captures.ts";
import type { FunctionNode } from "./function-source.ts";
import type { IndexCheck } from "./index-checks.ts";

/** What an expression of a mask or score function stands for while it is lifted. */
export type Lifted =
  /** NaN where it is undefined, which is everywhere but in `present`. */
  | { readonly kind: "number"; readonly expr: IndexExpr; readonly present?: IndexExpr }
  | { readonly kind: "truth"; readonly expr: IndexExpr }
  /** A value that exists now: an array, a function, a text, a tensor of the model. */
  | { readonly kind: "live"; readonly value: unknown; readonly name: string }
  /** A table with fewer indices than axes so far. */
  | { readonly kind: "row"; readonly table: number; readonly at: readonly IndexExpr[] }
  | { readonly kind: "record"; readonly entries: ReadonlyMap<string, Lifted> }
  | { readonly kind: "list"; readonly items: readonly Lifted[] }
  | { readonly kind: "closure"; readonly node: FunctionNode; readonly scope: Scope }
  /** An object of a captured list, which one the indices say. */
  | { readonly kind: "member"; readonly of: readonly object[]; readonly name: string; readonly at: IndexExpr }
  /** One of two functions. */
  | { readonly kind: "either"; readonly condition: IndexExpr; readonly yes: Lifted; readonly no: Lifted }
  /** What JavaScript calls undefined; `name` is what answered it, `mending` what to do about it. */
  | { readonly kind: "nothing"; readonly name?: string; readonly mending?: Pick<DiagnosticDetails, "notes" | "help"> };

export interface Variable {
  value: Lifted;
  readonly fixed: boolean;
  /** How deep the call is whose variable it is: deeper calls see it when they have returned. */
  readonly depth: number;
}

/** Names in sight: those of the function itself first, then what its outer function declared, then what it captured. */
export interface Scope {
  readonly variables: Map<string, Variable>;
  readonly outer: Scope | undefined;
  /** The scope of a function's parameters, where its `var`s live. */
  readonly ofFunction?: true;
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
  if (lifted.kind === "number" && lifted.present) return undefined;
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
    case "either":
      return "a function";
    case "member":
      return "an object";
    case "nothing":
      return "undefined";
  }
}

/** Parts of the lifting that need one another: calls run bodies, bodies hold expressions, expressions call and assign. */
export interface Parts {
  readonly call: (cx: Lifting, node: ts.CallExpression | ts.NewExpression, scope: Scope) => Lifted;
  /** Assignments and steps; undefined for what is none. */
  readonly assignment: (cx: Lifting, node: ts.Expression, scope: Scope) => Lifted | undefined;
}

/** State of lifting one function. */
export class Lifting {
  readonly lengths: Lengths;
  readonly parts: Parts;
  readonly tables: IndexTable[] = [];
  readonly bounds: (expr: IndexExpr) => Bounds;
  /** What holds for the indices for which the part under way is reached. */
  readonly conditions: IndexExpr[] = [];
  /** Where what lies outside of a table is undefined and no mistake: collects for which indices it is inside. */
  inside: IndexExpr[] | undefined;
  /** Checks that wait for lengths: they throw QKV148. */
  readonly later: IndexCheck["run"][] = [];
  /** Calls under way. */
  depth = 0;
  steps = 0;
  /** Parts of formulas searched for indices that leave a table. */
  effort = 0;
  /** Values that variables had before the branch under way changed them. */
  #changed: Map<Variable, Lifted> | undefined;
  readonly #numbers = new Map<unknown, number>();
  readonly #derived = new Map<object, Map<string, readonly unknown[]>>();
  readonly #captures = new Map<LiveFunction, Captures | undefined>();

  constructor(lengths: Lengths, parts: Parts) {
    this.lengths = lengths;
    this.parts = parts;
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

  /** A list made of another one, the same whenever asked for. */
  derived(of: object, key: string, make: () => readonly unknown[]): readonly unknown[] {
    let all = this.#derived.get(of);
    if (!all) this.#derived.set(of, (all = new Map()));
    let values = all.get(key);
    if (!values) all.set(key, (values = make()));
    return values;
  }

  /** What a function captured, looked up once: a variable has one value while a formula is read. */
  capturesOf(fn: LiveFunction): Captures | undefined {
    if (!this.#captures.has(fn)) this.#captures.set(fn, capturesOf(fn));
    return this.#captures.get(fn);
  }

  /** A live value as what it stands for; a dimension that is one of the attention's own is a length. */
  live(value: unknown, name: string): Lifted {
    if (typeof value === "object" && value !== null)
      for (const [axis, dim] of Object.entries(this.lengths) as [LengthName, Dim][])
        if (dim === value) return numeric(length(axis));
    return fromLive(value, name);
  }

  assign(variable: Variable, value: Lifted): void {
    if (this.#changed && !this.#changed.has(variable)) this.#changed.set(variable, variable.value);
    variable.value = value;
  }

  /** Runs what is reached where `condition` holds. */
  where<T>(condition: IndexExpr, body: () => T): T {
    if (condition === always) return body();
    this.conditions.push(condition);
    try {
      return body();
    } finally {
      this.conditions.pop();
    }
  }

  /** Runs one of two branches; answers the variables it changed, which then have their old values again. */
  branch<T>(
    condition: IndexExpr,
    body: () => T,
  ): { readonly result: T; readonly changes: ReadonlyMap<Variable, Lifted> } {
    const outer = this.#changed;
    const before = new Map<Variable, Lifted>();
    this.#changed = before;
    try {
      const result = this.where(condition, body);
      const changes = new Map([...before.keys()].map((variable) => [variable, variable.value] as const));
      for (const [variable, value] of before) variable.value = value;
      return { result, changes };
    } finally {
      this.#changed = outer;
    }
  }

  /** Runs what is not asked whether it is undefined. */
  strictly<T>(body: () => T): T {
    const { inside } = this;
    this.inside = undefined;
    try {
      return body();
    } finally {
      this.inside = inside;
    }
  }

  /** Whether a number counts as true: not 0, not NaN. */
  truthy(expr: IndexExpr): IndexExpr {
    if (this.bounds(expr).finite) return simplified("notEqual", expr, constant(0));
    return simplified("greater", simplified("abs", expr), constant(0));
  }
}
