import type { ts } from "ts-morph";
import { simplified } from "../../ir/index-expr/simplify.ts";
import { constant, type IndexExpr } from "../../ir/index-expr/types.ts";
import { loadTypeScript } from "../source.ts";
import {
  asNumber,
  choose,
  chooseTruth,
  compoundOf,
  itemsOf,
  lifted,
  liftedNumber,
  liftedTruth,
} from "./expressions.ts";
import { type FunctionNode, refuse } from "./function-source.ts";
import {
  always,
  describeLifted,
  type Lifted,
  type Lifting,
  never,
  nothing,
  numeric,
  type Scope,
  type Variable,
} from "./lifted.ts";
import { memberOf } from "./tables.ts";

/** What a statement leaves behind: for which indices the function has returned, and what. */
interface Completion {
  readonly when: IndexExpr;
  readonly value?: Lifted | undefined;
  readonly jump?: "break" | "continue" | undefined;
}

const through: Completion = { when: never };
const mostDepth = 100;
const mostTurns = 100_000;

/** What a function answers for `args`. `outer` is what it sees. Throws QKV141 to QKV152. */
export function invoked(cx: Lifting, node: FunctionNode, outer: Scope, args: readonly Lifted[]): Lifted {
  const t = loadTypeScript();
  const scope: Scope = { variables: new Map(), outer };
  if (++cx.depth > mostDepth)
    refuse("QKV152", `calls are nested more than ${mostDepth} deep`, node, { help: "does a function call itself?" });
  node.parameters.forEach((parameter, i) => {
    const given = parameter.dotDotDotToken ? ({ kind: "list", items: args.slice(i) } as const) : (args[i] ?? nothing);
    bind(cx, parameter.name, withDefault(cx, given, parameter.initializer, scope), scope, false);
  });
  const { body } = node;
  if (!body) return refuse("QKV140", "the function has no body", node);
  const answer = t.isBlock(body) ? returned(cx, body, scope, node) : lifted(cx, body, scope);
  cx.depth--;
  return answer;
}

function returned(cx: Lifting, body: ts.Block, scope: Scope, node: FunctionNode): Lifted {
  const { when, value = nothing } = block(cx, body.statements, scope);
  if (when === always) return value;
  if (when === never) return nothing;
  return refuse("QKV146", "the function does not return on every path", body.statements.at(-1) ?? node, {
    help: "end it with a return that no condition guards",
  });
}

const withDefault = (cx: Lifting, value: Lifted, initializer: ts.Expression | undefined, scope: Scope): Lifted =>
  value.kind === "nothing" && initializer ? lifted(cx, initializer, scope) : value;

/** Declares the names of a pattern. Throws QKV141, QKV143. */
export function bind(cx: Lifting, name: ts.BindingName, value: Lifted, scope: Scope, fixed: boolean): void {
  const t = loadTypeScript();
  if (t.isIdentifier(name)) {
    scope.variables.set(name.text, { value, fixed });
    return;
  }
  const isList = t.isArrayBindingPattern(name);
  const items = isList ? itemsOf(value) : undefined;
  if (isList && !items) refuse("QKV143", `${describeLifted(value)} cannot be taken apart`, name);
  const taken = new Set<string>();
  name.elements.forEach((element, i) => {
    if (!t.isBindingElement(element)) return;
    const part = items ? itemPart(items, i, element) : memberPart(cx, value, element, taken);
    bind(cx, element.name, withDefault(cx, part, element.initializer, scope), scope, fixed);
  });
}

const itemPart = (items: readonly Lifted[], i: number, element: ts.BindingElement): Lifted =>
  element.dotDotDotToken ? { kind: "list", items: items.slice(i) } : (items[i] ?? nothing);

function memberPart(cx: Lifting, value: Lifted, element: ts.BindingElement, taken: Set<string>): Lifted {
  const t = loadTypeScript();
  const key = element.propertyName ?? element.name;
  if (!t.isIdentifier(key) && !t.isStringLiteral(key)) return refuse("QKV143", "this pattern has no formula", element);
  const name = key.text;
  if (value.kind === "record") {
    if (element.dotDotDotToken)
      return { kind: "record", entries: new Map([...value.entries].filter(([entry]) => !taken.has(entry))) };
    taken.add(name);
    const entry = value.entries.get(name);
    if (entry || element.initializer) return entry ?? nothing;
    return refuse("QKV141", `there is no "${name}" to take`, element, {
      help: `there are ${[...value.entries.keys()].join(", ")}`,
    });
  }
  if (value.kind === "live" && !element.dotDotDotToken) return memberOf(cx, value, name, element);
  return refuse("QKV143", `${describeLifted(value)} cannot be taken apart`, element);
}

function block(cx: Lifting, statements: readonly ts.Statement[], scope: Scope): Completion {
  let when = never;
  let value: Lifted | undefined;
  for (const statement of statements) {
    // What stands after a conditional return is not reached for every index.
    if (when !== never) cx.guards++;
    const next = execute(cx, statement, scope);
    if (when !== never) cx.guards--;
    value = later(when, value, next.value, statement);
    when = simplified("or", when, next.when);
    if (next.jump || when === always) return { when, value, jump: next.jump };
  }
  return { when, value };
}

/** The value of a return, where an earlier one may have been taken. */
const later = (when: IndexExpr, first: Lifted | undefined, second: Lifted | undefined, node: ts.Node) =>
  first === undefined ? second : second === undefined ? first : choose(when, first, second, node);

function execute(cx: Lifting, node: ts.Statement, scope: Scope): Completion {
  const t = loadTypeScript();
  if (t.isReturnStatement(node))
    return { when: always, value: node.expression ? lifted(cx, node.expression, scope) : nothing };
  if (t.isBlock(node)) return block(cx, node.statements, { variables: new Map(), outer: scope });
  if (t.isVariableStatement(node)) return declare(cx, node.declarationList, scope);
  if (t.isIfStatement(node)) return branches(cx, node, scope);
  if (t.isForStatement(node)) return loop(cx, node, scope);
  if (t.isForOfStatement(node)) return each(cx, node, scope);
  if (t.isExpressionStatement(node)) return effect(cx, node.expression, scope);
  if (t.isBreakStatement(node) && !node.label) return { when: never, jump: "break" };
  if (t.isContinueStatement(node) && !node.label) return { when: never, jump: "continue" };
  if (t.isFunctionDeclaration(node) && node.name) {
    scope.variables.set(node.name.text, { value: { kind: "closure", node, scope }, fixed: true });
    return through;
  }
  if (node.kind === t.SyntaxKind.EmptyStatement) return through;
  const loops = t.isWhileStatement(node) || t.isDoStatement(node) || t.isForInStatement(node);
  return refuse("QKV142", `${statementName(t, node)} has no formula`, node.getFirstToken() ?? node, {
    help: loops
      ? "write for (let i = 0; i < n; i++) with an n that is known when the model is built: it is unrolled"
      : "write const, if, for and return",
  });
}

const statementName = (t: typeof ts, node: ts.Statement) =>
  `${node.getFirstToken()?.getText() ?? t.SyntaxKind[node.kind]}${/^\w+$/.test(node.getFirstToken()?.getText() ?? "") ? "" : " …"}`;

function declare(cx: Lifting, list: ts.VariableDeclarationList, scope: Scope): Completion {
  const t = loadTypeScript();
  const fixed = (list.flags & t.NodeFlags.Const) !== 0;
  for (const { name, initializer } of list.declarations)
    bind(cx, name, initializer ? lifted(cx, initializer, scope) : nothing, scope, fixed);
  return through;
}

function branches(cx: Lifting, node: ts.IfStatement, scope: Scope): Completion {
  const condition = liftedTruth(cx, node.expression, scope);
  if (condition.kind === "number") {
    const taken = condition.value ? node.thenStatement : node.elseStatement;
    return taken ? execute(cx, taken, scope) : through;
  }
  const yes = cx.branch(() => execute(cx, node.thenStatement, scope));
  const no = cx.branch(() => (node.elseStatement ? execute(cx, node.elseStatement, scope) : through));
  for (const { result } of [yes, no])
    if (result.jump)
      refuse("QKV142", `${result.jump} depends on the indices`, node, {
        help: "let the loop run on, and choose what each turn adds: sum += condition ? x : 0",
      });
  // After a branch that returned, what it changed is seen by nobody.
  for (const variable of new Set([...yes.changes.keys(), ...no.changes.keys()])) {
    const x = yes.result.when === always ? undefined : (yes.changes.get(variable) ?? variable.value);
    const y = no.result.when === always ? undefined : (no.changes.get(variable) ?? variable.value);
    cx.assign(variable, x && y ? choose(condition, x, y, node) : (x ?? y ?? variable.value));
  }
  return {
    when: chooseTruth(condition, yes.result.when, no.result.when),
    value: later(condition, yes.result.value, no.result.value, node),
  };
}

function loop(cx: Lifting, node: ts.ForStatement, outer: Scope): Completion {
  const t = loadTypeScript();
  const scope: Scope = { variables: new Map(), outer };
  const { initializer, condition, incrementor } = node;
  if (initializer && t.isVariableDeclarationList(initializer)) declare(cx, initializer, scope);
  else if (initializer) effect(cx, initializer, scope);
  const again = () => {
    if (!condition) return true;
    const known = liftedTruth(cx, condition, scope);
    if (known.kind === "number") return known.value !== 0;
    return refuse("QKV147", "how often this loop turns depends on the indices or on the data", condition, {
      help: "loop to the largest count known when the model is built, and choose within: sum += i < n ? x : 0",
    });
  };
  return turns(cx, node, again, () => {
    const result = execute(cx, node.statement, scope);
    return { result, next: () => void (incrementor && effect(cx, incrementor, scope)) };
  });
}

function each(cx: Lifting, node: ts.ForOfStatement, outer: Scope): Completion {
  const t = loadTypeScript();
  const of = lifted(cx, node.expression, outer);
  const items = itemsOf(of) ?? refuse("QKV147", `${describeLifted(of)} is no list known now`, node.expression);
  const { initializer } = node;
  if (!t.isVariableDeclarationList(initializer))
    return refuse("QKV142", "declare the variable: for (const x of …)", node);
  let i = 0;
  return turns(
    cx,
    node,
    () => i < items.length,
    () => {
      const scope: Scope = { variables: new Map(), outer };
      bind(cx, initializer.declarations[0]!.name, items[i]!, scope, true);
      return { result: execute(cx, node.statement, scope), next: () => void i++ };
    },
  );
}

/** Unrolls a loop. */
function turns(
  cx: Lifting,
  node: ts.Node,
  again: () => boolean,
  turn: () => { readonly result: Completion; readonly next: () => void },
): Completion {
  let when = never;
  let value: Lifted | undefined;
  for (let count = 0; again(); count++) {
    if (count >= mostTurns) refuse("QKV152", `the loop turns more than ${mostTurns} times`, node);
    const guarded = when !== never;
    if (guarded) cx.guards++;
    const { result, next } = turn();
    if (guarded) cx.guards--;
    value = later(when, value, result.value, node);
    when = simplified("or", when, result.when);
    if (when === always || result.jump === "break") break;
    next();
  }
  return { when, value };
}

/** A statement that is an expression: an assignment, or a call whose answer nobody wants. */
function effect(cx: Lifting, node: ts.Expression, scope: Scope): Completion {
  const t = loadTypeScript();
  if (t.isParenthesizedExpression(node)) return effect(cx, node.expression, scope);
  const step = t.isPostfixUnaryExpression(node) || t.isPrefixUnaryExpression(node) ? node : undefined;
  if (step?.operator === t.SyntaxKind.PlusPlusToken || step?.operator === t.SyntaxKind.MinusMinusToken) {
    const by = step.operator === t.SyntaxKind.PlusPlusToken ? "add" : "sub";
    const before = liftedNumber(cx, step.operand as ts.Expression, scope);
    assign(cx, step.operand as ts.Expression, numeric(simplified(by, before, constant(1))), scope);
    return through;
  }
  if (t.isBinaryExpression(node)) {
    const operator = node.operatorToken.getText();
    const compound = compoundOf(operator);
    if (operator === ",") {
      effect(cx, node.left, scope);
      return effect(cx, node.right, scope);
    }
    if (operator === "=" || (compound && /^[^<>=!]*=$|<<=|>>=/.test(operator))) {
      const right = lifted(cx, node.right, scope);
      const value = compound
        ? numeric(simplified(compound, liftedNumber(cx, node.left, scope), asNumber(right, node.right)))
        : right;
      assign(cx, node.left, value, scope);
      return through;
    }
    if (operator === "&&=" || operator === "||=") {
      const before = liftedTruth(cx, node.left, scope);
      const after = cx.branch(() => liftedTruth(cx, node.right, scope)).result;
      assign(
        cx,
        node.left,
        { kind: "truth", expr: simplified(operator === "&&=" ? "and" : "or", before, after) },
        scope,
      );
      return through;
    }
  }
  lifted(cx, node, scope);
  return through;
}

function assign(cx: Lifting, target: ts.Expression, value: Lifted, scope: Scope): void {
  const t = loadTypeScript();
  if (!t.isIdentifier(target))
    refuse("QKV145", `${target.getText()} is assigned to; a formula changes only its own variables`, target);
  const variable = variableNamed(target.text, scope);
  if (!variable)
    refuse("QKV145", `${target.text} lies outside of the function; a formula cannot change it`, target, {
      help: "a mask or score only answers a value: declare what it needs within it",
    });
  if (variable.fixed) refuse("QKV145", `${target.text} is a const`, target);
  cx.assign(variable, value);
}

function variableNamed(name: string, scope: Scope): Variable | undefined {
  for (let at: Scope | undefined = scope; at; at = at.outer) {
    const variable = at.variables.get(name);
    if (variable) return variable;
    if (at.captured?.(name)) return undefined;
  }
  return undefined;
}
