import { jsonText } from "../../ir/printable.ts";
import { type Code, numberText, type Statement } from "./code.ts";

/** Columns of a line, as everywhere in this project. */
export const lineWidth = 120;

/** An expression on one line; undefined where its form takes several. */
export function flat(code: Code): string | undefined {
  switch (code.kind) {
    case "text":
      return code.text;
    case "size":
      return numberText(code.value);
    case "call":
      return within(`${code.callee}(`, code.args, ")");
    case "method": {
      const of = flat(code.of);
      return of === undefined ? undefined : within(`${of}.${code.name}(`, code.args, ")");
    }
    case "list":
      return isMatrix(code) ? undefined : within("[", code.items, code.asConst ? "] as const" : "]");
    case "object": {
      if (code.entries.length === 0) return "{}";
      const entries = code.entries.map(([key, value]) => entryText(key, flat(value)));
      return entries.includes(undefined) ? undefined : `{ ${entries.join(", ")} }`;
    }
    case "function": {
      const body = "kind" in code.body ? flat(code.body) : undefined;
      if (body === undefined) return undefined;
      return `${code.parameters} => ${isObject(code.body) ? `(${body})` : body}`;
    }
    default:
      return undefined;
  }
}

const isObject = (body: Code | readonly Statement[]) => "kind" in body && body.kind === "object";

function within(open: string, items: readonly Code[], close: string): string | undefined {
  const texts = items.map(flat);
  return texts.includes(undefined) ? undefined : open + texts.join(", ") + close;
}

const entryText = (key: string, value: string | undefined) =>
  value === undefined ? undefined : key === value ? key : `${keyText(key)}: ${value}`;

const keyText = (key: string): string => (/^[A-Za-z_$][\w$]*$/.test(key) ? key : jsonText(key));

/** Lists of lists and of objects are written a line each, however short. */
const isMatrix = ({ items }: Extract<Code, { kind: "list" }>): boolean => {
  const [first] = items;
  if (items.length < 2 || (first?.kind !== "list" && first?.kind !== "object")) return false;
  return items.every(
    (item) =>
      (item.kind === "list" && first.kind === "list" && item.items.length > 1) ||
      (item.kind === "object" && first.kind === "object" && item.entries.length > 1),
  );
};

const isNumbers = (code: Code): boolean =>
  code.kind === "list" && code.items.length > 1 && code.items.every((item) => /^-?[\d.]/.test(flat(item) ?? ""));

/** Where an expression begins, how deep its lines are indented, and how much follows on its last line. */
interface Place {
  readonly column: number;
  readonly indent: number;
  readonly reserve: number;
}

/** An expression as the project's formatter lays it out. Its first line is not indented. */
export function layout(code: Code, at: Place): string {
  const short = flat(code);
  if (short !== undefined && at.column + short.length + at.reserve <= lineWidth) return short;
  switch (code.kind) {
    case "call":
      return code.callee + layoutArguments(code.args, { ...at, column: at.column + code.callee.length });
    case "method": {
      const of = `${layout(code.of, { ...at, reserve: 0 })}.${code.name}`;
      const column = of.includes("\n") ? of.length - of.lastIndexOf("\n") - 1 : at.column + of.length;
      return of + layoutArguments(code.args, { ...at, column });
    }
    case "list":
      return `[\n${isNumbers(code) ? filled(code.items, at.indent + 2) : lines(code.items, at.indent + 2)}${pad(at.indent)}]${code.asConst ? " as const" : ""}`;
    case "object":
      return `{\n${code.entries.map(([key, value]) => entryLine(key, value, at.indent + 2)).join("")}${pad(at.indent)}}`;
    case "function":
      return layoutFunction(code, at);
    default:
      return short ?? "";
  }
}

const pad = (indent: number) => " ".repeat(indent);

function entryLine(key: string, value: Code, indent: number): string {
  if (flat(value) === key) return `${pad(indent)}${key},\n`;
  const head = `${keyText(key)}: `;
  return `${pad(indent)}${head}${layout(value, { column: indent + head.length, indent, reserve: 1 })},\n`;
}

const lines = (items: readonly Code[], indent: number): string =>
  items.map((item) => `${pad(indent)}${layout(item, { column: indent, indent, reserve: 1 })},\n`).join("");

/** Numbers, as many to a line as fit. */
function filled(items: readonly Code[], indent: number): string {
  const rows: string[] = [];
  for (const item of items) {
    const word = `${flat(item)},`;
    const last = rows.at(-1);
    if (last !== undefined && indent + last.length + 1 + word.length <= lineWidth)
      rows[rows.length - 1] = `${last} ${word}`;
    else rows.push(word);
  }
  return rows.map((row) => `${pad(indent)}${row}\n`).join("");
}

/** The last argument goes on over several lines where it can and the others fit before it; else each has its own line. */
function layoutArguments(args: readonly Code[], at: Place): string {
  const last = args.at(-1);
  const others = args.slice(0, -1);
  const before = others.map(flat);
  if (last && goesOn(last, others) && !before.includes(undefined)) {
    const head = `(${before.map((words) => `${words}, `).join("")}`;
    const hugged = layout(last, { ...at, column: at.column + head.length, reserve: at.reserve + 1 });
    const firstLine = hugged.split("\n", 1)[0]!;
    if (at.column + head.length + firstLine.length <= lineWidth && hugged.includes("\n")) return `${head}${hugged})`;
  }
  return `(\n${lines(args, at.indent + 2)}${pad(at.indent)})`;
}

function goesOn(last: Code, others: readonly Code[]): boolean {
  if (others.at(-1)?.kind === last.kind) return false;
  if (last.kind === "list") return last.items.length > 0 && !(others.length > 0 && isNumbers(last));
  return (last.kind === "object" && last.entries.length > 0) || last.kind === "function";
}

function layoutFunction(code: Extract<Code, { kind: "function" }>, at: Place): string {
  const head = `${code.parameters} =>`;
  if (!("kind" in code.body)) return `${head} {\n${layoutStatements(code.body, at.indent + 2)}${pad(at.indent)}}`;
  const body = code.body;
  if (isObject(body))
    return `${head} (${layout(body, { ...at, column: at.column + head.length + 2, reserve: at.reserve + 1 })})`;
  if (body.kind !== "text") return `${head} ${layout(body, { ...at, column: at.column + head.length + 1 })}`;
  return `${head}\n${pad(at.indent + 2)}${layout(body, { column: at.indent + 2, indent: at.indent + 2, reserve: at.reserve })}`;
}

/** Statements, a line each or several, with a newline after the last. */
export const layoutStatements = (statements: readonly Statement[], indent: number): string =>
  statements.map((statement) => layoutStatement(statement, indent)).join("");

function layoutStatement(statement: Statement, indent: number): string {
  const line = (head: string, code: Code) =>
    `${pad(indent)}${head}${layout(code, { column: indent + head.length, indent, reserve: 1 })};\n`;
  switch (statement.kind) {
    case "blank":
      return "\n";
    case "bind":
      return (
        layoutPieces(`${statement.target} =`, statement.code, indent, ["", ""]) ??
        layoutPattern(statement.target, statement.code, indent) ??
        line(`${statement.target} = `, statement.code)
      );
    case "do":
      return line("", statement.code);
    case "return":
      return (
        layoutPieces("return", statement.code, indent, [" (", `\n${pad(indent)})`]) ?? line("return ", statement.code)
      );
    case "for":
      return `${pad(indent)}for (${statement.head}) {\n${layoutStatements(statement.body, indent + 2)}${pad(indent)}}\n`;
  }
}

/** `const [a, b] = …` whose names are too many for a line: a line each. */
function layoutPattern(target: string, code: Code, indent: number): string | undefined {
  const names = /^const \[(.*)\]$/.exec(target)?.[1];
  if (names === undefined) return undefined;
  const head = `${target} = `;
  const [first] = layout(code, { column: indent + head.length, indent, reserve: 1 }).split("\n", 1);
  if (indent + head.length + first!.length <= lineWidth) return undefined;
  const rows = names.split(",").map((name) => `${pad(indent + 2)}${name.trim()},\n`);
  const close = "] = ";
  const words = layout(code, { column: indent + close.length, indent, reserve: 1 });
  return `${pad(indent)}const [\n${rows.join("")}${pad(indent)}${close}${words};\n`;
}

/** Operators that are too many for a line: all on the next, or a line for each of what they join. */
function layoutPieces(
  head: string,
  code: Code,
  indent: number,
  [open, close]: readonly [string, string],
): string | undefined {
  if (code.kind !== "text" || !code.pieces || indent + head.length + 2 + code.text.length <= lineWidth)
    return undefined;
  const fits = indent + 2 + code.text.length + (close === "" ? 1 : 0) <= lineWidth;
  const rows = fits ? [code.text] : code.pieces;
  return `${pad(indent)}${head}${open}\n${rows.map((piece) => pad(indent + 2) + piece).join("\n")}${close};\n`;
}
