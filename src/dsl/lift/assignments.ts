import type { ts } from "ts-morph";
import { constant } from "../../ir/index-expr/types.ts";
import { loadTypeScript } from "../source.ts";
import { takeItems, takeMembers } from "./bind.ts";
import { lifted, otherwise, present, shortCircuit } from "./expressions.ts";
import { refuse } from "./function-source.ts";
import { type Lifted, type Lifting, numeric, type Scope, type Variable } from "./lifted.ts";
import { compoundOf, operation } from "./operators.ts";

/** What an assignment or a step answers, which changes variables; undefined where `node` is none. */
export function assignment(cx: Lifting, node: ts.Expression, scope: Scope): Lifted | undefined {
  const t = loadTypeScript();
  if (t.isPostfixUnaryExpression(node) || t.isPrefixUnaryExpression(node)) return step(cx, node, scope);
  if (!t.isBinaryExpression(node)) return undefined;
  const operator = node.operatorToken.getText();
  const compound = compoundOf(operator);
  const right = () => lifted(cx, node.right, scope);
  if (operator === "=") return assigned(cx, node.left, right(), scope);
  if (compound !== undefined) {
    const at = { left: node.left, operator: node.operatorToken, right: node.right, whole: node };
    return assigned(cx, node.left, operation(compound, [lifted(cx, node.left, scope), right()], at), scope);
  }
  if (operator === "&&=" || operator === "||=") {
    const before = lifted(cx, node.left, scope);
    const short = operator === "&&=" ? "&&" : "||";
    return assigned(cx, node.left, shortCircuit(cx, node, short, before, right), scope);
  }
  if (operator !== "??=") return undefined;
  const { value, inside } = present(cx, node.left, scope);
  return assigned(cx, node.left, otherwise(cx, node, value, inside, right), scope);
}

/** `i++`, `--i`. */
function step(
  cx: Lifting,
  node: ts.PostfixUnaryExpression | ts.PrefixUnaryExpression,
  scope: Scope,
): Lifted | undefined {
  const t = loadTypeScript();
  const operator = node.operator === t.SyntaxKind.PlusPlusToken ? "+" : "-";
  if (operator === "-" && node.operator !== t.SyntaxKind.MinusMinusToken) return undefined;
  const before = lifted(cx, node.operand, scope);
  const at = { left: node.operand, operator: node, right: node, whole: node };
  const after = operation(operator, [before, numeric(constant(1))], at);
  assigned(cx, node.operand, after, scope);
  return t.isPrefixUnaryExpression(node) ? after : before;
}

/** Gives a value to a variable or a pattern of variables, and answers it. Throws QKV145. */
function assigned(cx: Lifting, target: ts.Expression, value: Lifted, scope: Scope): Lifted {
  const t = loadTypeScript();
  const give = (to: ts.Expression, part: Lifted) => void assigned(cx, to, part, scope);
  if (t.isParenthesizedExpression(target) || t.isNonNullExpression(target) || t.isAsExpression(target))
    return assigned(cx, target.expression, value, scope);
  if (t.isArrayLiteralExpression(target)) {
    const parts = target.elements.map((item) =>
      t.isOmittedExpression(item)
        ? undefined
        : t.isSpreadElement(item)
          ? { target: item.expression, initializer: undefined, rest: true }
          : { ...withInitializer(item), rest: false },
    );
    takeItems(cx, target, value, parts, scope, give);
    return value;
  }
  if (t.isObjectLiteralExpression(target)) {
    takeMembers(cx, target, value, target.properties.map(memberPart), scope, give);
    return value;
  }
  // Coverage tools count statements within them: cov_1().s[0]++.
  if (/^cov_\w+\(\)/.test(target.getText())) return value;
  if (!t.isIdentifier(target))
    return refuse("QKV145", `${target.getText()} is assigned to; a formula changes only its own variables`, target, {
      help: "make a new list or object, and give it to a variable: xs = [...xs, x]",
    });
  const variable = variableNamed(target.text, scope);
  if (!variable)
    return refuse("QKV145", `${target.text} lies outside of the function; a formula cannot change it`, target, {
      help: "a mask or score only answers a value: declare what it needs within it",
    });
  if (variable.fixed) refuse("QKV145", `${target.text} is a const`, target, { help: "declare it with let" });
  cx.assign(variable, value);
  return value;
}

function withInitializer(item: ts.Expression) {
  const t = loadTypeScript();
  const isDefault = t.isBinaryExpression(item) && item.operatorToken.kind === t.SyntaxKind.EqualsToken;
  return isDefault ? { target: item.left, initializer: item.right } : { target: item, initializer: undefined };
}

function memberPart(item: ts.ObjectLiteralElementLike) {
  const t = loadTypeScript();
  if (t.isShorthandPropertyAssignment(item))
    return { target: item.name, initializer: item.objectAssignmentInitializer, rest: false, key: item.name };
  if (t.isPropertyAssignment(item)) return { ...withInitializer(item.initializer), rest: false, key: item.name };
  if (t.isSpreadAssignment(item)) return { target: item.expression, initializer: undefined, rest: true };
  return refuse("QKV143", `${item.getText()} has no formula`, item);
}

function variableNamed(name: string, scope: Scope): Variable | undefined {
  for (let at: Scope | undefined = scope; at; at = at.outer) {
    const variable = at.variables.get(name);
    if (variable) return variable;
    if (at.captured?.(name)) return undefined;
  }
  return undefined;
}
