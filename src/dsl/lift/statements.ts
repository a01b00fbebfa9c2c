import type { ts } from "ts-morph";
import { simplified } from "../../ir/index-expr/simplify.ts";
import type { IndexExpr } from "../../ir/index-expr/types.ts";
import { loadTypeScript } from "../source.ts";
import { bind, withDefault } from "./bind.ts";
import {
  afterReturn,
  type Completion,
  divided,
  followed,
  reachedWhere,
  through,
  under,
  unrolled,
} from "./completion.ts";
import { lifted, liftedTruth } from "./expressions.ts";
import { type FunctionNode, refuse } from "./function-source.ts";
import { always, describeLifted, type Lifted, type Lifting, never, nothing, type Scope } from "./lifted.ts";
import { operation } from "./operators.ts";
import { elementsOf } from "./tables.ts";
import { asTruth, choose } from "./values.ts";

const mostDepth = 250;
const mostTurns = 100_000;
const either = (x: IndexExpr, y: IndexExpr) => simplified("or", x, y);
const not = (x: IndexExpr) => simplified("not", x);

/** What a function answers for `args`. `outer` is what it sees. Throws QKV141 to QKV152. */
export function invoked(cx: Lifting, node: FunctionNode, outer: Scope, args: readonly Lifted[]): Lifted {
  const t = loadTypeScript();
  const scope: Scope = { variables: new Map(), outer, ofFunction: true };
  if (++cx.depth > mostDepth)
    refuse("QKV152", `calls are nested more than ${mostDepth} deep`, node, {
      help: "a function that calls itself must stop by what is known when the model is built, not by the indices",
    });
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
  const { returns, value = nothing } = block(cx, body.statements, scope);
  if (returns === always) return value;
  if (returns === never) return nothing;
  // Its answer is asked for nowhere: a function run for what it changes.
  if (value.kind === "nothing") return nothing;
  if (value.kind === "number") return choose(returns, value, nothing, node);
  return refuse("QKV146", "the function does not return on every path", body.statements.at(-1) ?? node, {
    help: "end it with a return that no condition guards",
  });
}

function block(cx: Lifting, statements: readonly ts.Statement[], scope: Scope): Completion {
  const t = loadTypeScript();
  for (const statement of statements)
    if (t.isFunctionDeclaration(statement) && statement.name)
      scope.variables.set(statement.name.text, {
        value: { kind: "closure", node: statement, scope },
        fixed: true,
        depth: cx.depth,
      });
  let done = through;
  for (const statement of statements) {
    const gone = either(done.breaks, done.continues);
    const next = afterReturn(cx, done.returns, statement, () =>
      under(cx, not(gone), statement, () => execute(cx, statement, scope)),
    );
    done = followed(done, next, statement);
    if (either(done.returns, either(done.breaks, done.continues)) === always) break;
  }
  return done;
}

function execute(cx: Lifting, node: ts.Statement, scope: Scope): Completion {
  const t = loadTypeScript();
  if (t.isReturnStatement(node))
    return { ...through, returns: always, value: node.expression ? lifted(cx, node.expression, scope) : nothing };
  if (t.isBlock(node)) return block(cx, node.statements, { variables: new Map(), outer: scope });
  if (t.isVariableStatement(node)) return declare(cx, node.declarationList, scope);
  if (t.isIfStatement(node)) return branches(cx, node, scope);
  if (t.isSwitchStatement(node)) return switched(cx, node, scope);
  if (t.isForStatement(node)) return loop(cx, node, scope);
  if (t.isForOfStatement(node)) return each(cx, node, scope);
  if (t.isExpressionStatement(node)) {
    lifted(cx, node.expression, scope);
    return through;
  }
  if (t.isBreakStatement(node) && !node.label) return { ...through, breaks: always };
  if (t.isContinueStatement(node) && !node.label) return { ...through, continues: always };
  if (t.isFunctionDeclaration(node) || node.kind === t.SyntaxKind.EmptyStatement) return through;
  return unsupported(t, node);
}

function unsupported(t: typeof ts, node: ts.Statement): never {
  const first = node.getFirstToken() ?? node;
  const loops = t.isWhileStatement(node) || t.isDoStatement(node) || t.isForInStatement(node);
  const name = t.isForInStatement(node) ? "for … in" : first.getText();
  return refuse("QKV142", `${name} has no formula`, first, {
    help: loops
      ? "write for (let i = 0; i < n; i++) with an n that is known when the model is built: it is unrolled"
      : t.isThrowStatement(node) || t.isTryStatement(node)
        ? "a mask or score answers a value for every index: check what it captures outside of it"
        : "write const, let, if, switch, for and return",
  });
}

function declare(cx: Lifting, list: ts.VariableDeclarationList, scope: Scope): Completion {
  const t = loadTypeScript();
  const fixed = (list.flags & t.NodeFlags.Const) !== 0;
  const isVar = (list.flags & t.NodeFlags.BlockScoped) === 0;
  for (const { name, initializer } of list.declarations) {
    const value = initializer && lifted(cx, initializer, scope);
    if (isVar) declareVar(cx, name, value, scope);
    else bind(cx, name, value ?? nothing, scope, fixed);
  }
  return through;
}

/** A `var` belongs to the whole function; declared again, it keeps its value. */
function declareVar(cx: Lifting, name: ts.BindingName, value: Lifted | undefined, scope: Scope): void {
  const t = loadTypeScript();
  let home = scope;
  while (!home.ofFunction && home.outer) home = home.outer;
  if (!t.isIdentifier(name)) {
    bind(cx, name, value ?? nothing, scope, false, home);
    return;
  }
  let variable = home.variables.get(name.text);
  if (!variable) home.variables.set(name.text, (variable = { value: nothing, fixed: false, depth: cx.depth }));
  if (value) cx.assign(variable, value);
}

function branches(cx: Lifting, node: ts.IfStatement, scope: Scope): Completion {
  const yes = () => execute(cx, node.thenStatement, scope);
  const no = () => (node.elseStatement ? execute(cx, node.elseStatement, scope) : through);
  return divided(cx, liftedTruth(cx, node.expression, scope), node, yes, no);
}

/** Clauses are tried one after the other; one that is taken runs on into those below it until a break. */
function switched(cx: Lifting, node: ts.SwitchStatement, outer: Scope): Completion {
  const t = loadTypeScript();
  const scope: Scope = { variables: new Map(), outer };
  const of = lifted(cx, node.expression, scope);
  const { clauses } = node.caseBlock;
  const from = (start: number) =>
    block(
      cx,
      clauses.slice(start).flatMap(({ statements }) => statements),
      scope,
    );
  const matches = ({ expression }: ts.CaseClause): IndexExpr => {
    const at = { left: node.expression, operator: expression, right: expression, whole: expression };
    return asTruth(cx, operation("===", [of, lifted(cx, expression, scope)], at), expression);
  };
  const attempt = (at: number): Completion => {
    const start = clauses.findIndex((clause, i) => i >= at && t.isCaseClause(clause));
    if (start < 0) {
      const otherwise = clauses.findIndex((clause) => t.isDefaultClause(clause));
      return otherwise < 0 ? through : from(otherwise);
    }
    let condition = matches(clauses[start] as ts.CaseClause);
    let end = start + 1;
    // Empty clauses share the body of the one below.
    for (; clauses[end - 1]!.statements.length === 0; end++) {
      const below = clauses[end];
      if (!below || !t.isCaseClause(below)) break;
      condition = either(condition, matches(below));
    }
    return divided(
      cx,
      condition,
      node,
      () => from(start),
      () => attempt(end),
    );
  };
  return { ...attempt(0), breaks: never };
}

function loop(cx: Lifting, node: ts.ForStatement, outer: Scope): Completion {
  const t = loadTypeScript();
  const scope: Scope = { variables: new Map(), outer };
  const { initializer, condition, incrementor } = node;
  const declares = initializer && t.isVariableDeclarationList(initializer);
  if (declares) declare(cx, initializer, scope);
  else if (initializer) lifted(cx, initializer, scope);
  const own = declares && (initializer.flags & t.NodeFlags.BlockScoped) !== 0;
  return unrolled(
    cx,
    node,
    () => (condition ? goesOn(cx, condition, scope) : always),
    () => execute(cx, node.statement, scope),
    (broken) => {
      if (!incrementor) return;
      const step = () => {
        lifted(cx, incrementor, scope);
        return through;
      };
      // What the loop declares is seen by nobody who has left it.
      if (own) step();
      else under(cx, not(broken), incrementor, step);
    },
    (count) => tooLong(count, node),
  );
}

/**
 * For which indices a loop goes on. Conditions joined by && may depend on the indices where one of them, such as
 * `i < 8`, does not: that one ends the loop.
 */
function goesOn(cx: Lifting, condition: ts.Expression, scope: Scope): IndexExpr {
  let all: IndexExpr = always;
  let ends = false;
  for (const part of conjuncts(condition)) {
    const known = reachedWhere(cx, all, part, () => liftedTruth(cx, part, scope));
    if (known === never) return never;
    ends ||= known === always;
    all = simplified("and", all, known);
  }
  if (all === always || ends) return all;
  return refuse("QKV147", "how often this loop turns depends on the indices or on the data", condition, {
    help: "loop to the largest count known when the model is built, and choose within: sum += i < n ? x : 0",
  });
}

function conjuncts(node: ts.Expression): readonly ts.Expression[] {
  const t = loadTypeScript();
  if (t.isParenthesizedExpression(node)) return conjuncts(node.expression);
  const isAnd = t.isBinaryExpression(node) && node.operatorToken.kind === t.SyntaxKind.AmpersandAmpersandToken;
  return isAnd ? [...conjuncts(node.left), ...conjuncts(node.right)] : [node];
}

function tooLong(count: number, node: ts.Node): void {
  if (count >= mostTurns)
    refuse("QKV152", `the loop turns more than ${mostTurns} times`, node, {
      help: "loops are unrolled: put what they compute into a table outside of the function",
    });
}

function each(cx: Lifting, node: ts.ForOfStatement, outer: Scope): Completion {
  const t = loadTypeScript();
  const of = lifted(cx, node.expression, outer);
  const items =
    elementsOf(cx, of) ??
    refuse("QKV147", `${node.expression.getText()} is ${describeLifted(of)}, no list known now`, node.expression, {
      help: "loop to the largest count known when the model is built, and index within",
    });
  const { initializer } = node;
  if (!t.isVariableDeclarationList(initializer))
    return refuse("QKV142", "declare the variable: for (const x of …)", initializer);
  let i = 0;
  return unrolled(
    cx,
    node,
    () => (i < items.length ? always : never),
    () => {
      const scope: Scope = { variables: new Map(), outer };
      bind(cx, initializer.declarations[0]!.name, items[i]!, scope, false);
      return execute(cx, node.statement, scope);
    },
    () => void i++,
    (count) => tooLong(count, node),
  );
}
