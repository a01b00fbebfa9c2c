import type { ts } from "ts-morph";
import { type DiagnosticCode, type DiagnosticDetails, fail } from "../../ir/diagnostics.ts";
import { loadTypeScript } from "../source.ts";
import type { LiveFunction } from "./captures.ts";
import { placeOf, writtenAt } from "./place.ts";

/** A function of the author's as its syntax. */
export type FunctionNode = ts.ArrowFunction | ts.FunctionExpression | ts.MethodDeclaration | ts.FunctionDeclaration;

interface Owner {
  readonly fn: LiveFunction;
  /** Characters that stand before the function's own text in what was parsed. */
  readonly before: number;
}

const parsed = new WeakMap<LiveFunction, FunctionNode>();
const owners = new WeakMap<ts.SourceFile, Owner>();

/**
 * The syntax of a live function. Throws QKV140 where its source is not JavaScript that can be lifted, for `option` of
 * the call where it is one.
 */
export function functionNode(fn: LiveFunction, what: string, option?: string): FunctionNode {
  const before = parsed.get(fn);
  if (before) return before;
  const t = loadTypeScript();
  const text = Function.prototype.toString.call(fn);
  const at = option === undefined ? {} : { option };
  if (isNative(fn)) {
    const isBound = fn.name.startsWith("bound ");
    fail("QKV140", `${what} is ${isBound ? "a bound function" : "a function of the runtime"}, which has no source`, {
      ...at,
      help: isBound
        ? "write an arrow function that calls it: (at) => fn(at)"
        : "write one of your own: ({ q, k }) => …",
    });
  }
  if (/^class\b/.test(text)) fail("QKV140", `${what} is a class`, { ...at, help: "give a function: ({ q, k }) => …" });
  const node = parse(t, fn, text) ?? fail("QKV140", `the source of ${what} cannot be read: ${text.slice(0, 60)}`, at);
  if (node.modifiers?.some(({ kind }) => kind === t.SyntaxKind.AsyncKeyword) || node.asteriskToken)
    refuse("QKV140", `${what} is ${node.asteriskToken ? "a generator" : "async"}`, node, {
      help: "a mask or score is an ordinary function of numbers",
    });
  parsed.set(fn, node);
  return node;
}

/** Whether the runtime keeps no source of a function: its own ones, bound ones, proxies. */
export const isNative = (fn: LiveFunction): boolean =>
  /\{\s*\[native code\]\s*\}\s*$/.test(Function.prototype.toString.call(fn));

/** Tried in this order: an expression; a method, which only reads within an object; the same with types. */
function parse(t: typeof ts, fn: LiveFunction, text: string): FunctionNode | undefined {
  for (const kind of [t.ScriptKind.JS, t.ScriptKind.TS])
    for (const [before, after] of [
      ["(", ")"],
      ["({", "})"],
    ] as const) {
      const source = t.createSourceFile("function.ts", before + text + after, t.ScriptTarget.ESNext, true, kind);
      const { parseDiagnostics = [] } = source as { readonly parseDiagnostics?: readonly unknown[] };
      const node = parseDiagnostics.length === 0 ? onlyFunction(t, source) : undefined;
      if (!node) continue;
      owners.set(source, { fn, before: before.length });
      return node;
    }
  return undefined;
}

function onlyFunction(t: typeof ts, source: ts.SourceFile): FunctionNode | undefined {
  const [statement] = source.statements;
  if (!statement || !t.isExpressionStatement(statement) || !t.isParenthesizedExpression(statement.expression)) return;
  const { expression } = statement.expression;
  if (t.isArrowFunction(expression) || t.isFunctionExpression(expression)) return expression;
  const member = t.isObjectLiteralExpression(expression) ? expression.properties[0] : undefined;
  return member && t.isMethodDeclaration(member) ? member : undefined;
}

/** Throws an error that shows `node` in the author's file, and speaks of it in the author's words: what runs may be renamed. */
export function refuse(code: DiagnosticCode, message: string, node: ts.Node, details: DiagnosticDetails = {}): never {
  const source = node.getSourceFile();
  const owner = owners.get(source);
  const location = owner && placeOf(owner.fn, node.getStart(source) - owner.before, node.getEnd() - owner.before);
  const written = location && writtenAt(location);
  const said = written ? message.replaceAll(node.getText(source), () => written) : message;
  return fail(code, said, { ...details, ...(location && { location }) });
}
