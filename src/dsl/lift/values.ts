import type { ts } from "ts-morph";
import { type Dim, show } from "../../ir/dim.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr } from "../../ir/index-expr/types.ts";
import { Tensor } from "../tensor.ts";
import { refuse } from "./function-source.ts";
import {
  always,
  describeLifted,
  knownValue,
  type Lifted,
  type Lifting,
  never,
  truthOf,
  type Variable,
} from "./lifted.ts";

/** A number; truth counts as 0 and 1, as in JavaScript's arithmetic. Throws QKV149, QKV151. */
export function asNumber(value: Lifted, node: ts.Node): IndexExpr {
  if (value.kind === "number" || value.kind === "truth") return value.expr;
  if (value.kind === "live" && value.value instanceof Tensor)
    return refuse("QKV149", `${value.name} is a tensor; a formula reads its elements`, node, {
      help: `index it: ${value.name}${value.value.shape.map((size, axis) => (size === 1 ? "[0]" : `[${"bhqk"[axis]}]`)).join("")}`,
    });
  if (value.kind === "row")
    return refuse("QKV149", `${node.getText()} has fewer indices than the table has axes`, node, {
      help: "give one index for each axis",
    });
  if (value.kind === "live" && typeof value.value === "bigint")
    return refuse("QKV151", `${node.getText()} is ${value.value}n, a BigInt; a formula computes with numbers`, node, {
      help: `write Number(${value.name}) where it is declared`,
    });
  if (value.kind === "live" && typeof value.value === "string")
    return refuse(
      "QKV151",
      `${node.getText()} is a text${value.name === node.getText() ? "" : `, ${describeLifted(value)}`}, not a number`,
      node,
      {
        help: "a formula computes with numbers; texts can only be compared with texts known when the model is built",
      },
    );
  if (value.kind === "live" && isDim(value.value))
    return refuse(
      "QKV151",
      `${node.getText()} is the length ${show(value.value)}, none of this attention's own`,
      node,
      {
        help: "lengths are read from what attention is given: q.dim(2), k.dim(2)",
      },
    );
  const mending =
    value.kind === "nothing"
      ? value.mending
      : isFunction(value)
        ? { help: `call it: ${node.getText()}(…)` }
        : value.kind === "list" || (value.kind === "live" && Array.isArray(value.value))
          ? { help: `index it: ${node.getText()}[…]` }
          : undefined;
  return refuse("QKV151", `${node.getText()} is ${describeLifted(value)}, not a number`, node, mending);
}

export const isDim = (value: unknown): value is Dim => typeof value === "object" && value !== null && "terms" in value;

/** Whether a value counts as true in JavaScript. */
export function asTruth(cx: Lifting, value: Lifted, node: ts.Node): IndexExpr {
  if (value.kind === "truth") return value.expr;
  if (value.kind === "number") return cx.truthy(value.expr);
  const known = knownValue(value);
  if (known && !(known.value instanceof Tensor)) return constant(Boolean(known.value));
  if (value.kind === "row" || value.kind === "live") return cx.truthy(asNumber(value, node));
  return always;
}

/** A function, or one of two. */
export const isFunction = (value: Lifted) =>
  value.kind === "closure" || value.kind === "either" || (value.kind === "live" && typeof value.value === "function");

/** What has no elements, though it may be no number either. */
const isPlain = (value: Lifted): boolean =>
  value.kind === "truth" ||
  value.kind === "number" ||
  value.kind === "nothing" ||
  (value.kind === "live" && (value.value === null || typeof value.value === "string"));

/** `condition ? x : y`. Throws QKV143 and QKV150 where no formula is both. */
export function choose(condition: IndexExpr, x: Lifted, y: Lifted, node: ts.Node): Lifted {
  if (x === y || condition === always) return x;
  if (condition === never) return y;
  if (x.kind === "number" && y.kind === "number") return chooseNumber(condition, x, y);
  if (x.kind === "number" && y.kind === "nothing") return chooseNumber(condition, x, missing);
  if (x.kind === "nothing" && y.kind === "number") return chooseNumber(condition, missing, y);
  if (x.kind === "truth" && y.kind === "truth") return truthOf(chooseTruth(condition, x.expr, y.expr));
  if (x.kind === "record" && y.kind === "record") {
    const names = [...x.entries.keys()].filter((name) => y.entries.has(name));
    const entry = (name: string) => choose(condition, x.entries.get(name)!, y.entries.get(name)!, node);
    return { kind: "record", entries: new Map(names.map((name) => [name, entry(name)] as const)) };
  }
  if (x.kind === "list" && y.kind === "list" && x.items.length === y.items.length)
    return { kind: "list", items: x.items.map((item, i) => choose(condition, item, y.items[i]!, node)) };
  const [left, right] = [knownValue(x), knownValue(y)];
  if (left && right && left.value === right.value) return x;
  if (isFunction(x) && isFunction(y)) return { kind: "either", condition, yes: x, no: y };
  const mixed = [x, y].every(({ kind }) => kind === "number" || kind === "truth");
  if (mixed)
    return refuse("QKV150", `one path answers ${describeLifted(x)}, another ${describeLifted(y)}`, node, {
      help: "answer one kind on every path: numbers, or true and false",
    });
  return refuse("QKV143", `the indices choose between ${describeLifted(x)} and ${describeLifted(y)}`, node, {
    help:
      isPlain(x) && isPlain(y)
        ? "answer true or false both ways in a mask, numbers in a score"
        : "choose between numbers: index both, and choose the results",
  });
}

type Numeric = Extract<Lifted, { kind: "number" }>;
/** In arithmetic and comparisons undefined does what NaN does. */
const missing: Numeric = { kind: "number", expr: constant(Number.NaN), present: never };

function chooseNumber(condition: IndexExpr, x: Numeric, y: Numeric): Numeric {
  const expr = simplified("select", condition, x.expr, y.expr);
  if (!x.present && !y.present) return { kind: "number", expr };
  const present = chooseTruth(condition, x.present ?? always, y.present ?? always);
  return present === always ? { kind: "number", expr } : { kind: "number", expr, present };
}

/** `condition ? x : y` of truth. */
export function chooseTruth(condition: IndexExpr, x: IndexExpr, y: IndexExpr): IndexExpr {
  if (x === y) return x;
  if (x === always) return simplified("or", condition, y);
  if (y === never) return simplified("and", condition, x);
  const otherwise = simplified("not", condition);
  if (x === never) return simplified("and", otherwise, y);
  if (y === always) return simplified("or", otherwise, x);
  return simplified("or", simplified("and", condition, x), simplified("and", otherwise, y));
}

/**
 * Both branches of a condition, run from the same state; what they change is chosen by it. Own variables that a branch
 * changes which does not go on are seen by nobody.
 */
export function fork<T>(
  cx: Lifting,
  condition: IndexExpr,
  node: ts.Node,
  branches: readonly [yes: () => T, no: () => T],
  goesOn: (result: T) => boolean = () => true,
): readonly [yes: T, no: T] {
  const yes = cx.branch(condition, branches[0]);
  const no = cx.branch(simplified("not", condition), branches[1]);
  const after = ({ result, changes }: typeof yes, variable: Variable) =>
    goesOn(result) || variable.depth < cx.depth ? (changes.get(variable) ?? variable.value) : undefined;
  for (const variable of new Set([...yes.changes.keys(), ...no.changes.keys()])) {
    const [x, y] = [after(yes, variable), after(no, variable)];
    cx.assign(variable, x && y ? choose(condition, x, y, node) : (x ?? y ?? variable.value));
  }
  return [yes.result, no.result];
}
