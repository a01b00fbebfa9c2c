import { fail, QkvError } from "../../ir/diagnostics.ts";
import { simplifyIndex } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr, type IndexFormula, index, type Lengths, score } from "../../ir/index-expr/types.ts";
import { describe } from "../checks.ts";
import { call, scopeOf } from "./calls.ts";
import type { LiveFunction } from "./captures.ts";
import { functionNode, refuse } from "./function-source.ts";
import { describeLifted, type Lifted, Lifting, numeric } from "./lifted.ts";
import { invoked } from "./statements.ts";

/** Where one attention score stands, each counted from 0. */
export interface ScoreIndex {
  /** Sequence of the batch. */
  readonly b: number;
  /** Query head. */
  readonly h: number;
  /** Query position. */
  readonly q: number;
  /** Key position. */
  readonly k: number;
}

/** Whether a query sees a key. */
export type MaskFunction = (at: ScoreIndex) => boolean;
/** The score that takes the place of `s`, which is scale · q kᵀ. */
export type ScoreFunction = (s: number, at: ScoreIndex) => number;
/** The weight that takes the place of `p`, which the normaliser answered. */
export type ProbFunction = (p: number, at: ScoreIndex) => number;

export type FunctionKind = "mask" | "score" | "prob";

/**
 * The formula a mask, score or prob function computes, read from its source; what it captured is looked up in the live
 * function. Throws QKV140 to QKV152 with the place in the author's file.
 */
export function liftFunction(fn: unknown, kind: FunctionKind, lengths: Lengths): IndexFormula {
  if (typeof fn !== "function") return fail("QKV140", `${kind} is ${describe(fn)}, not a function`);
  const live = fn as LiveFunction;
  const node = functionNode(live, `the ${kind}`);
  const cx = new Lifting(lengths, call);
  const at: Lifted = {
    kind: "record",
    entries: new Map((["b", "h", "q", "k"] as const).map((name) => [name, numeric(axisIndex(lengths, name))])),
  };
  const args = kind === "mask" ? [at] : [numeric(score()), at];
  const answer = withinStack(() => invoked(cx, node, scopeOf(live, node), args), node);
  const wanted = kind === "mask" ? "truth" : "number";
  if (answer.kind !== wanted)
    refuse(
      "QKV146",
      `the ${kind} answers ${describeLifted(answer)}, not ${kind === "mask" ? "true or false" : "a number"}`,
      bodyOf(node),
      {
        help:
          kind === "mask"
            ? "write a condition: true is where a query may see a key; numbers added to scores are a score function"
            : `answer the ${kind === "score" ? "score" : "weight"} as a number; what may be seen is a mask`,
      },
    );
  return { expr: simplifyIndex((answer as { readonly expr: IndexExpr }).expr), tables: cx.tables };
}

const lengthOf = { b: "B", h: "H", q: "Q", k: "K" } as const;

/** An axis of size 1 has one index. */
const axisIndex = (lengths: Lengths, name: "b" | "h" | "q" | "k"): IndexExpr =>
  lengths[lengthOf[name]] === 1 ? constant(0) : index(name);

type Node = ReturnType<typeof functionNode>;
const bodyOf = (node: Node) => node.body ?? node;

/** Source nested deeper than the stack is deep is an error like others. */
function withinStack(body: () => Lifted, node: Node): Lifted {
  try {
    return body();
  } catch (error) {
    if (error instanceof QkvError || !(error instanceof RangeError)) throw error;
    return refuse("QKV152", "the function is nested too deeply", node);
  }
}
