import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { ts } from "ts-morph";
import { QkvError, type SourceLocation } from "../ir/diagnostics.ts";

/** One type error of a model file. */
export interface TypeProblem {
  /** What is wrong: the DSL's own words where it has some, else the type checker's. */
  readonly message: string;
  /** The type checker's number, as in TS2345. */
  readonly number: number;
  readonly location: SourceLocation;
}

/**
 * Missing modules and globals of the runtime (`node:fs`, `process`): a model may use them, and whether their types are
 * installed is no matter of ours.
 */
const ignored = new Set([2307, 2580, 2591, 2304, 7016, 2792]);

/**
 * As `checkTypes`, beside whatever else runs: on a thread of its own where the project runs compiled. Where `signal`
 * stops it, the answer never comes.
 */
export function checkTypesBeside(path: string, signal?: AbortSignal): Promise<readonly TypeProblem[]> {
  if (!import.meta.url.endsWith(".js")) return checkTypes(path);
  const worker = new Worker(new URL("./check-types-worker.js", import.meta.url), {
    workerData: resolve(path),
    execArgv: [],
  });
  signal?.addEventListener("abort", () => void worker.terminate());
  return new Promise((answer, reject) => {
    worker.once("message", answer);
    worker.once("error", reject);
  });
}

/** Everything the type checker has against model files and the files they import. Takes about a second, for many hardly more. */
export async function checkTypes(...paths: readonly string[]): Promise<readonly TypeProblem[]> {
  const { Project, ts: t } = await import("ts-morph");
  // Its file system holds the standard library's types, which the bare compiler would look for on disk.
  const project = new Project({ compilerOptions: compilerOptions(t), skipAddingFilesFromTsConfig: true });
  for (const path of paths) project.addSourceFileAtPath(resolve(path));
  const program = project.getProgram().compilerObject;
  return program
    .getSourceFiles()
    .filter((source) => isModelSource(source.fileName))
    .flatMap((source) => [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)])
    .filter(({ code, category }) => !ignored.has(code) && category === t.DiagnosticCategory.Error)
    .map((diagnostic) => problem(t, diagnostic));
}

/** The first of these problems as an error, which counts the others; undefined where there are none. */
export function typeError(problems: readonly TypeProblem[]): QkvError | undefined {
  const [first, ...others] = problems;
  if (!first) return undefined;
  const notes = others
    .slice(0, 3)
    .map(({ message, location }) => `also at ${location.line}:${location.column}: ${message}`);
  const more = others.length > 3 ? [`and ${others.length - 3} more`] : [];
  return new QkvError("QKV136", `${first.message} (TS${first.number})`, {
    location: first.location,
    ...(others.length > 0 && { notes: [...notes, ...more] }),
  });
}

// The package's own types: declarations beside the compiled files, sources otherwise.
const own = fileURLToPath(new URL("..", import.meta.url)).replaceAll("\\", "/");
const entry = ["index.d.ts", "index.ts"].map((name) => own + name).find((name) => existsSync(name)) ?? `${own}index.ts`;

const isModelSource = (name: string) =>
  !name.startsWith(own) && !name.includes("/node_modules/") && !/\/lib(\.[a-z0-9.]+)?\.d\.ts$/.test(name);

function compilerOptions(t: typeof ts): ts.CompilerOptions {
  return {
    target: t.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts", "lib.dom.d.ts"],
    module: t.ModuleKind.ESNext,
    moduleResolution: t.ModuleResolutionKind.Bundler,
    strict: true,
    noEmit: true,
    allowJs: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    types: [],
    paths: { qkv: [entry] },
  };
}

function problem(t: typeof ts, { messageText, code, file, start = 0, length = 1 }: ts.Diagnostic): TypeProblem {
  const text = t.flattenDiagnosticMessageText(messageText, "\n");
  const from = file?.getLineAndCharacterOfPosition(start) ?? { line: 0, character: 0 };
  const to = file?.getLineAndCharacterOfPosition(start + length) ?? from;
  return {
    message: brandedMessage(text) ?? operatorMessage(text) ?? text.split("\n")[0]!,
    number: code,
    location: {
      file: file?.fileName ?? "",
      line: from.line + 1,
      column: from.character + 1,
      ...(to.line === from.line && { endColumn: to.character + 1 }),
    },
  };
}

/** `Operator '+' cannot be applied to types 'Tensor<…` says too much and helps too little. */
function operatorMessage(text: string): string | undefined {
  const operator = /^Operator '([^']+)' cannot be applied to type/.exec(text)?.[1];
  if (operator === undefined || !text.includes("'Tensor<")) return undefined;
  return `'${operator}' does not work on tensors: operators of JavaScript cannot build a model; write add(x, y), mul(x, y), less(x, y), …`;
}

/** The DSL writes its messages as types: `… is not assignable to parameter of type '"matmul: …"'`. */
function brandedMessage(text: string): string | undefined {
  const match = /parameter of type '"((?:[^"\\]|\\.)*)"'/.exec(text);
  return match && /^\w+: /.test(match[1]!) ? match[1]!.replaceAll('\\"', '"') : undefined;
}
