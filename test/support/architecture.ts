import { posix } from "node:path";
import { Project, ts } from "ts-morph";

/** A file as the rules see it: its path from the root of the checkout, and its text. */
export interface SourceText {
  readonly path: string;
  readonly text: string;
}

/** One module named by another. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** `import type` and `import("…")` in a type: gone at run time. */
  readonly erased: boolean;
  /** `import "x"`: only for its effect. */
  readonly bare: boolean;
}

/** What the rules need to know of a file, gathered in one walk over its syntax. */
export interface Facts {
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  readonly anys: readonly number[];
  readonly enums: readonly number[];
  readonly defaultExports: readonly number[];
  /** Statements at the top level that are no declarations. */
  readonly effects: readonly number[];
  /** Uses of `console` and `process`. */
  readonly environment: readonly { readonly name: string; readonly line: number }[];
}

/** A rule answers its violations, each starting with `file:line`. */
export interface ArchitectureRule {
  readonly name: string;
  check(files: readonly Facts[]): readonly string[];
}

/** Parses files; nothing is resolved or type-checked. */
export function factsOf(sources: readonly SourceText[]): readonly Facts[] {
  const project = new Project({
    useInMemoryFileSystem: true,
    skipLoadingLibFiles: true,
    skipFileDependencyResolution: true,
  });
  return sources.map(({ path, text }) => {
    const file = project.createSourceFile(`/${path}`, text);
    const facts = readFacts(path, file.compilerNode);
    project.removeSourceFile(file);
    return facts;
  });
}

const { SyntaxKind } = ts;
const declarations = new Set([
  SyntaxKind.ImportDeclaration,
  SyntaxKind.ExportDeclaration,
  SyntaxKind.ExportAssignment,
  SyntaxKind.VariableStatement,
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.ClassDeclaration,
  SyntaxKind.InterfaceDeclaration,
  SyntaxKind.TypeAliasDeclaration,
  SyntaxKind.EnumDeclaration,
  SyntaxKind.ModuleDeclaration,
]);

function readFacts(path: string, file: ts.SourceFile): Facts {
  const imports: Import[] = [];
  const [anys, enums, defaultExports, effects]: [number[], number[], number[], number[]] = [[], [], [], []];
  const environment: { name: string; line: number }[] = [];
  const lineOf = (node: ts.Node) => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
  const note = (node: ts.Node, found: ts.Node | undefined, erased: boolean, bare = false) => {
    if (found && ts.isStringLiteralLike(found))
      imports.push({ specifier: found.text, line: lineOf(node), erased, bare });
  };
  const stack: ts.Node[] = [file];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (ts.isImportDeclaration(node))
      note(node, node.moduleSpecifier, node.importClause?.isTypeOnly === true, !node.importClause);
    else if (ts.isExportDeclaration(node)) note(node, node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) note(node, node.argument.literal, true);
    else if (ts.isCallExpression(node) && loadsModule(node)) note(node, node.arguments[0], false);
    else if (node.kind === SyntaxKind.AnyKeyword) anys.push(lineOf(node));
    else if (ts.isEnumDeclaration(node)) enums.push(lineOf(node));
    else if (ts.isIdentifier(node) && (node.text === "console" || node.text === "process"))
      environment.push({ name: node.text, line: lineOf(node) });
    if (isDefaultExport(node)) defaultExports.push(lineOf(node));
    const children: ts.Node[] = [];
    ts.forEachChild(node, (child) => void children.push(child));
    stack.push(...children.reverse());
  }
  for (const statement of file.statements) if (!declarations.has(statement.kind)) effects.push(lineOf(statement));
  const lines = file.text.split("\n").length - (file.text.endsWith("\n") ? 1 : 0);
  return {
    path,
    lines,
    imports,
    anys,
    enums,
    defaultExports,
    effects,
    environment,
  };
}

/** `import("…")`, `require("…")`, `require.resolve("…")`. */
function loadsModule({ expression }: ts.CallExpression): boolean {
  if (expression.kind === SyntaxKind.ImportKeyword) return true;
  const callee = ts.isPropertyAccessExpression(expression) ? expression.expression : expression;
  return ts.isIdentifier(callee) && callee.text === "require";
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  if (ts.isExportSpecifier(node)) return node.name.text === "default";
  return (
    ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === SyntaxKind.DefaultKeyword)
  );
}

/** The file a relative specifier names, or undefined for a package. */
export const resolveImport = (from: string, specifier: string): string | undefined =>
  specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier) : undefined;

/** The package a specifier names; undefined for files and for what Node brings. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return undefined;
  const [scope, name] = specifier.split("/");
  return scope!.startsWith("@") ? `${scope}/${name}` : scope;
}

/**
 * Import cycles among files, each as a path that ends where it starts; erased imports do not count. One per strongly
 * connected component. Tarjan's algorithm with a stack of its own.
 */
export function importCycles(files: readonly Facts[]): readonly (readonly string[])[] {
  const known = new Set(files.map(({ path }) => path));
  const edges = new Map(
    files.map(({ path, imports }) => [
      path,
      imports.flatMap(({ specifier, erased }) => {
        const to = erased ? undefined : resolveImport(path, specifier);
        return to !== undefined && known.has(to) ? [to] : [];
      }),
    ]),
  );
  return components(edges).flatMap((members) => {
    const inside = new Set(members);
    const start = members.toSorted()[0]!;
    const cycle = shortestCycle(start, (path) => edges.get(path)!.filter((to) => inside.has(to)));
    return cycle ? [cycle] : [];
  });
}

function components(edges: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const open: string[] = [];
  const isOpen = new Set<string>();
  const found: (readonly string[])[] = [];
  for (const root of edges.keys()) {
    if (index.has(root)) continue;
    const work: { path: string; next: number }[] = [{ path: root, next: 0 }];
    while (work.length > 0) {
      const top = work[work.length - 1]!;
      const { path } = top;
      if (top.next === 0) {
        index.set(path, index.size);
        low.set(path, index.get(path)!);
        open.push(path);
        isOpen.add(path);
      }
      const to = edges.get(path)![top.next++];
      if (to !== undefined) {
        if (!index.has(to)) work.push({ path: to, next: 0 });
        else if (isOpen.has(to)) low.set(path, Math.min(low.get(path)!, index.get(to)!));
        continue;
      }
      work.pop();
      const above = work.at(-1)?.path;
      if (above !== undefined) low.set(above, Math.min(low.get(above)!, low.get(path)!));
      if (low.get(path) !== index.get(path)) continue;
      const members = open.splice(open.indexOf(path));
      for (const member of members) isOpen.delete(member);
      found.push(members);
    }
  }
  return found;
}

/** Breadth first from `start` back to itself. */
function shortestCycle(start: string, next: (path: string) => readonly string[]): readonly string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (let path = queue.shift(); path !== undefined; path = queue.shift())
    for (const to of next(path)) {
      if (to === start) {
        const cycle = [start];
        for (let at = path; at !== start; at = cameFrom.get(at)!) cycle.unshift(at);
        return [start, ...cycle];
      }
      if (cameFrom.has(to)) continue;
      cameFrom.set(to, path);
      queue.push(to);
    }
  return undefined;
}
