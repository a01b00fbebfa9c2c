import type { ts } from "ts-morph";
import type { IndexFn } from "../../ir/index-expr/functions.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant } from "../../ir/index-expr/types.ts";
import { Tensor } from "../tensor.ts";
import { refuse } from "./function-source.ts";
import { describeLifted, knownValue, type Lifted, numeric, truthOf } from "./lifted.ts";
import { asNumber } from "./values.ts";

type Table = ReadonlyMap<string, IndexFn>;
const arithmetic: Table = new Map<string, IndexFn>([
  ["+", "add"],
  ["-", "sub"],
  ["*", "mul"],
  ["/", "div"],
  ["%", "mod"],
  ["**", "pow"],
  ["&", "bitAnd"],
  ["|", "bitOr"],
  ["^", "bitXor"],
  ["<<", "shiftLeft"],
  [">>", "shiftRight"],
  [">>>", "shiftRightUnsigned"],
]);
const comparisons: Table = new Map<string, IndexFn>([
  ["<", "less"],
  ["<=", "lessEqual"],
  [">", "greater"],
  [">=", "greaterEqual"],
]);
const equalities: Table = new Map<string, IndexFn>([
  ["===", "equal"],
  ["==", "equal"],
  ["!==", "notEqual"],
  ["!=", "notEqual"],
]);

/** The operator of an assignment such as `+=`; undefined for `=` and for what is none. */
export const compoundOf = (operator: string): string | undefined =>
  operator.endsWith("=") && arithmetic.has(operator.slice(0, -1)) ? operator.slice(0, -1) : undefined;

export const isEquality = (operator: string): boolean => equalities.has(operator);

/** `x operator y` of two values; `at` are their places. Throws QKV143, QKV150, QKV151. */
export function operation(
  operator: string,
  [x, y]: readonly [Lifted, Lifted],
  at: { readonly left: ts.Node; readonly operator: ts.Node; readonly right: ts.Node; readonly whole: ts.Node },
): Lifted {
  const equality = equalities.get(operator);
  if (equality) return equal(x, y, equality, operator.length === 2, at);
  const fn = arithmetic.get(operator) ?? comparisons.get(operator);
  if (fn === undefined)
    return refuse("QKV143", `${operator} has no formula`, at.operator, {
      help: "a mask or score is written with arithmetic, comparisons, Math and tables",
    });
  const expr = simplified(fn, asNumber(x, at.left), asNumber(y, at.right));
  return comparisons.has(operator) ? truthOf(expr) : numeric(expr);
}

function equal(
  x: Lifted,
  y: Lifted,
  fn: IndexFn,
  loose: boolean,
  at: { readonly left: ts.Node; readonly right: ts.Node; readonly whole: ts.Node },
): Lifted {
  const [left, right] = [knownValue(x), knownValue(y)];
  const tensor = [left, right].some((known) => known?.value instanceof Tensor);
  if (left && right && !tensor) {
    // biome-ignore lint/suspicious/noDoubleEquals: the author wrote ==
    const same = loose ? left.value == right.value : left.value === right.value;
    return truthOf(constant(same === (fn === "equal")));
  }
  // Numbers and truth are never undefined or null.
  if ([left, right].some((known) => known && (known.value === undefined || known.value === null)))
    return truthOf(constant(fn !== "equal"));
  const [a, b] = [asNumber(x, at.left), asNumber(y, at.right)];
  if (x.kind !== y.kind && !loose)
    refuse("QKV150", `${at.whole.getText()} compares ${describeLifted(x)} with ${describeLifted(y)}`, at.whole, {
      help: "compare numbers with numbers: write the condition itself, or !condition",
    });
  return truthOf(simplified(fn, a, b));
}
