import type { Build } from "../../ir/arena.ts";
import type { AttrValue } from "../../ir/attrs.ts";
import { fail } from "../../ir/diagnostics.ts";
import type { Value } from "../../ir/graph.ts";
import type { Target } from "../target.ts";
import { boundNames, rootOps, showTerm, type Term } from "./term.ts";

/** How results may differ: not at all; by rounding, as another order of the same sums does; by more, as stated. */
export type Tolerance = "exact" | "reordered" | "approximate";

/** What a pattern found. */
export interface Match {
  readonly root: Value;
  readonly target: Target;
  /** A variable or constant; throws QKV303 where the spelling that matched does not bind it. */
  value(name: string): Value;
  /** The same, undefined where the spelling that matched does not bind it. */
  optional(name: string): Value | undefined;
  /** The number of a constant. */
  number(name: string): number;
  attr<T extends AttrValue>(name: string): T;
}

/** Makes the right side. A text refuses, with the reason; undefined passes in silence. */
export type Builder = (m: Match, b: Build) => Value | readonly Value[] | string | undefined;

export interface Rule {
  readonly name: string;
  /** The algebra in one line, for documentation. */
  readonly formula: string;
  /** A fusion's interior must not be needed outside of it; an algebraic rule may leave its interior alive. */
  readonly kind: "rule" | "fusion";
  readonly left: Term;
  readonly right: Term | Builder;
  /** `true`, or the reason the rule refuses. */
  readonly guard?: (m: Match) => true | string;
  /** Reasons of the guard and the builder, for documentation. */
  readonly refuses?: readonly string[];
  readonly tolerance: Tolerance;
}

type RuleInput = Omit<Rule, "kind" | "tolerance" | "formula"> & {
  readonly tolerance?: Tolerance;
  readonly formula?: string;
};

function declare(input: RuleInput, kind: Rule["kind"]): Rule {
  if (rootOps(input.left) === undefined) fail("QKV303", `the left side of ${input.name} matches anything`);
  if (typeof input.right !== "function") checkBound(input.name, input.left, input.right);
  const formula =
    input.formula ??
    (typeof input.right === "function"
      ? fail("QKV303", `${input.name} is built by a function and needs a formula`)
      : `${showTerm(input.left)} = ${showTerm(input.right)}`);
  return { tolerance: "exact", ...input, formula, kind };
}

function checkBound(name: string, left: Term, right: Term): void {
  const { always } = boundNames(left);
  for (const used of boundNames(right).ever)
    if (!always.has(used))
      fail("QKV303", `the right side of ${name} uses "${used}", which the left does not always bind`);
}

/** An identity: left equals right. Throws QKV303 where the right side uses what the left does not bind. */
export const rule = (input: RuleInput): Rule => declare(input, "rule");
/** Several nodes into fewer, whose interior must not be used elsewhere. */
export const fusion = (input: RuleInput): Rule => declare({ tolerance: "reordered", ...input }, "fusion");
