import type { ts } from "ts-morph";
import { constant } from "../../ir/index-expr/types.ts";
import { loadTypeScript } from "../source.ts";
import { Tensor } from "../tensor.ts";
import type { LiveFunction } from "./captures.ts";
import { entriesOf, lifted, spread } from "./expressions.ts";
import { functionNode, isNative, refuse } from "./function-source.ts";
import { describeLifted, knownValue, type Lifted, type Lifting, nothing, numeric, type Scope } from "./lifted.ts";
import { methodCall } from "./lists.ts";
import { isOfRuntime } from "./place.ts";
import { madeArray, refuseRuntimeFunction, runtimeCall } from "./runtime-functions.ts";
import { invoked } from "./statements.ts";
import { propertyOf } from "./tables.ts";
import { choose, fork, isFunction } from "./values.ts";

/** What a call answers. Throws QKV140 to QKV153. */
export function call(cx: Lifting, node: ts.CallExpression | ts.NewExpression, scope: Scope): Lifted {
  const t = loadTypeScript();
  if (t.isNewExpression(node)) return made(cx, node, scope);
  const { expression } = node;
  if (t.isIdentifier(expression) && expression.text === "__name") return lifted(cx, node.arguments[0]!, scope);
  if (t.isIdentifier(expression) && /^__spread(Values|Props)$/.test(expression.text))
    return joined(cx, spread(cx, node.arguments, scope), node);
  const member = t.isPropertyAccessExpression(expression) ? expression : undefined;
  const of = member && lifted(cx, member.expression, scope);
  const callee = of ? undefined : lifted(cx, expression, scope);
  const missing = of ?? callee!;
  if (t.isOptionalChain(node) && isAbsent(missing)) return nothing;
  const args = spread(cx, node.arguments, scope);
  const answer = of && ofObject(cx, of, member!.name.text, args, node);
  if (answer) return answer;
  const fn = callee ?? propertyOf(cx, of!, member!.name.text, member!.name);
  return node.questionDotToken && isAbsent(fn) ? nothing : invoke(cx, fn, args, node);
}

/** Undefined or null. */
const isAbsent = (value: Lifted) => value.kind === "nothing" || knownValue(value)?.value === null;

/** `{ ...a, ...b }`, as older targets spell it. */
const joined = (cx: Lifting, parts: readonly Lifted[], node: ts.Node): Lifted => ({
  kind: "record",
  entries: new Map(parts.flatMap((part) => [...entriesOf(cx, part, node)])),
});

/** Calls whose meaning depends on what stands before the dot; undefined for those of its own functions. */
function ofObject(
  cx: Lifting,
  of: Lifted,
  name: string,
  args: readonly Lifted[],
  node: ts.CallExpression,
): Lifted | undefined {
  if (of.kind === "live" && of.value instanceof Tensor) return tensorMethod(cx, of.value, name, args, node);
  if (isFunction(of)) return name === "call" ? invoke(cx, of, args.slice(1), node) : undefined;
  return methodCall(cx, of, name, args, node, (fn, given) => invoke(cx, fn, given, node));
}

/** `new Array(n)`: other objects are made outside of the function. */
function made(cx: Lifting, node: ts.NewExpression, scope: Scope): Lifted {
  const callee = knownValue(lifted(cx, node.expression, scope));
  const items = callee?.value === Array && madeArray(cx, Array, spread(cx, node.arguments ?? [], scope), () => nothing);
  if (items) return { kind: "list", items };
  return refuse("QKV143", `${node.getText().slice(0, 60)} has no formula`, node, {
    help: "make it outside of the function, into a const; arrays and typed arrays become tables",
  });
}

function invoke(cx: Lifting, callee: Lifted, args: readonly Lifted[], node: ts.CallExpression): Lifted {
  if (callee.kind === "closure") return invoked(cx, callee.node, callee.scope, args);
  if (callee.kind === "either") {
    const { condition, yes, no } = callee;
    const branches = [() => invoke(cx, yes, args, node), () => invoke(cx, no, args, node)] as const;
    const [x, y] = fork(cx, condition, node, branches);
    return choose(condition, x, y, node);
  }
  if (callee.kind !== "live" || typeof callee.value !== "function")
    return refuse(
      "QKV144",
      `${node.expression.getText()} is ${describeLifted(callee)}, not a function`,
      node.expression,
      callee.kind === "nothing" ? callee.mending : {},
    );
  const fn = callee.value as LiveFunction;
  // Bundlers name functions by defining the name.
  if (args[0] && (callee.value === Object.defineProperty || callee.value === Object.freeze)) return args[0];
  if (callee.value === Object.assign) return joined(cx, args, node);
  const answer = runtimeCall(cx, fn, args, node);
  if (answer) return answer;
  const each = (map: Lifted, item: Lifted, i: number) => invoke(cx, map, [item, numeric(constant(i))], node);
  const items = madeArray(cx, fn, args, each);
  if (items) return { kind: "list", items };
  if (isNative(fn) || isOfRuntime(cx.capturesOf(fn))) return refuseRuntimeFunction(fn, node);
  return invoked(cx, functionNode(fn, node.expression.getText()), scopeOf(cx, fn), args);
}

/** What a live function sees. Throws QKV141 where the runtime does not tell. */
export function scopeOf(cx: Lifting, fn: LiveFunction): Scope {
  const own = functionNode(fn, "the function");
  const captured = (name: string): Lifted | undefined => {
    const captures = cx.capturesOf(fn);
    const at = captures?.scopes.find((variables) => Object.hasOwn(variables, name));
    if (at) return cx.live(at[name], name);
    if (own.name?.getText() === name) return { kind: "live", value: fn, name };
    if (captures || name in globalThis) return undefined;
    return refuse("QKV141", `${name} is captured by the function, and this runtime does not tell what it is`, own, {
      help: `run under Node.js, or give it as a parameter with a default: ({ q, k }, ${name} = …) => …`,
    });
  };
  return { variables: new Map(), outer: undefined, captured };
}

/** `x.dim(1)`: the only method of a tensor a formula has. */
function tensorMethod(
  cx: Lifting,
  tensor: Tensor,
  name: string,
  args: readonly Lifted[],
  node: ts.CallExpression,
): Lifted {
  const axis = args[0] && knownValue(args[0])?.value;
  if (name === "dim" && typeof axis === "number") return cx.live(tensor.shape.at(axis), node.getText());
  return refuse("QKV144", `${node.expression.getText()} makes a tensor; a formula reads single elements`, node, {
    help: "compute the tensor outside of the function, and index it within",
  });
}
