import type { ts } from "ts-morph";
import { simplified } from "../../ir/index-expr/simplify.ts";
import type { IndexExpr } from "../../ir/index-expr/types.ts";
import { always, type Lifted, type Lifting, never } from "./lifted.ts";
import { choose, chooseTruth, fork } from "./values.ts";

/** What a statement leaves behind: for which indices it has left the function, the loop, or the turn of the loop. */
export interface Completion {
  readonly returns: IndexExpr;
  /** What the function answers where it has returned. */
  readonly value?: Lifted | undefined;
  readonly breaks: IndexExpr;
  readonly continues: IndexExpr;
}

export const through: Completion = { returns: never, breaks: never, continues: never };

const either = (x: IndexExpr, y: IndexExpr) => simplified("or", x, y);

/** One statement after another, which knows where it is not reached. */
export const followed = (first: Completion, second: Completion, node: ts.Node): Completion => ({
  returns: either(first.returns, second.returns),
  value: later(first.returns, first.value, second.value, node),
  breaks: either(first.breaks, second.breaks),
  continues: either(first.continues, second.continues),
});

/** The value of a return, where an earlier one may have been taken. */
const later = (returned: IndexExpr, first: Lifted | undefined, second: Lifted | undefined, node: ts.Node) =>
  first === undefined ? second : second === undefined ? first : choose(returned, first, second, node);

/** One of two statements. */
export function divided(
  cx: Lifting,
  condition: IndexExpr,
  node: ts.Node,
  yes: () => Completion,
  no: () => Completion,
): Completion {
  if (condition.kind === "number") return condition.value ? yes() : no();
  const [x, y] = fork(cx, condition, node, [yes, no], ({ returns }) => returns !== always);
  return {
    returns: chooseTruth(condition, x.returns, y.returns),
    value: later(condition, x.value, y.value, node),
    breaks: chooseTruth(condition, x.breaks, y.breaks),
    continues: chooseTruth(condition, x.continues, y.continues),
  };
}

/** A statement that is reached where `condition` holds. */
export const under = (cx: Lifting, condition: IndexExpr, node: ts.Node, body: () => Completion): Completion =>
  divided(cx, condition, node, body, () => through);

/**
 * What stands after a conditional return: it is not reached for every index. Own variables are seen by nobody who has
 * returned; those of the functions around are.
 */
export function afterReturn<T>(cx: Lifting, returns: IndexExpr, node: ts.Node, body: () => T): T {
  const reached = not(returns);
  if (reached === always) return body();
  const { result, changes } = cx.branch(reached, body);
  for (const [variable, value] of changes)
    cx.assign(variable, variable.depth === cx.depth ? value : choose(reached, value, variable.value, node));
  return result;
}

/** A condition that is asked where another one holds; never, elsewhere. What asking changes is changed there only. */
export const reachedWhere = (cx: Lifting, condition: IndexExpr, node: ts.Node, asked: () => IndexExpr): IndexExpr =>
  condition === always ? asked() : fork(cx, condition, node, [asked, () => never])[0];

/**
 * Unrolls a loop. `goes` says before each turn for which indices it is taken, `next` steps to the following one.
 * `tooLong` refuses a loop that does not end.
 */
export function unrolled(
  cx: Lifting,
  node: ts.Node,
  goes: () => IndexExpr,
  turn: () => Completion,
  next: (broken: IndexExpr) => void,
  tooLong: (count: number) => void,
): Completion {
  let done = through;
  let broken = never;
  for (let count = 0; ; count++) {
    tooLong(count);
    const turns = afterReturn(cx, done.returns, node, () => reachedWhere(cx, not(broken), node, goes));
    broken = either(broken, not(turns));
    if (either(done.returns, broken) === always) break;
    const { returns, value, breaks } = afterReturn(cx, done.returns, node, () => under(cx, not(broken), node, turn));
    done = followed(done, { ...through, returns, value }, node);
    broken = either(broken, breaks);
    if (either(done.returns, broken) === always) break;
    next(broken);
  }
  return done;
}

const not = (x: IndexExpr) => simplified("not", x);
