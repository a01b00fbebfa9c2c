import type { ts } from "ts-morph";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr, lookup } from "../../ir/index-expr/types.ts";
import { loadTypeScript } from "../source.ts";
import { Tensor } from "../tensor.ts";
import { reachedWhere } from "./completion.ts";
import { refuse } from "./function-source.ts";
import { always, knownValue, type Lifted, type Lifting, never, nothing, numeric, truthOf } from "./lifted.ts";
import { elementsOf, indexed, isArray } from "./tables.ts";
import { asNumber, asTruth, choose } from "./values.ts";

/** Runs a function the author handed to a list. */
export type Run = (fn: Lifted, args: readonly Lifted[]) => Lifted;

interface Call {
  readonly cx: Lifting;
  readonly of: Lifted;
  readonly items: readonly Lifted[];
  readonly args: readonly Lifted[];
  readonly node: ts.CallExpression;
  readonly run: Run;
}

type Method = (call: Call) => Lifted;

const list = (items: readonly Lifted[]): Lifted => ({ kind: "list", items });
const any = (conditions: readonly IndexExpr[]) => conditions.reduce((x, y) => simplified("or", x, y), never);

/** What the function given says of one item. */
const said = ({ args, of, run }: Call, item: Lifted, i: number) =>
  run(args[0] ?? nothing, [item, numeric(constant(i)), of]);
const test = (call: Call, item: Lifted, i: number) => asTruth(call.cx, said(call, item, i), call.node);

/** An argument that must be known: where a list is cut. */
function known({ args, node }: Call, i: number): number | undefined {
  const arg = args[i];
  if (!arg || arg.kind === "nothing") return undefined;
  const value = knownValue(arg)?.value;
  if (typeof value === "number") return value;
  return refuse("QKV147", "how long this list is depends on the indices", node.arguments[i] ?? node);
}

/** The answer of the first item that passes: an item is looked at where those before it do not. */
function search(call: Call, items: readonly (readonly [Lifted, Lifted, number])[], otherwise: Lifted): Lifted {
  const { cx, node } = call;
  let missed = always;
  const conditions = items.map(([, item, i]) => {
    const passes = reachedWhere(cx, missed, node, () => test(call, item, i));
    missed = simplified("and", missed, simplified("not", passes));
    return passes;
  });
  return items.reduceRight((rest, [answer], i) => choose(conditions[i]!, answer, rest, node), otherwise);
}

/** Whether all items pass; an item is looked at where those before it do. */
const every = (call: Call) =>
  call.items.reduce(
    (all, item, i) =>
      simplified(
        "and",
        all,
        reachedWhere(call.cx, all, call.node, () => test(call, item, i)),
      ),
    always,
  );

/** Whether one of the items passes; an item is looked at where those before it do not. */
const some = (call: Call) =>
  call.items.reduce((found, item, i) => {
    const passes = reachedWhere(call.cx, simplified("not", found), call.node, () => test(call, item, i));
    return simplified("or", found, passes);
  }, never);

const counted = (items: readonly Lifted[]) => items.map((item, i) => [item, i] as const);

function reduced(call: Call, items: readonly (readonly [Lifted, number])[]): Lifted {
  const { args, of, node, run } = call;
  const start = args.length > 1 ? args[1] : items[0]?.[0];
  if (!start) return refuse("QKV148", "reduce of an empty list without a start", node);
  const rest = args.length > 1 ? items : items.slice(1);
  return rest.reduce((sum, [item, i]) => run(args[0]!, [sum, item, numeric(constant(i)), of]), start);
}

function kept(call: Call): Lifted {
  const { items, node } = call;
  const stays = items.filter((item, i) => {
    const condition = test(call, item, i);
    if (condition.kind !== "number")
      refuse("QKV147", "which elements stay depends on the indices", node, {
        help: "choose what each adds instead: xs.reduce((sum, x) => sum + (condition ? x : 0), 0)",
      });
    return condition === always;
  });
  return list(stays);
}

/** Position of the first item, in the order given, that is `args[0]`. */
function position({ items, args, node }: Call, order: readonly number[]): Lifted {
  const wanted = args[0] ?? nothing;
  const expr = order.reduceRight(
    (rest, i) => simplified("select", same(items[i]!, wanted, node), constant(i), rest),
    constant(-1),
  );
  return numeric(expr);
}

function same(x: Lifted, y: Lifted, node: ts.CallExpression): IndexExpr {
  const [left, right] = [knownValue(x), knownValue(y)];
  if (left && right) return constant(left.value === right.value);
  if (x.kind !== y.kind && [x, y].some(({ kind }) => kind !== "number" && kind !== "truth")) return never;
  return simplified("equal", asNumber(x, node), asNumber(y, node));
}

const fewItems = 8;
const mostPlaces = 2 ** 20;

/** Whether a number is one of the items: of many integers, by a table of truth. */
function membership({ cx, items, args, node }: Call): IndexExpr {
  const wanted = args[0] ?? nothing;
  const numbers = items.map((item) => (item.kind === "number" ? knownValue(item)?.value : undefined));
  const fits = (value: unknown): value is number =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) < mostPlaces;
  if (items.length <= fewItems || wanted.kind !== "number" || !numbers.every(fits) || !cx.bounds(wanted.expr).whole)
    return any(items.map((item) => same(item, wanted, node)));
  const size = numbers.reduce((x, y) => Math.max(x, y)) + 1;
  const data = new Float64Array(size);
  for (const place of numbers) data[place] = 1;
  const name = (node.expression as ts.PropertyAccessExpression).expression.getText();
  const table = cx.table(`${name} has ${numbers.join(" ")}`, () => ({
    kind: "constant",
    name,
    truth: true,
    dims: [size],
    data,
  }));
  const low = simplified("greaterEqual", wanted.expr, constant(0));
  const within = simplified("and", low, simplified("less", wanted.expr, constant(size)));
  return simplified("and", within, lookup(table, [wanted.expr]));
}

function sliced(call: Call): Lifted {
  return list(call.items.slice(known(call, 0), known(call, 1)));
}

function filled(call: Call): Lifted {
  const { items, args } = call;
  const value = args[0] ?? nothing;
  const [from = 0, to = items.length] = [known(call, 1), known(call, 2)];
  return list(items.map((item, i) => (i >= from && i < to ? value : item)));
}

function at({ cx, of, items, args, node }: Call): Lifted {
  const index = asNumber(args[0] ?? numeric(constant(0)), node);
  if (index.kind === "number") {
    const item = items.at(index.value);
    return item ?? { kind: "nothing", name: node.getText() };
  }
  const fromEnd = simplified("add", index, constant(items.length));
  const place = simplified("select", simplified("less", index, constant(0)), fromEnd, index);
  return indexed(cx, of, numeric(cx.bounds(index).low >= 0 ? index : place), node);
}

const flattened = (cx: Lifting, items: readonly Lifted[]): readonly Lifted[] =>
  items.flatMap((item) => (isList(item) ? (elementsOf(cx, item) ?? [item]) : [item]));

const isList = (item: Lifted) =>
  item.kind === "list" || item.kind === "row" || (item.kind === "live" && isArray(item.value));

/** Methods of lists that change nothing, unrolled. */
const methods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["every", (call) => truthOf(every(call))],
  ["some", (call) => truthOf(some(call))],
  ["map", (call) => list(call.items.map((item, i) => said(call, item, i)))],
  [
    "flatMap",
    (call) =>
      list(
        flattened(
          call.cx,
          call.items.map((item, i) => said(call, item, i)),
        ),
      ),
  ],
  ["flat", (call) => list(flattened(call.cx, call.items))],
  ["filter", kept],
  ["reduce", (call) => reduced(call, counted(call.items))],
  ["reduceRight", (call) => reduced(call, counted(call.items).reverse())],
  [
    "forEach",
    (call) => {
      call.items.forEach((item, i) => void said(call, item, i));
      return nothing;
    },
  ],
  ["includes", (call) => truthOf(membership(call))],
  ["indexOf", (call) => position(call, [...call.items.keys()])],
  ["lastIndexOf", (call) => position(call, [...call.items.keys()].reverse())],
  [
    "find",
    (call) =>
      search(
        call,
        counted(call.items).map(([item, i]) => [item, item, i]),
        nothing,
      ),
  ],
  [
    "findLast",
    (call) =>
      search(
        call,
        counted(call.items)
          .reverse()
          .map(([item, i]) => [item, item, i]),
        nothing,
      ),
  ],
  [
    "findIndex",
    (call) =>
      search(
        call,
        counted(call.items).map(([item, i]) => [numeric(constant(i)), item, i]),
        numeric(constant(-1)),
      ),
  ],
  [
    "findLastIndex",
    (call) =>
      search(
        call,
        counted(call.items)
          .reverse()
          .map(([item, i]) => [numeric(constant(i)), item, i]),
        numeric(constant(-1)),
      ),
  ],
  ["at", at],
  ["slice", sliced],
  ["subarray", sliced],
  ["concat", ({ cx, items, args }) => list([...items, ...flattened(cx, args)])],
  ["toReversed", ({ items }) => list([...items].reverse())],
  ["keys", ({ items }) => list(items.map((_, i) => numeric(constant(i))))],
  ["values", ({ items }) => list(items)],
  ["entries", ({ items }) => list(items.map((item, i) => list([numeric(constant(i)), item])))],
]);

/** Methods that change the list they are called on: of a list that nobody else sees, the answer is all there is. */
const changing: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["fill", filled],
  ["reverse", ({ items }) => list([...items].reverse())],
]);

const pureNames = new Set([
  ...["at", "concat", "endsWith", "charAt", "charCodeAt", "get", "has", "includes", "indexOf", "join", "lastIndexOf"],
  ...["slice", "startsWith", "toSorted", "toString", "toUpperCase", "toLowerCase", "trim", "split", "with"],
]);

/** What a method of a list, a set, a map or a text answers; undefined where it is none that is known. */
export function methodCall(
  cx: Lifting,
  of: Lifted,
  name: string,
  args: readonly Lifted[],
  node: ts.CallExpression,
  run: Run,
): Lifted | undefined {
  if (of.kind === "live" && (of.value instanceof Tensor || typeof of.value === "function")) return undefined;
  const values = args.map(knownValue);
  if (of.kind === "live" && pureNames.has(name) && values.every((value) => value !== undefined)) {
    const method = (of.value as Readonly<Record<string, unknown>> | null)?.[name];
    if (typeof method === "function" && /\[native code\]/.test(Function.prototype.toString.call(method)))
      return cx.live(
        method.apply(
          of.value,
          values.map((value) => value!.value),
        ),
        node.getText(),
      );
  }
  const isSet = of.kind === "live" && of.value instanceof Set;
  const isMap = of.kind === "live" && of.value instanceof Map;
  const made = of.kind === "list" && isMade(node);
  const method = isSet
    ? methods.get(name === "has" ? "includes" : name === "forEach" ? "forEach" : "")
    : (methods.get(name) ?? (made ? changing.get(name) : undefined));
  const items = method && elementsOf(cx, of);
  if (method && items && !isMap) return method({ cx, of, items, args, node, run });
  if (isMap && name === "has") {
    const keys = [...(of.value as Map<unknown, unknown>).keys()].map((key) => cx.live(key, "key"));
    return truthOf(membership({ cx, of, items: keys, args, node, run }));
  }
  return isMap || isSet || of.kind === "list" || of.kind === "row" || (of.kind === "live" && isArray(of.value))
    ? refuseMethod(name, isMap, node)
    : undefined;
}

/** The list before the dot is made there: nobody else has it. */
function isMade(node: ts.CallExpression): boolean {
  const t = loadTypeScript();
  const { expression } = node.expression as ts.PropertyAccessExpression;
  return t.isArrayLiteralExpression(expression) || t.isNewExpression(expression) || t.isCallExpression(expression);
}

function refuseMethod(name: string, isMap: boolean, node: ts.CallExpression): never {
  const text = node.expression.getText();
  const changes = ["push", "pop", "shift", "unshift", "splice", "sort", "set", "add", "delete", "fill", "reverse"];
  return refuse("QKV144", `${text} has no formula`, node.expression, {
    help: changes.includes(name)
      ? "a formula changes no list: make a new one, [...xs, x], or do it outside of the function"
      : isMap
        ? "what a map holds, put into an array outside of the function: it becomes a table"
        : `lists have ${[...methods.keys()].join(", ")} here`,
  });
}
