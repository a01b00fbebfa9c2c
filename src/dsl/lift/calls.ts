import type { ts } from "ts-morph";
import type { IndexFn } from "../../ir/index-expr/functions.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr } from "../../ir/index-expr/types.ts";
import { loadTypeScript } from "../source.ts";
import { Tensor } from "../tensor.ts";
import { capturesOf, type LiveFunction } from "./captures.ts";
import { asNumber, asTruth, itemsOf, lifted, spread } from "./expressions.ts";
import { functionNode, refuse } from "./function-source.ts";
import {
  always,
  describeLifted,
  fromLive,
  knownValue,
  type Lifted,
  type Lifting,
  never,
  numeric,
  type Scope,
  truthOf,
} from "./lifted.ts";
import { invoked } from "./statements.ts";
import { lengthFrom } from "./tables.ts";

/** Functions of Math that a formula has. */
const unary: ReadonlyMap<unknown, IndexFn> = new Map<unknown, IndexFn>([
  [Math.abs, "abs"],
  [Math.floor, "floor"],
  [Math.ceil, "ceil"],
  [Math.round, "round"],
  [Math.trunc, "trunc"],
  [Math.sign, "sign"],
  [Math.sqrt, "sqrt"],
  [Math.exp, "exp"],
  [Math.log, "log"],
  [Math.log2, "log2"],
  [Math.sin, "sin"],
  [Math.cos, "cos"],
  [Math.tanh, "tanh"],
]);

/** Functions of the runtime that answer the same for the same numbers. */
const pure: ReadonlySet<unknown> = new Set<unknown>(
  [Math, Number].flatMap((owner) =>
    Object.getOwnPropertyNames(owner)
      .map((name) => (owner as unknown as Readonly<Record<string, unknown>>)[name])
      .filter((value) => typeof value === "function" && value !== Math.random),
  ),
);

/** What a call answers. Throws QKV140 to QKV152. */
export function call(cx: Lifting, node: ts.CallExpression, scope: Scope): Lifted {
  const t = loadTypeScript();
  const { expression } = node;
  if (t.isIdentifier(expression) && expression.text === "__name") return lifted(cx, node.arguments[0]!, scope);
  if (t.isPropertyAccessExpression(expression)) {
    const of = lifted(cx, expression.expression, scope);
    const method = listMethod(cx, of, expression.name.text, node, scope);
    if (method) return method;
    if (of.kind === "live" && of.value instanceof Tensor) return tensorMethod(cx, of.value, node, scope);
  }
  const callee = lifted(cx, expression, scope);
  return invoke(cx, callee, spread(cx, node.arguments, scope), node);
}

function invoke(cx: Lifting, callee: Lifted, args: readonly Lifted[], node: ts.CallExpression): Lifted {
  if (callee.kind === "closure") return invoked(cx, callee.node, callee.scope, args);
  if (callee.kind !== "live" || typeof callee.value !== "function")
    return refuse("QKV144", `${node.expression.getText()} is ${describeLifted(callee)}, not a function`, node);
  const fn = callee.value as LiveFunction;
  const own = unary.get(fn);
  if (own) return numeric(simplified(own, numberAt(args, 0, node)));
  if (fn === (Math.min as unknown)) return numeric(folded("min", Infinity, args, node));
  if (fn === (Math.max as unknown)) return numeric(folded("max", -Infinity, args, node));
  if (fn === (Math.pow as unknown)) return numeric(simplified("pow", numberAt(args, 0, node), numberAt(args, 1, node)));
  if (fn === (Number as unknown)) return numeric(numberAt(args, 0, node));
  if (fn === (Boolean as unknown)) return truthOf(asTruth(cx, args[0] ?? { kind: "nothing" }, node));
  if (pure.has(fn)) return computed(fn, args, node);
  if (/\[native code\]/.test(fn.toString()))
    return refuse("QKV144", `${node.expression.getText()} is a function of the runtime without a formula`, node);
  return invoked(cx, functionNode(fn, node.expression.getText()), scopeOf(fn, node), args);
}

/** What a live function sees. Throws QKV141 where the runtime does not tell. */
export function scopeOf(fn: LiveFunction, node?: ts.Node): Scope {
  const captures = capturesOf(fn);
  const captured = (name: string): Lifted | undefined => {
    if (!captures)
      return name in globalThis || !node
        ? undefined
        : refuse("QKV141", `this runtime does not tell what ${name} is`, node, {
            help: "run under Node.js, or give it as a parameter with a default: ({ q, k }, size = 4) => …",
          });
    const at = captures.scopes.find((variables) => Object.hasOwn(variables, name));
    return at && fromLive(at[name], name);
  };
  return { variables: new Map(), outer: undefined, captured };
}

function numberAt(args: readonly Lifted[], i: number, node: ts.CallExpression): IndexExpr {
  const arg = args[i];
  if (!arg) return constant(Number.NaN);
  return asNumber(arg, node.arguments[i] ?? node);
}

const folded = (fn: IndexFn, start: number, args: readonly Lifted[], node: ts.CallExpression): IndexExpr =>
  args.length === 0
    ? constant(start)
    : args.map((_, i) => numberAt(args, i, node)).reduce((x, y) => simplified(fn, x, y));

/** A function of the runtime on values that are known: called now. */
function computed(fn: LiveFunction, args: readonly Lifted[], node: ts.CallExpression): Lifted {
  const values = args.map(knownValue);
  const name = node.expression.getText();
  if (values.every((value) => value !== undefined))
    return fromLive((fn as (...args: unknown[]) => unknown)(...values.map(({ value }) => value)), name);
  return refuse("QKV144", `${name} has no formula`, node, {
    help: `Math has ${[...unary.keys()].map((known) => (known as { name: string }).name).join(", ")}, min, max and pow here`,
  });
}

/** Methods of a list that is known now, unrolled. */
function listMethod(cx: Lifting, of: Lifted, name: string, node: ts.CallExpression, scope: Scope): Lifted | undefined {
  if (!["every", "some", "map", "filter", "reduce", "includes"].includes(name)) return undefined;
  const items = itemsOf(of);
  if (!items) return undefined;
  const [first, second] = spread(cx, node.arguments, scope);
  if (!first) return undefined;
  const at = (item: Lifted, i: number) => invoke(cx, first, [item, numeric(constant(i)), of], node);
  const test = (item: Lifted, i: number) => asTruth(cx, at(item, i), node);
  switch (name) {
    case "every":
      return truthOf(items.map(test).reduce((x, y) => simplified("and", x, y), always));
    case "some":
      return truthOf(items.map(test).reduce((x, y) => simplified("or", x, y), never));
    case "map":
      return { kind: "list", items: items.map(at) };
    case "includes": {
      const same = items.map((item) => simplified("equal", asNumber(item, node), asNumber(first, node)));
      return truthOf(same.reduce((x, y) => simplified("or", x, y), never));
    }
    case "filter": {
      const kept = items.filter((item, i) => {
        const known = test(item, i);
        if (known.kind !== "number") refuse("QKV147", "which elements stay depends on the indices", node);
        return known === always;
      });
      return { kind: "list", items: kept };
    }
    default: {
      const rest = second ? items : items.slice(1);
      const start = second ?? items[0];
      if (!start) return refuse("QKV148", "reduce of an empty list without a start", node);
      return rest.reduce(
        (sum, item, i) => invoke(cx, first, [sum, item, numeric(constant(second ? i : i + 1)), of], node),
        start,
      );
    }
  }
}

/** `x.dim(1)`: the only method of a tensor a formula has. */
function tensorMethod(cx: Lifting, tensor: Tensor, node: ts.CallExpression, scope: Scope): Lifted {
  const name = (node.expression as ts.PropertyAccessExpression).name.text;
  const [axis] = spread(cx, node.arguments, scope);
  const known = axis && knownValue(axis)?.value;
  if (name === "dim" && typeof known === "number") {
    const dim = tensor.shape.at(known);
    return lengthFrom(cx, dim) ?? fromLive(dim, node.getText());
  }
  return refuse("QKV144", `${node.expression.getText()} makes a tensor; a formula reads single elements`, node, {
    help: "compute the tensor outside of the function, and index it within",
  });
}
