import type { ts } from "ts-morph";
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
import { isEquality, operation } from "./operators.ts";
import { elementsOf, indexed, memberOf, propertyOf } from "./tables.ts";
import { asNumber, asTruth, choose, fork } from "./values.ts";

const mostSteps = 400_000;

/** What an expression stands for. Throws QKV141 to QKV152. */
export function lifted(cx: Lifting, node: ts.Expression, scope: Scope): Lifted {
  if (++cx.steps > mostSteps)
    refuse("QKV152", `the formula has more than ${mostSteps} steps`, node, {
      help: "loops are unrolled: put what they compute into a table outside of the function",
    });
  const t = loadTypeScript();
  if (isWrapped(t, node)) return lifted(cx, node.expression, scope);
  if (t.isNumericLiteral(node)) return numeric(constant(Number(node.text)));
  if (t.isStringLiteral(node) || t.isNoSubstitutionTemplateLiteral(node)) return fromLive(node.text, node.getText());
  if (t.isTemplateExpression(node)) return text(cx, node, scope);
  if (node.kind === t.SyntaxKind.TrueKeyword) return truthOf(always);
  if (node.kind === t.SyntaxKind.FalseKeyword) return truthOf(never);
  if (node.kind === t.SyntaxKind.NullKeyword) return { kind: "live", value: null, name: "null" };
  if (t.isIdentifier(node)) return named(node, scope);
  if (t.isElementAccessExpression(node) || t.isPropertyAccessExpression(node)) return access(cx, node, scope);
  if (cx.inside) return cx.strictly(() => lifted(cx, node, scope));
  const assigned = cx.parts.assignment(cx, node, scope);
  if (assigned) return assigned;
  if (t.isPrefixUnaryExpression(node)) return prefix(cx, node, scope);
  if (t.isBinaryExpression(node)) return binary(cx, node, scope);
  if (t.isConditionalExpression(node)) return conditional(cx, node, scope);
  if (t.isCallExpression(node) || t.isNewExpression(node)) return cx.parts.call(cx, node, scope);
  if (t.isArrowFunction(node) || t.isFunctionExpression(node)) return closure(node, scope);
  if (t.isObjectLiteralExpression(node)) return record(cx, node, scope);
  if (t.isArrayLiteralExpression(node)) return { kind: "list", items: spread(cx, node.elements, scope) };
  if (t.isVoidExpression(node)) {
    lifted(cx, node.expression, scope);
    return nothing;
  }
  return unsupported(t, node);
}

type Wrapped =
  | ts.ParenthesizedExpression
  | ts.AsExpression
  | ts.NonNullExpression
  | ts.SatisfiesExpression
  | ts.TypeAssertion;

const isWrapped = (t: typeof ts, node: ts.Node): node is Wrapped =>
  t.isParenthesizedExpression(node) ||
  t.isAsExpression(node) ||
  t.isNonNullExpression(node) ||
  t.isSatisfiesExpression(node) ||
  t.isTypeAssertionExpression(node);

/** A text of what is known when the model is built. */
function text(cx: Lifting, node: ts.TemplateExpression, scope: Scope): Lifted {
  const parts = node.templateSpans.map(({ expression, literal }) => {
    const known = knownValue(lifted(cx, expression, scope));
    return known && !(known.value instanceof Tensor) ? `${known.value}${literal.text}` : refuseText(node);
  });
  return fromLive(node.head.text + parts.join(""), node.getText());
}

function refuseText(node: ts.Expression): never {
  return refuse("QKV143", `${node.getText().slice(0, 60)} is about texts, which no formula has`, node, {
    help: "compute it outside of the function, into a const",
  });
}

function unsupported(t: typeof ts, node: ts.Expression): never {
  const text = node.getText().slice(0, 60);
  if (node.kind === t.SyntaxKind.ThisKeyword) {
    const member = t.isPropertyAccessExpression(node.parent) ? `.${node.parent.name.text}` : "";
    return refuse("QKV143", "this is not seen by a formula", node, {
      help: `write an arrow function that reads the object by its name, as in ({ q, k }) => … object${member} …`,
    });
  }
  if (t.isBigIntLiteral(node))
    return refuse("QKV143", `${text} is a BigInt; a formula computes with numbers`, node, {
      help: `write ${text.replace(/n$/, "")}`,
    });
  if (t.isTypeOfExpression(node) || t.isRegularExpressionLiteral(node)) return refuseText(node);
  return refuse("QKV143", `${text} has no formula`, node, {
    help: "a mask or score is written with arithmetic, comparisons, Math and tables",
  });
}

/** A number; truth counts as 0 or 1. */
function liftedNumber(cx: Lifting, node: ts.Expression, scope: Scope): IndexExpr {
  return asNumber(lifted(cx, node, scope), node);
}

/** Whether an expression counts as true in JavaScript. */
export function liftedTruth(cx: Lifting, node: ts.Expression, scope: Scope): IndexExpr {
  return asTruth(cx, lifted(cx, node, scope), node);
}

function named(node: ts.Identifier, scope: Scope): Lifted {
  const name = node.text;
  for (let at: Scope | undefined = scope; at; at = at.outer) {
    const variable = at.variables.get(name);
    if (variable) return variable.value;
    const captured = at.captured?.(name);
    if (captured && Number.isNaN(knownValue(captured)?.value)) refuseNaN(node);
    if (captured) return captured.kind === "nothing" ? { ...captured, name, mending: withoutValue(name) } : captured;
  }
  if (name === "undefined") return nothing;
  if (name in globalThis) return fromLive((globalThis as Readonly<Record<string, unknown>>)[name], name);
  if (name === "arguments")
    return refuse("QKV143", "arguments is not seen by a formula", node, { help: "name the parameters" });
  return refuse("QKV141", `${name} is not declared where the function can see it`, node, {
    help: `a mask or score sees its own arguments and what stands around it: declare ${name} there with const`,
  });
}

/** What JavaScript makes of arithmetic on a length that is not known yet. */
function refuseNaN(node: ts.Identifier): never {
  return refuse("QKV151", `${node.text} is NaN, not a number`, node, {
    help: "a length that is not known when the model is built is read within the function: q.dim(2), k.dim(2)",
  });
}

const withoutValue = (name: string) => ({
  help: `${name} is declared, but has no value yet when the model is built: give it one before`,
});

function access(cx: Lifting, node: ts.ElementAccessExpression | ts.PropertyAccessExpression, scope: Scope): Lifted {
  const t = loadTypeScript();
  const of = lifted(cx, node.expression, scope);
  const missing = of.kind === "nothing" || (of.kind === "live" && of.value === null);
  if (missing && t.isOptionalChain(node)) return nothing;
  if (t.isPropertyAccessExpression(node)) return propertyOf(cx, of, node.name.text, node.name);
  const at = cx.strictly(() => lifted(cx, node.argumentExpression, scope));
  return indexed(cx, of, at, node);
}

/** Of what may lie outside of a table: the value, and for which indices it is not undefined. */
export function present(
  cx: Lifting,
  node: ts.Expression,
  scope: Scope,
): { readonly value: Lifted; readonly inside: IndexExpr } {
  const t = loadTypeScript();
  if (isWrapped(t, node)) return present(cx, node.expression, scope);
  if (!t.isElementAccessExpression(node) && !t.isPropertyAccessExpression(node)) {
    const value = lifted(cx, node, scope);
    return { value, inside: presence(value) };
  }
  const outer = cx.inside;
  cx.inside = [];
  try {
    const value = lifted(cx, node, scope);
    return { value, inside: cx.inside.reduce((x, y) => simplified("and", x, y), presence(value)) };
  } finally {
    cx.inside = outer;
  }
}

const presence = (value: Lifted) => (value.kind === "number" && value.present) || always;

function prefix(cx: Lifting, node: ts.PrefixUnaryExpression, scope: Scope): Lifted {
  const t = loadTypeScript();
  switch (node.operator) {
    case t.SyntaxKind.ExclamationToken:
      return truthOf(simplified("not", liftedTruth(cx, node.operand, scope)));
    case t.SyntaxKind.MinusToken:
      return numeric(simplified("neg", liftedNumber(cx, node.operand, scope)));
    case t.SyntaxKind.TildeToken:
      return numeric(simplified("bitNot", liftedNumber(cx, node.operand, scope)));
    default:
      return numeric(liftedNumber(cx, node.operand, scope));
  }
}

function binary(cx: Lifting, node: ts.BinaryExpression, scope: Scope): Lifted {
  const operator = node.operatorToken.getText();
  if (operator === "&&" || operator === "||")
    return shortCircuit(cx, node, operator, lifted(cx, node.left, scope), () => lifted(cx, node.right, scope));
  if (operator === "??") {
    const { value, inside } = present(cx, node.left, scope);
    return otherwise(cx, node, value, inside, () => lifted(cx, node.right, scope));
  }
  if (operator === ",") {
    lifted(cx, node.left, scope);
    return lifted(cx, node.right, scope);
  }
  const at = { left: node.left, operator: node.operatorToken, right: node.right, whole: node };
  const missing = isEquality(operator) ? [node.left, node.right].findIndex(isMissing) : -1;
  if (missing >= 0) return comparedWithMissing(cx, node, missing === 0 ? node.right : node.left, scope);
  return operation(operator, [lifted(cx, node.left, scope), lifted(cx, node.right, scope)], at);
}

/** Whether an expression says undefined or null. */
function isMissing(node: ts.Expression): boolean {
  const t = loadTypeScript();
  if (isWrapped(t, node)) return isMissing(node.expression);
  if (node.kind === t.SyntaxKind.NullKeyword || (t.isIdentifier(node) && node.text === "undefined")) return true;
  return t.isVoidExpression(node) && t.isNumericLiteral(node.expression);
}

/** `x === undefined`: of an element it asks whether the table has it. */
function comparedWithMissing(cx: Lifting, node: ts.BinaryExpression, of: ts.Expression, scope: Scope): Lifted {
  const operator = node.operatorToken.getText();
  const other = lifted(cx, of === node.left ? node.right : node.left, scope);
  const { value, inside } = present(cx, of, scope);
  const at = { left: of, operator: node.operatorToken, right: node, whole: node };
  if (inside === always || knownValue(value)) return operation(operator, [value, other], at);
  const asked = other.kind === "nothing" || operator.length === 2;
  const missing = asked ? simplified("not", inside) : never;
  return truthOf(operator.startsWith("=") ? missing : simplified("not", missing));
}

/** `x ?? y`, where x is undefined outside of `inside`. */
export function otherwise(cx: Lifting, node: ts.Expression, x: Lifted, inside: IndexExpr, right: () => Lifted): Lifted {
  if (x.kind === "nothing" || (x.kind === "live" && x.value === null)) return right();
  if (inside === always) return x;
  const found: Lifted = x.kind === "number" ? numeric(x.expr) : x;
  const [value, instead] = fork(cx, inside, node, [() => found, right]);
  return choose(inside, value, instead, node);
}

/** `x && y` and `x || y`. */
export function shortCircuit(
  cx: Lifting,
  node: ts.BinaryExpression,
  operator: "&&" | "||",
  x: Lifted,
  right: () => Lifted,
): Lifted {
  const condition = asTruth(cx, x, node.left);
  const decided = operator === "&&" ? never : always;
  if (condition === decided) return x;
  if (condition.kind === "number") return right();
  const rest = () => right();
  const stay = () => x;
  const [whenTrue, whenFalse] = fork(cx, condition, node, operator === "&&" ? [rest, stay] : [stay, rest]);
  const y = operator === "&&" ? whenTrue : whenFalse;
  if (x.kind === "truth" && y.kind === "truth")
    return truthOf(simplified(operator === "&&" ? "and" : "or", condition, y.expr));
  if (x.kind === "number" && y.kind === "number") return choose(condition, whenTrue, whenFalse, node);
  const asked = wanted(node);
  if (asked === "nothing") return nothing;
  // As a condition it can be mixed: only whether it counts as true is asked.
  if (asked === "truth")
    return truthOf(simplified(operator === "&&" ? "and" : "or", condition, asTruth(cx, y, node.right)));
  return choose(condition, whenTrue, whenFalse, node);
}

/** What is done with the answer of an expression: nothing, a test of its truth, or anything. */
function wanted(node: ts.Node): "nothing" | "truth" | "anything" {
  const t = loadTypeScript();
  const { parent } = node;
  if (t.isParenthesizedExpression(parent)) return wanted(parent);
  if (t.isExpressionStatement(parent) || t.isVoidExpression(parent)) return "nothing";
  if (t.isIfStatement(parent)) return "truth";
  if (t.isForStatement(parent)) return parent.condition === node ? "truth" : "nothing";
  if (t.isConditionalExpression(parent)) return parent.condition === node ? "truth" : wanted(parent);
  if (t.isPrefixUnaryExpression(parent) && parent.operator === t.SyntaxKind.ExclamationToken) return "truth";
  if (!t.isBinaryExpression(parent)) return "anything";
  const operator = parent.operatorToken.getText();
  if (operator === ",") return parent.left === node ? "nothing" : wanted(parent);
  if (operator !== "&&" && operator !== "||") return "anything";
  return parent.left === node && wanted(parent) === "nothing" ? "truth" : wanted(parent);
}

function conditional(cx: Lifting, node: ts.ConditionalExpression, scope: Scope): Lifted {
  const condition = liftedTruth(cx, node.condition, scope);
  if (condition.kind === "number") return lifted(cx, condition.value ? node.whenTrue : node.whenFalse, scope);
  const branches = [() => lifted(cx, node.whenTrue, scope), () => lifted(cx, node.whenFalse, scope)] as const;
  const [whenTrue, whenFalse] = fork(cx, condition, node, branches);
  return wanted(node) === "nothing" ? nothing : choose(condition, whenTrue, whenFalse, node);
}

/** A function within the function; its own name is in its sight. */
function closure(node: ts.ArrowFunction | ts.FunctionExpression, scope: Scope): Lifted {
  if (!node.name) return { kind: "closure", node, scope };
  const own: Scope = { variables: new Map(), outer: scope };
  const value: Lifted = { kind: "closure", node, scope: own };
  own.variables.set(node.name.text, { value, fixed: true, depth: 0 });
  return value;
}

function record(cx: Lifting, node: ts.ObjectLiteralExpression, scope: Scope): Lifted {
  const t = loadTypeScript();
  const entries = new Map<string, Lifted>();
  for (const item of node.properties) {
    const name = item.name && keyOf(cx, item.name, scope);
    if (t.isShorthandPropertyAssignment(item)) entries.set(item.name.text, named(item.name, scope));
    else if (t.isPropertyAssignment(item) && name !== undefined) entries.set(name, lifted(cx, item.initializer, scope));
    else if (t.isMethodDeclaration(item) && name !== undefined)
      entries.set(name, { kind: "closure", node: item, scope });
    else if (t.isSpreadAssignment(item)) {
      const from = entriesOf(cx, lifted(cx, item.expression, scope), item.expression);
      for (const [key, value] of from) entries.set(key, value);
    } else refuse("QKV143", `${item.getText().slice(0, 60)} has no formula`, item);
  }
  return { kind: "record", entries };
}

/** The entries of an object; none of undefined. Throws QKV143. */
export function entriesOf(cx: Lifting, of: Lifted, node: ts.Node): Iterable<readonly [string, Lifted]> {
  if (of.kind === "record") return of.entries;
  if (of.kind === "nothing") return [];
  if (of.kind === "live" && typeof of.value === "object" && of.value !== null)
    return Object.keys(of.value).map((key) => [key, memberOf(cx, of, key, node)] as const);
  return refuse("QKV143", `${describeLifted(of)} cannot be taken apart`, node);
}

/** The key a property is named by, where it is known now. */
export function keyOf(cx: Lifting, name: ts.PropertyName, scope: Scope): string | undefined {
  const t = loadTypeScript();
  if (t.isComputedPropertyName(name)) {
    const known = knownValue(lifted(cx, name.expression, scope));
    return typeof known?.value === "string" || typeof known?.value === "number" ? String(known.value) : undefined;
  }
  return t.isPrivateIdentifier(name) ? undefined : name.text;
}

/** The elements of a list or the arguments of a call, `...` unfolded. */
export function spread(cx: Lifting, nodes: readonly ts.Expression[], scope: Scope): readonly Lifted[] {
  const t = loadTypeScript();
  return nodes.flatMap((node) => {
    if (t.isOmittedExpression(node)) return [nothing];
    if (!t.isSpreadElement(node)) return [lifted(cx, node, scope)];
    const of = lifted(cx, node.expression, scope);
    return (
      elementsOf(cx, of) ??
      refuse("QKV143", `${node.expression.getText()} is ${describeLifted(of)}, which cannot be spread here`, node, {
        help: "what is spread is a list whose length is known when the model is built",
      })
    );
  });
}
