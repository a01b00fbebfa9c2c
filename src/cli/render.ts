import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import pc from "picocolors";
import { type ExitCode, QkvError, type SourceLocation } from "../ir/diagnostics.ts";
import { printable } from "../ir/printable.ts";

/** The source lines around a place, with carets under it; empty where the file cannot be read. */
function codeFrame({ file, line, column, endColumn }: SourceLocation): readonly string[] {
  if (!existsSync(file)) return [];
  const source = readFileSync(file, "utf8").split(/\r?\n/)[line - 1];
  if (source === undefined) return [];
  const width = Math.max(1, Math.min(endColumn ?? column + 1, source.length + 1) - column);
  // Tabs stay tabs so that the carets line up whatever a tab is worth.
  const indent = source.slice(0, column - 1).replace(/[^\t]/g, " ");
  const gutter = " ".repeat(String(line).length);
  return [`${gutter} |`, `${line} | ${source}`, `${gutter} | ${indent}${pc.red("^".repeat(width))}`];
}

const shortPath = (file: string) => {
  const path = relative(process.cwd(), file);
  return path.startsWith("..") ? file : path;
};

const longest = 4_000;

/** What is said of a file: printable, no longer than a screen, and no line of it looks like one of ours. */
export function told(text: string): string {
  const short = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return printable(short).replaceAll("\n", "\n  ");
}

/** A report with our own colours, where there are any, and otherwise printable. */
export const shown = (report: string): string =>
  report
    .split(pc.isColorSupported ? colours : /$^/)
    .map((part, i) => (i % 2 === 0 ? printable(part) : part))
    .join("");

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const colours = /(\u001b\[\d+m)/;

/** An error as a person reads it: code, message, place, facts, what to do. */
export function renderError(error: QkvError): string {
  const { location, notes = [], help } = error.details;
  const lines = [`${pc.red(pc.bold(`error[${error.code}]`))}${pc.bold(`: ${told(error.message)}`)}`];
  if (location) {
    lines.push(`  ${pc.blue("-->")} ${printable(shortPath(location.file))}:${location.line}:${location.column}`);
    lines.push(...codeFrame(location).map((line) => `  ${shown(line)}`));
  }
  for (const note of notes) lines.push(`   = ${told(note)}`);
  if (help) lines.push(`   ${pc.green("help")}: ${told(help)}`);
  return `${lines.join("\n")}\n`;
}

/** Any failure as one readable error and its exit code; what is no QkvError is our bug. */
export function describeFailure(error: unknown): { readonly text: string; readonly exit: ExitCode } {
  if (error instanceof QkvError) return { text: renderError(error), exit: error.exitCode };
  const message = error instanceof Error ? error.message : String(error);
  const trace = error instanceof Error && process.env.QKV_DEBUG ? [String(error.stack)] : [];
  const bug = new QkvError("QKV901", message, {
    notes: trace,
    help: "this is a bug in qkv; run again with QKV_DEBUG=1 for the trace",
  });
  return { text: renderError(bug), exit: 70 };
}
