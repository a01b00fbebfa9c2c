import type { ts } from "ts-morph";
import { fail, QkvError } from "../../ir/diagnostics.ts";
import { simplifyIndex } from "../../ir/index-expr/simplify.ts";
import {
  constant,
  type IndexExpr,
  type IndexFormula,
  index,
  type Lengths,
  lengthOf,
  score,
} from "../../ir/index-expr/types.ts";
import { activeBuilder } from "../builder.ts";
import { describe } from "../checks.ts";
import { loadTypeScript } from "../source.ts";
import { Tensor } from "../tensor.ts";
import { assignment } from "./assignments.ts";
import { call, scopeOf } from "./calls.ts";
import type { LiveFunction } from "./captures.ts";
import { type FunctionNode, functionNode, refuse } from "./function-source.ts";
import { describeLifted, type Lifted, Lifting, numeric } from "./lifted.ts";
import { invoked } from "./statements.ts";
import { isFunction } from "./values.ts";

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
 * function. Throws QKV140 to QKV153 with the place in the author's file.
 */
export function liftFunction(fn: unknown, kind: FunctionKind, lengths: Lengths): IndexFormula {
  if (typeof fn !== "function")
    return fail("QKV140", `${kind} is ${describe(fn)}, not a function`, {
      option: kind,
      help:
        kind === "mask"
          ? "write ({ q, k }) => …, or give a bool tensor; without a mask every key is seen"
          : `write ${given[kind]} => …`,
    });
  const live = fn as LiveFunction;
  const node = functionNode(live, `the ${kind}`, kind);
  checkParameters(node, kind);
  const cx = new Lifting(lengths, { call, assignment });
  const at: Lifted = {
    kind: "record",
    entries: new Map((["b", "h", "q", "k"] as const).map((name) => [name, numeric(axisIndex(lengths, name))])),
  };
  const args = kind === "mask" ? [at] : [numeric(score()), at];
  const answer = withinStack(() => invoked(cx, node, scopeOf(cx, live), args), node);
  const wanted = kind === "mask" ? "truth" : "number";
  if (answer.kind !== wanted || (answer.kind === "number" && answer.present)) refuseAnswer(answer, kind, node);
  activeBuilder()?.indexChecks.push(...cx.later.map((run) => ({ lengths, run })));
  return { expr: simplifyIndex((answer as { readonly expr: IndexExpr }).expr), tables: cx.tables };
}

function refuseAnswer(answer: Lifted, kind: FunctionKind, node: FunctionNode): never {
  const wanted = kind === "mask" ? "true or false" : "a number";
  const isTensor = answer.kind === "live" && answer.value instanceof Tensor;
  const help =
    answer.kind === "number" && wanted === "a number"
      ? "end it with a return that no condition guards, and give its variables numbers on every path"
      : answer.kind === "nothing"
        ? "write return before the answer, or leave the braces away: ({ q, k }) => …"
        : isFunction(answer)
          ? "call it with the indices, as in inner(at), or give the function itself"
          : kind !== "mask"
            ? `answer the ${kind === "score" ? "score" : "weight"} as a number; what may be seen is a mask`
            : isTensor
              ? `give the tensor itself, { mask: ${answer.name} }, or index it: ${answer.name}[q][k]`
              : /[^&|][&|][^&|]/.test(answered(node).getText())
                ? "& and | answer numbers: write && and ||"
                : "write a condition: true is where a query may see a key; numbers added to scores are a score function";
  const said = answer.kind === "number" && answer.present ? "a number or undefined" : describeLifted(answer);
  refuse("QKV146", `the ${kind} answers ${said}, not ${wanted}`, answered(node), { help });
}

/** Where a function says what it answers. */
function answered(node: FunctionNode): ts.Node {
  const t = loadTypeScript();
  const { body } = node;
  const last = body && t.isBlock(body) ? body.statements.at(-1) : undefined;
  return (last && t.isReturnStatement(last) ? last.expression : undefined) ?? body ?? node;
}

/** What the functions are called with. */
const given = {
  mask: "({ b, h, q, k })",
  score: "(s, { b, h, q, k })",
  prob: "(p, { b, h, q, k })",
} as const;

/** Throws QKV153 where a function waits for what it is not given. */
function checkParameters({ parameters }: FunctionNode, kind: FunctionKind): void {
  const t = loadTypeScript();
  const extra = parameters
    .slice(kind === "mask" ? 1 : 2)
    .find((parameter) => !parameter.initializer && !parameter.dotDotDotToken);
  const [first] = parameters;
  if (extra)
    refuse("QKV153", `the ${kind} has a parameter that it is not given: ${extra.getText()}`, extra, {
      help: `it is called with ${given[kind]}: the indices come as one object`,
    });
  if (kind !== "mask" && first && !t.isIdentifier(first.name))
    refuse("QKV153", `the ${kind} takes its first parameter apart, which is a number`, first, {
      help: `it is called with ${given[kind]}`,
    });
}

/** An axis of size 1 has one index. */
const axisIndex = (lengths: Lengths, name: "b" | "h" | "q" | "k"): IndexExpr =>
  lengths[lengthOf[name]] === 1 ? constant(0) : index(name);

/** Source nested deeper than the stack is deep is an error like others. */
function withinStack(body: () => Lifted, node: FunctionNode): Lifted {
  try {
    return body();
  } catch (error) {
    if (error instanceof QkvError || !(error instanceof RangeError)) throw error;
    return refuse("QKV152", "the function is nested too deeply", node, {
      help: "a function that calls itself must stop by what is known when the model is built, not by the indices",
    });
  }
}
