import type { ts } from "ts-morph";
import type { IndexFn } from "../../ir/index-expr/functions.ts";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr } from "../../ir/index-expr/types.ts";
import { loadTypeScript } from "../source.ts";
import { Tensor } from "../tensor.ts";
import { refuse } from "./function-source.ts";
import {
  always,
  describeLifted,
  fromLive,
  knownValue,
  type Lifted,
  type Lifting,
  never,
  nothing,
  numeric,
  type Scope,
  truthOf,
} from "./lifted.ts";
import { dimsOf, indexed, lengthFrom, memberOf } from "./tables.ts";

const mostSteps = 400_000;

/** What an expression stands for. Throws QKV141 to QKV152. */
export function lifted(cx: Lifting, node: ts.Expression, scope: Scope): Lifted {
  if (++cx.steps > mostSteps)
    refuse("QKV152", `the formula has more than ${mostSteps} steps`, node, {
      help: "loops are unrolled: put what they compute into a table outside of the function",
    });
  const t = loadTypeScript();
  if (t.isParenthesizedExpression(node) || t.isAsExpression(node) || t.isNonNullExpression(node))
    return lifted(cx, node.expression, scope);
  if (t.isSatisfiesExpression(node)) return lifted(cx, node.expression, scope);
  if (t.isNumericLiteral(node)) return numeric(constant(Number(node.text.replaceAll("_", ""))));
  if (t.isStringLiteral(node) || t.isNoSubstitutionTemplateLiteral(node)) return fromLive(node.text, node.getText());
  if (node.kind === t.SyntaxKind.TrueKeyword) return truthOf(always);
  if (node.kind === t.SyntaxKind.FalseKeyword) return truthOf(never);
  if (node.kind === t.SyntaxKind.NullKeyword) return { kind: "live", value: null, name: "null" };
  if (t.isIdentifier(node)) return named(node, scope);
  if (t.isPrefixUnaryExpression(node)) return prefix(cx, node, scope);
  if (t.isBinaryExpression(node)) return binary(cx, node, scope);
  if (t.isConditionalExpression(node)) return conditional(cx, node, scope);
  if (t.isElementAccessExpression(node))
    return indexed(cx, lifted(cx, node.expression, scope), lifted(cx, node.argumentExpression, scope), node);
  if (t.isPropertyAccessExpression(node)) return property(cx, lifted(cx, node.expression, scope), node);
  if (t.isCallExpression(node)) return cx.call(cx, node, scope);
  if (t.isArrowFunction(node) || t.isFunctionExpression(node)) return { kind: "closure", node, scope };
  if (t.isObjectLiteralExpression(node)) return record(cx, node, scope);
  if (t.isArrayLiteralExpression(node)) return { kind: "list", items: spread(cx, node.elements, scope) };
  if (t.isVoidExpression(node)) return nothing;
  return refuse("QKV143", `${t.SyntaxKind[node.kind]} has no formula: ${node.getText().slice(0, 60)}`, node, {
    help: "a mask or score is written with arithmetic, comparisons, Math and tables",
  });
}

/** A number; truth counts as 0 or 1 only where JavaScript is asked to make it so. */
export function liftedNumber(cx: Lifting, node: ts.Expression, scope: Scope): IndexExpr {
  return asNumber(lifted(cx, node, scope), node);
}

export function asNumber(value: Lifted, node: ts.Node): IndexExpr {
  if (value.kind === "number" || value.kind === "truth") return value.expr;
  if (value.kind === "live" && value.value instanceof Tensor)
    return refuse("QKV149", `${value.name} is a tensor; a formula reads its elements`, node, {
      help: `index it: ${value.name}${["[b]", "[h]", "[q]", "[k]"].slice(0, value.value.rank).join("") || "[0]"}`,
    });
  if (value.kind === "row")
    return refuse("QKV149", `${node.getText()} has fewer indices than the table has axes`, node, {
      help: "give one index for each axis",
    });
  return refuse("QKV151", `${node.getText()} is ${describeLifted(value)}, not a number`, node);
}

/** Whether a value counts as true in JavaScript. */
export function liftedTruth(cx: Lifting, node: ts.Expression, scope: Scope): IndexExpr {
  return asTruth(cx, lifted(cx, node, scope), node);
}

export function asTruth(cx: Lifting, value: Lifted, node: ts.Node): IndexExpr {
  if (value.kind === "truth") return value.expr;
  if (value.kind === "number") return cx.truthy(value.expr);
  const known = knownValue(value);
  if (known && !(known.value instanceof Tensor)) return constant(Boolean(known.value));
  if (value.kind === "closure" || value.kind === "record" || value.kind === "list") return always;
  return cx.truthy(asNumber(value, node));
}

function named(node: ts.Identifier, scope: Scope): Lifted {
  const name = node.text;
  for (let at: Scope | undefined = scope; at; at = at.outer) {
    const variable = at.variables.get(name);
    if (variable) return variable.value;
    const captured = at.captured?.(name);
    if (captured) return captured;
  }
  if (name === "undefined") return nothing;
  if (name in globalThis) return fromLive((globalThis as Readonly<Record<string, unknown>>)[name], name);
  return refuse("QKV141", `${name} is not declared where the function can see it`, node, {
    help: `a mask or score sees its own arguments and what stands around it: declare ${name} there with const`,
  });
}

function property(cx: Lifting, of: Lifted, node: ts.PropertyAccessExpression): Lifted {
  const name = node.name.text;
  if (of.kind === "record")
    return (
      of.entries.get(name) ??
      refuse("QKV141", `there is no "${name}" here`, node.name, {
        help: `there are ${[...of.entries.keys()].join(", ")}`,
      })
    );
  if (of.kind === "list" && name === "length") return numeric(constant(of.items.length));
  if (of.kind === "row" && name === "length") {
    const size = dimsOf(cx.tables[of.table]!)[of.at.length];
    if (typeof size === "number") return numeric(constant(size));
    return lengthFrom(cx, size) ?? refuse("QKV149", "this length is not known", node);
  }
  if (of.kind === "live") return memberOf(cx, of, name, node);
  return refuse("QKV143", `${describeLifted(of)} has no "${name}" in a formula`, node);
}

function prefix(cx: Lifting, node: ts.PrefixUnaryExpression, scope: Scope): Lifted {
  const t = loadTypeScript();
  switch (node.operator) {
    case t.SyntaxKind.ExclamationToken:
      return truthOf(simplified("not", liftedTruth(cx, node.operand, scope)));
    case t.SyntaxKind.MinusToken:
      return numeric(simplified("neg", liftedNumber(cx, node.operand, scope)));
    case t.SyntaxKind.PlusToken:
      return numeric(liftedNumber(cx, node.operand, scope));
    case t.SyntaxKind.TildeToken:
      return numeric(simplified("bitNot", liftedNumber(cx, node.operand, scope)));
    default:
      return refuse("QKV143", "++ and -- are statements of their own in a formula", node);
  }
}

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

/** The function of an assignment such as `+=`; undefined for `=` and for what is none. */
export const compoundOf = (operator: string): IndexFn | undefined =>
  operator.endsWith("=") ? arithmetic.get(operator.slice(0, -1)) : undefined;

function binary(cx: Lifting, node: ts.BinaryExpression, scope: Scope): Lifted {
  const operator = node.operatorToken.getText();
  if (operator === "&&" || operator === "||" || operator === "??") return shortCircuit(cx, node, operator, scope);
  if (operator === ",") return lifted(cx, node.right, scope);
  const number = arithmetic.get(operator) ?? comparisons.get(operator);
  const equality = equalities.get(operator);
  if (equality) return equal(lifted(cx, node.left, scope), lifted(cx, node.right, scope), equality, node);
  if (number === undefined)
    return refuse("QKV143", `${operator} has no formula here`, node.operatorToken, {
      ...(/=$/.test(operator) && { help: "an assignment is a statement of its own" }),
    });
  const expr = simplified(number, liftedNumber(cx, node.left, scope), liftedNumber(cx, node.right, scope));
  return comparisons.has(operator) ? truthOf(expr) : numeric(expr);
}

function equal(x: Lifted, y: Lifted, fn: IndexFn, node: ts.BinaryExpression): Lifted {
  const [left, right] = [knownValue(x), knownValue(y)];
  const tensor = [left, right].some((known) => known?.value instanceof Tensor);
  if (left && right && !tensor) return truthOf(constant((left.value === right.value) === (fn === "equal")));
  const [a, b] = [asNumber(x, node.left), asNumber(y, node.right)];
  if (x.kind !== y.kind)
    refuse("QKV150", `${node.getText()} compares ${describeLifted(x)} with ${describeLifted(y)}`, node, {
      help: "compare numbers with numbers: write the condition itself, or !condition",
    });
  return truthOf(simplified(fn, a, b));
}

function shortCircuit(cx: Lifting, node: ts.BinaryExpression, operator: "&&" | "||" | "??", scope: Scope): Lifted {
  const x = lifted(cx, node.left, scope);
  if (operator === "??") {
    const known = knownValue(x);
    return known && (known.value === undefined || known.value === null) ? lifted(cx, node.right, scope) : x;
  }
  const condition = asTruth(cx, x, node.left);
  const decided = operator === "&&" ? never : always;
  if (condition === decided) return x;
  if (condition.kind === "number") return lifted(cx, node.right, scope);
  const { result: y } = cx.branch(() => lifted(cx, node.right, scope));
  if (x.kind === "truth" && y.kind === "truth")
    return truthOf(simplified(operator === "&&" ? "and" : "or", condition, y.expr));
  const [whenTrue, whenFalse] = operator === "&&" ? [y, x] : [x, y];
  if (x.kind === "number" && y.kind === "number") return choose(condition, whenTrue, whenFalse, node);
  // As a condition it can be mixed: only whether it counts as true is asked.
  if (isCondition(node))
    return truthOf(simplified(operator === "&&" ? "and" : "or", condition, asTruth(cx, y, node.right)));
  return choose(condition, whenTrue, whenFalse, node);
}

/** Whether only the truth of an expression is asked for. */
function isCondition(node: ts.Node): boolean {
  const t = loadTypeScript();
  const { parent } = node;
  if (t.isParenthesizedExpression(parent)) return isCondition(parent);
  if (t.isIfStatement(parent)) return true;
  if (t.isConditionalExpression(parent)) return parent.condition === node;
  return t.isPrefixUnaryExpression(parent) && parent.operator === t.SyntaxKind.ExclamationToken;
}

function conditional(cx: Lifting, node: ts.ConditionalExpression, scope: Scope): Lifted {
  const condition = liftedTruth(cx, node.condition, scope);
  if (condition.kind === "number") return lifted(cx, condition.value ? node.whenTrue : node.whenFalse, scope);
  const whenTrue = cx.branch(() => lifted(cx, node.whenTrue, scope)).result;
  const whenFalse = cx.branch(() => lifted(cx, node.whenFalse, scope)).result;
  return choose(condition, whenTrue, whenFalse, node);
}

/** `condition ? x : y`. Throws QKV143 and QKV150 where no formula is both. */
export function choose(condition: IndexExpr, x: Lifted, y: Lifted, node: ts.Node): Lifted {
  if (x === y) return x;
  if (x.kind === "number" && y.kind === "number") return numeric(simplified("select", condition, x.expr, y.expr));
  if (x.kind === "truth" && y.kind === "truth") return truthOf(chooseTruth(condition, x.expr, y.expr));
  if (x.kind === "record" && y.kind === "record") {
    const names = [...x.entries.keys()].filter((name) => y.entries.has(name));
    return {
      kind: "record",
      entries: new Map(
        names.map((name) => [name, choose(condition, x.entries.get(name)!, y.entries.get(name)!, node)] as const),
      ),
    };
  }
  if (x.kind === "list" && y.kind === "list" && x.items.length === y.items.length)
    return { kind: "list", items: x.items.map((item, i) => choose(condition, item, y.items[i]!, node)) };
  const [left, right] = [knownValue(x), knownValue(y)];
  if (left && right && left.value === right.value) return x;
  const mixed = [x, y].every(({ kind }) => kind === "number" || kind === "truth");
  if (mixed)
    return refuse("QKV150", `this is ${describeLifted(x)} or ${describeLifted(y)}`, node, {
      help: "answer one kind on every path: numbers, or true and false",
    });
  return refuse("QKV143", `the indices choose between ${describeLifted(x)} and ${describeLifted(y)}`, node, {
    help: "choose between numbers: call or index both, and choose the results",
  });
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

function record(cx: Lifting, node: ts.ObjectLiteralExpression, scope: Scope): Lifted {
  const t = loadTypeScript();
  const entries = new Map<string, Lifted>();
  for (const item of node.properties) {
    if (t.isShorthandPropertyAssignment(item)) entries.set(item.name.text, named(item.name, scope));
    else if (t.isPropertyAssignment(item) && (t.isIdentifier(item.name) || t.isStringLiteral(item.name)))
      entries.set(item.name.text, lifted(cx, item.initializer, scope));
    else if (t.isSpreadAssignment(item)) {
      const from = lifted(cx, item.expression, scope);
      if (from.kind === "record") for (const [name, value] of from.entries) entries.set(name, value);
      else if (from.kind === "live" && typeof from.value === "object" && from.value !== null)
        for (const name of Object.keys(from.value)) entries.set(name, memberOf(cx, from, name, item));
      else refuse("QKV143", `${item.getText()} has no formula`, item);
    } else refuse("QKV143", `${item.getText().slice(0, 60)} has no formula`, item);
  }
  return { kind: "record", entries };
}

/** The elements of a list or the arguments of a call, `...` unfolded. */
export function spread(cx: Lifting, nodes: readonly ts.Expression[], scope: Scope): readonly Lifted[] {
  const t = loadTypeScript();
  return nodes.flatMap((node) => {
    if (!t.isSpreadElement(node)) return [lifted(cx, node, scope)];
    return itemsOf(lifted(cx, node.expression, scope)) ?? refuse("QKV143", `${node.getText()} has no formula`, node);
  });
}

/** The elements of a list that is known now. */
export function itemsOf(value: Lifted): readonly Lifted[] | undefined {
  if (value.kind === "list") return value.items;
  if (value.kind !== "live" || value.value instanceof Tensor) return undefined;
  const isList = Array.isArray(value.value) || ArrayBuffer.isView(value.value) || value.value instanceof Set;
  if (!isList) return undefined;
  return Array.from(value.value as Iterable<unknown>, (item, i) => fromLive(item, `${value.name}[${i}]`));
}
