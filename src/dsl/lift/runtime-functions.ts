import type { ts } from "ts-morph";
import type { IndexFn } from "../../ir/index-expr/functions.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr } from "../../ir/index-expr/types.ts";
import type { LiveFunction } from "./captures.ts";
import { refuse } from "./function-source.ts";
import { fromLive, knownValue, type Lifted, type Lifting, never, nothing, numeric, truthOf } from "./lifted.ts";
import { elementsOf } from "./tables.ts";
import { asNumber, asTruth, isDim } from "./values.ts";

/** What a function of the runtime means for arguments that depend on the indices; `at` are the arguments' places. */
type Meaning = (cx: Lifting, args: readonly IndexExpr[]) => IndexExpr;

const oneToOne = [
  "abs",
  "floor",
  "ceil",
  "round",
  "trunc",
  "sign",
  "sqrt",
  "cbrt",
  "exp",
  "expm1",
  "log",
  "log2",
  "log10",
  "log1p",
  "sin",
  "cos",
  "tan",
  "asin",
  "acos",
  "atan",
  "sinh",
  "cosh",
  "tanh",
  "asinh",
  "acosh",
  "atanh",
  "fround",
] as const satisfies readonly IndexFn[];

const n = constant;
const missing = n(Number.NaN);
const first = ([x = missing]: readonly IndexExpr[]) => x;
const unary =
  (fn: IndexFn): Meaning =>
  (_, args) =>
    simplified(fn, first(args));
const binary =
  (fn: IndexFn): Meaning =>
  (_, [x = missing, y = missing]) =>
    simplified(fn, x, y);
const folded =
  (fn: IndexFn, start: number): Meaning =>
  (_, args) =>
    args.length === 0 ? n(start) : args.reduce((x, y) => simplified(fn, x, y));

const finite = (x: IndexExpr) => simplified("less", simplified("abs", x), n(Number.POSITIVE_INFINITY));
const integer = (x: IndexExpr) => simplified("and", finite(x), simplified("equal", simplified("trunc", x), x));

/** The engine's own sum of squares: of shares of the largest, compensated. */
function lengthOf(args: readonly IndexExpr[]): IndexExpr {
  const [x, y] = args;
  if (!x) return n(0);
  if (!y) return simplified("abs", x);
  if (args.length === 2) return simplified("hypot", x, y);
  const sizes = args.map((x) => simplified("abs", x));
  const largest = sizes.reduce((x, y) => simplified("max", x, y));
  let [sum, lost] = [n(0), n(0)];
  for (const size of sizes) {
    const share = simplified("div", size, largest);
    const square = simplified("sub", simplified("mul", share, share), lost);
    const next = simplified("add", sum, square);
    lost = simplified("sub", simplified("sub", next, sum), square);
    sum = next;
  }
  const scaled = simplified("mul", simplified("sqrt", sum), largest);
  const extreme = simplified("or", simplified("equal", largest, n(0)), simplified("equal", largest, n(Infinity)));
  return simplified("select", extreme, largest, scaled);
}

/** Leading zeros of the 32 bits. */
function leadingZeros(x: IndexExpr): IndexExpr {
  const bits = simplified("shiftRightUnsigned", x, n(0));
  const top = simplified("floor", simplified("log2", bits));
  return simplified("select", simplified("equal", bits, n(0)), n(32), simplified("sub", n(31), top));
}

/** Product of 32-bit integers, modulo 2³²: halves of one side, so that every product is exact. */
function product([x = n(0), y = n(0)]: readonly IndexExpr[]): IndexExpr {
  const right = simplified("bitOr", y, n(0));
  const low = simplified("mul", simplified("bitAnd", x, n(0xffff)), right);
  const high = simplified("mul", simplified("shiftRightUnsigned", x, n(16)), right);
  return simplified("bitOr", simplified("add", low, simplified("shiftLeft", high, n(16))), n(0));
}

const numbers: ReadonlyMap<unknown, Meaning> = new Map<unknown, Meaning>([
  ...oneToOne.map((name) => [Math[name], unary(name)] as const),
  [Math.min, folded("min", Number.POSITIVE_INFINITY)],
  [Math.max, folded("max", Number.NEGATIVE_INFINITY)],
  [Math.pow, binary("pow")],
  [Math.atan2, binary("atan2")],
  [Math.hypot, (_, args) => lengthOf(args)],
  [Math.clz32, (_, args) => leadingZeros(first(args))],
  [Math.imul, (_, args) => product(args)],
]);

const isNotNumber: Meaning = (_, args) => simplified("notEqual", first(args), first(args));
const isFiniteNumber: Meaning = (_, args) => finite(first(args));
const { isNaN: isNaNOfAny, isFinite: isFiniteOfAny } = globalThis;

const truths: ReadonlyMap<unknown, Meaning> = new Map<unknown, Meaning>([
  [Number.isNaN, isNotNumber],
  [isNaNOfAny, isNotNumber],
  [Number.isFinite, isFiniteNumber],
  [isFiniteOfAny, isFiniteNumber],
  [Number.isInteger, (_, args) => integer(first(args))],
  [
    Number.isSafeInteger,
    (_, args) => {
      const size = simplified("abs", first(args));
      return simplified("and", integer(first(args)), simplified("lessEqual", size, n(Number.MAX_SAFE_INTEGER)));
    },
  ],
]);

/** Functions of the runtime that answer the same for the same values, and change nothing. */
const pure: ReadonlySet<unknown> = new Set<unknown>([
  Number,
  String,
  Number.parseInt,
  Number.parseFloat,
  Object.keys,
  Object.values,
  Object.entries,
  Object.is,
  Array.isArray,
  ...numbers.keys(),
  ...truths.keys(),
]);

const isScalar = (value: Lifted) => value.kind === "truth" || (value.kind === "number" && !value.present);

/** As `Object.is` has it: NaN is NaN, and -0 is not 0. */
function same(x: IndexExpr, y: IndexExpr): IndexExpr {
  const signs = simplified("equal", simplified("div", n(1), x), simplified("div", n(1), y));
  const equal = simplified("and", simplified("equal", x, y), simplified("or", simplified("notEqual", x, n(0)), signs));
  const unequal = simplified("and", simplified("notEqual", x, x), simplified("notEqual", y, y));
  return simplified("or", equal, unequal);
}

/** What a call of a function of the runtime answers; undefined where it is none that is known. */
export function runtimeCall(
  cx: Lifting,
  fn: unknown,
  args: readonly Lifted[],
  node: ts.CallExpression,
): Lifted | undefined {
  const place = (i: number) => node.arguments[i] ?? node;
  if (fn === Object.is && args.length === 2 && args.every(isScalar)) {
    const [x, y] = args.map((arg, i) => asNumber(arg, place(i))) as [IndexExpr, IndexExpr];
    return truthOf(args[0]!.kind === args[1]!.kind ? same(x, y) : never);
  }
  if (fn === Boolean) return truthOf(asTruth(cx, args[0] ?? nothing, place(0)));
  const values = args.map(knownValue);
  if (pure.has(fn) && values.every((value) => value && typeof value.value !== "bigint" && !isDim(value.value))) {
    const answer = (fn as (...args: unknown[]) => unknown)(...values.map((value) => value!.value));
    return cx.live(answer, node.getText());
  }
  if (fn === Number) return numeric(asNumber(args[0]!, place(0)));
  const [number, truth] = [numbers.get(fn), truths.get(fn)];
  const meaning = number ?? truth;
  if (!meaning) return undefined;
  const given = args.map((arg, i) => asNumber(arg, place(i)));
  return number ? numeric(meaning(cx, given)) : truthOf(meaning(cx, given));
}

/** Throws QKV144: a function of the runtime that no formula has. */
export function refuseRuntimeFunction(fn: LiveFunction, node: ts.CallExpression): never {
  const name = node.expression.getText();
  const bound = fn.name.startsWith("bound ");
  return refuse(
    "QKV144",
    `${name} is ${bound ? "a bound function, whose source cannot be read" : "a function of the runtime that has no formula"}`,
    node.expression,
    {
      help: bound
        ? "write an arrow function that calls it: (at) => fn(at)"
        : fn === (BigInt as unknown)
          ? "a formula computes with numbers"
          : fn === (Math.random as unknown)
            ? "what is random is a table: draw it outside of the function, and index it within"
            : "a formula has Math, comparisons and tables: call this outside of the function, into a const",
    },
  );
}

/** `Array(n)`, `Array.of(…)`, `Array.from(…)`, `Object.values(…)` and the like, of what is known now. */
export function madeArray(
  cx: Lifting,
  fn: unknown,
  args: readonly Lifted[],
  each: (map: Lifted, item: Lifted, i: number) => Lifted,
): readonly Lifted[] | undefined {
  if (fn === Array.of) return args;
  const [of = nothing, map] = args;
  if (of.kind === "record" && (fn === Object.keys || fn === Object.values || fn === Object.entries))
    return [...of.entries].map(([key, value]) => {
      const text = fromLive(key, key);
      return fn === Object.keys ? text : fn === Object.values ? value : { kind: "list", items: [text, value] };
    });
  if (fn === Array) {
    const size = args.length === 1 ? knownValue(of)?.value : undefined;
    return typeof size === "number" ? blanks(size) : args.length === 1 ? undefined : args;
  }
  if (fn !== Array.from) return undefined;
  const items = listOf(cx, of);
  return map && items ? items.map((item, i) => each(map, item, i)) : items;
}

const blanks = (size: number): readonly Lifted[] | undefined =>
  Number.isInteger(size) && size >= 0 && size <= 100_000 ? new Array<Lifted>(size).fill(nothing) : undefined;

/** What Array.from takes: a list, or an object with a length. */
function listOf(cx: Lifting, of: Lifted): readonly Lifted[] | undefined {
  if (of.kind !== "record") return elementsOf(cx, of);
  const size = knownValue(of.entries.get("length") ?? nothing)?.value;
  return typeof size === "number" ? blanks(size) : undefined;
}
