import type { ts } from "ts-morph";
import type { SourceLocation } from "../ir/diagnostics.ts";

export type TypeScript = typeof ts;

/** What the author's source says about one call. */
export interface Call {
  /** The callee's own name: `matmul` in `matmul(q, k)`, `mul` in `scores.mul(2)`. */
  readonly callee: string;
  /** What the author calls the result; several for `const [a, b] = …`. */
  readonly names: readonly (string | undefined)[];
  /** Source text of what stands before the dot, if anything. */
  readonly receiver: string | undefined;
  /** Source text of each argument. */
  readonly args: readonly string[];
  /** From the callee's name to the closing parenthesis, or to the end of its first line. */
  readonly location: SourceLocation;
  /** Where the values of its options stand, up to the end of their first lines. */
  readonly options: ReadonlyMap<string, SourceLocation>;
}

type Calls = ReadonlyMap<number, readonly Call[]>;

const read = new Map<string, { readonly text: string; readonly calls: Calls }>();
let typescript: TypeScript | undefined;

/**
 * The call of `callee` at a place. Undefined where the file cannot be read, or is not what ran. The parser is loaded
 * when the first name is asked for.
 */
export function callAt(location: SourceLocation, callee: string): Call | undefined {
  try {
    const line = callsIn(location.file).get(location.line) ?? [];
    const distance = (call: Call) => Math.abs(call.location.column - location.column);
    return line.filter((call) => call.callee === callee).sort((a, b) => distance(a) - distance(b))[0];
  } catch {
    return undefined;
  }
}

function callsIn(file: string): Calls {
  const builtin = (name: string) => process.getBuiltinModule(name) as never;
  const { readFileSync } = builtin("node:fs") as typeof import("node:fs");
  const text = readFileSync(file, "utf8");
  const known = read.get(file);
  if (known?.text === text) return known.calls;
  const calls = collectCalls(loadTypeScript(), file, text);
  read.set(file, { text, calls });
  return calls;
}

/** The parser, loaded when first asked for. */
export function loadTypeScript(): TypeScript {
  const { createRequire } = process.getBuiltinModule("node:module");
  typescript ??= (createRequire(import.meta.url)("ts-morph") as { readonly ts: TypeScript }).ts;
  return typescript;
}

function collectCalls(t: TypeScript, file: string, text: string): Calls {
  const source = t.createSourceFile(file, text, t.ScriptTarget.ESNext, true);
  const calls = new Map<number, Call[]>();
  const pending: ts.Node[] = [source];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (t.isCallExpression(node)) addCall(t, source, node, calls);
    t.forEachChild(node, (child) => void pending.push(child));
  }
  return calls;
}

function addCall(t: TypeScript, source: ts.SourceFile, call: ts.CallExpression, calls: Map<number, Call[]>): void {
  const { expression } = call;
  const name = t.isPropertyAccessExpression(expression) ? expression.name : expression;
  if (!t.isIdentifier(name)) return;
  const location = stretch(source, name.getStart(source), call.getEnd());
  const options = call.arguments.flatMap((arg) => (t.isObjectLiteralExpression(arg) ? arg.properties : []));
  const entry: Call = {
    callee: name.text,
    names: resultNames(t, call),
    receiver: t.isPropertyAccessExpression(expression) ? expression.expression.getText(source) : undefined,
    args: call.arguments.map((arg) => arg.getText(source)),
    location,
    options: new Map(
      options.flatMap((option) => {
        if (!option.name || !isNamed(t, option.name as ts.PropertyName)) return [];
        const value = t.isPropertyAssignment(option) ? option.initializer : option;
        return [[option.name.getText(source), stretch(source, value.getStart(source), value.getEnd())] as const];
      }),
    ),
  };
  const line = calls.get(location.line);
  if (line) line.push(entry);
  else calls.set(location.line, [entry]);
}

/** From one character to another, or to the end of the first line. */
function stretch(source: ts.SourceFile, from: number, to: number): SourceLocation {
  const start = source.getLineAndCharacterOfPosition(from);
  const end = source.getLineAndCharacterOfPosition(to);
  const lineEnd = source.getLineEndOfPosition(from) - source.getLineStarts()[start.line]!;
  return {
    file: source.fileName,
    line: start.line + 1,
    column: start.character + 1,
    endColumn: (start.line === end.line ? end.character : lineEnd) + 1,
  };
}

/** The variable, property or function that holds what an expression answers. */
function resultNames(t: TypeScript, expression: ts.Node): readonly (string | undefined)[] {
  let node = expression;
  for (;;) {
    const { parent } = node;
    if (isTransparent(t, parent, node)) node = parent;
    else if (t.isVariableDeclaration(parent)) return bindingNames(t, parent.name);
    else if (t.isPropertyAssignment(parent) && isNamed(t, parent.name)) return [parent.name.text];
    else if (isAssignment(t, parent, node)) return t.isIdentifier(parent.left) ? [parent.left.text] : [];
    else if (t.isReturnStatement(parent) || t.isArrowFunction(parent)) {
      const owner = enclosingFunction(t, parent);
      if (owner && t.isFunctionDeclaration(owner)) return owner.name ? [owner.name.text] : [];
      if (!owner || (!t.isArrowFunction(owner) && !t.isFunctionExpression(owner))) return [];
      // `const head = (x) => softmax(x)` is called head; `x = scope("a", () => softmax(x))` is called x.
      node = t.isCallExpression(owner.parent) ? owner.parent : owner;
    } else return [];
  }
}

function isTransparent(t: TypeScript, parent: ts.Node, node: ts.Node): boolean {
  return (
    t.isParenthesizedExpression(parent) ||
    t.isAsExpression(parent) ||
    t.isSatisfiesExpression(parent) ||
    t.isNonNullExpression(parent) ||
    (t.isConditionalExpression(parent) && parent.condition !== node)
  );
}

const isNamed = (t: TypeScript, name: ts.PropertyName): name is ts.Identifier | ts.StringLiteral =>
  t.isIdentifier(name) || t.isStringLiteral(name);

const isAssignment = (t: TypeScript, parent: ts.Node, node: ts.Node): parent is ts.BinaryExpression =>
  t.isBinaryExpression(parent) && parent.operatorToken.kind === t.SyntaxKind.EqualsToken && parent.right === node;

function bindingNames(t: TypeScript, name: ts.BindingName): readonly (string | undefined)[] {
  if (t.isIdentifier(name)) return [name.text];
  if (!t.isArrayBindingPattern(name)) return [];
  return name.elements.map((item) =>
    t.isBindingElement(item) && t.isIdentifier(item.name) ? item.name.text : undefined,
  );
}

function enclosingFunction(t: TypeScript, from: ts.Node): ts.Node | undefined {
  let node: ts.Node | undefined = from;
  while (node && !t.isFunctionLike(node)) node = node.parent;
  return node;
}
