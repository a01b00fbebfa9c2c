import { type Dim, show } from "../../ir/dim.ts";
import { graphDigest } from "../../ir/equal.ts";
import type { Graph, Value } from "../../ir/graph.ts";
import { formulaKey, type IndexExpr } from "../../ir/index-expr/types.ts";
import { jsonText } from "../../ir/printable.ts";

/** What a size is for: sizes of one meaning become a setting of the model. */
export type SizeRole = "layers" | "heads" | "width" | "vocab" | "epsilon";

/** A place in the body of a loop that another value takes in every turn. */
export interface Slot {
  readonly values: readonly Value[];
}

/** A graph as a function of the author's, and what each of its inputs stands for where the function is written. */
export interface Closure {
  readonly graph: Graph;
  readonly parameters: string;
  readonly given: ReadonlyMap<Value, Code>;
  /** What it answers, as an expression over the outputs of the graph. */
  readonly answer: (outputs: readonly Code[]) => Code;
}

/** A function of indices. The tensors it reads are named: queries and keys where it depends on lengths, then tables. */
export interface Formula {
  readonly kind: "mask" | "score" | "prob";
  readonly expr: IndexExpr;
  readonly reads: readonly Code[];
  readonly lengths: boolean;
  readonly truths: readonly boolean[];
}

/** An expression of TypeScript, as far as models are written with. */
export type Code =
  /** Words as they stand; where they are too many for a line, each of the pieces has its own. */
  | { readonly kind: "text"; readonly text: string; readonly pieces?: readonly string[] }
  | { readonly kind: "size"; readonly value: number; readonly role: SizeRole }
  /** A value of the graph, whatever it is called where this is written. */
  | { readonly kind: "value"; readonly value: Value }
  | { readonly kind: "slot"; readonly slot: Slot }
  /** The name of a parameter, or the prefix of such names: text, without what the scope around it puts before. */
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "call"; readonly callee: string; readonly args: readonly Code[] }
  | { readonly kind: "method"; readonly of: Code; readonly name: string; readonly args: readonly Code[] }
  | { readonly kind: "object"; readonly entries: readonly (readonly [key: string, value: Code])[] }
  | { readonly kind: "list"; readonly items: readonly Code[]; readonly asConst?: true }
  | { readonly kind: "function"; readonly parameters: string; readonly body: Code | readonly Statement[] }
  | { readonly kind: "closure"; readonly closure: Closure }
  | { readonly kind: "formula"; readonly formula: Formula };

export type Statement =
  | { readonly kind: "bind"; readonly target: string; readonly code: Code }
  | { readonly kind: "do"; readonly code: Code }
  | { readonly kind: "return"; readonly code: Code }
  | { readonly kind: "for"; readonly head: string; readonly body: readonly Statement[] }
  | { readonly kind: "blank" };

export const text = (words: string): Code => ({ kind: "text", text: words });
export const ref = (value: Value): Code => ({ kind: "value", value });
export const call = (callee: string, ...args: readonly Code[]): Code => ({ kind: "call", callee, args });
export const method = (of: Code, name: string, ...args: readonly Code[]): Code => ({ kind: "method", of, name, args });
export const list = (items: readonly Code[]): Code => ({ kind: "list", items });
export const size = (value: number, role: SizeRole): Code => ({ kind: "size", value, role });
export const named = (name: string): Code => ({ kind: "name", name });
export const string = (words: string): Code => text(quote(words));

/** An object of the entries that are there; nothing where none is. */
export const options = (entries: Readonly<Record<string, Code | undefined>>): readonly Code[] => {
  const given = Object.entries(entries).filter((entry): entry is [string, Code] => entry[1] !== undefined);
  return given.length === 0 ? [] : [{ kind: "object", entries: given }];
};

/** A text as the formatter writes it: double quotes, unless single ones need fewer escapes. */
export function quote(words: string): string {
  const double = jsonText(words);
  const count = (sign: string) => words.split(sign).length - 1;
  if (count('"') <= count("'")) return double;
  return `'${double.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}

/** A number as the formatter writes it. */
export function numberText(value: number): string {
  if (Number.isNaN(value)) return "Number.NaN";
  if (!Number.isFinite(value)) return value < 0 ? "Number.NEGATIVE_INFINITY" : "Number.POSITIVE_INFINITY";
  return Object.is(value, -0) ? "-0" : String(value).replace("e+", "e");
}

export const number = (value: number): Code => text(numberText(value));
export const flag = (value: boolean): Code | undefined => (value ? text("true") : undefined);
export const dim = (value: Dim): Code => (typeof value === "number" ? number(value) : string(show(value)));
export const dims = (shape: readonly Dim[]): Code => list(shape.map(dim));

/** The parts an expression is made of directly. */
function partsOf(code: Code): readonly Code[] {
  switch (code.kind) {
    case "call":
      return code.args;
    case "method":
      return [code.of, ...code.args];
    case "object":
      return code.entries.map(([, value]) => value);
    case "list":
      return code.items;
    case "formula":
      return code.formula.reads;
    case "closure":
      return [...code.closure.given.values()];
    case "function":
      return "kind" in code.body ? [code.body] : code.body.flatMap(codesOf);
    default:
      return [];
  }
}

/** The expression with parts replaced: `replace` is asked from the outside in; where it answers nothing, parts are asked. */
export function mapCode(code: Code, replace: (part: Code) => Code | undefined): Code {
  const instead = replace(code);
  if (instead) return instead;
  const inner = (part: Code) => mapCode(part, replace);
  switch (code.kind) {
    case "call":
      return { ...code, args: code.args.map(inner) };
    case "method":
      return { ...code, of: inner(code.of), args: code.args.map(inner) };
    case "object":
      return { ...code, entries: code.entries.map(([key, value]) => [key, inner(value)] as const) };
    case "list":
      return { ...code, items: code.items.map(inner) };
    case "formula":
      return { ...code, formula: { ...code.formula, reads: code.formula.reads.map(inner) } };
    case "closure": {
      const given = new Map([...code.closure.given].map(([value, one]) => [value, inner(one)]));
      return { ...code, closure: { ...code.closure, given } };
    }
    default:
      return code;
  }
}

/** The expressions of a statement and of those in it. */
export const codesOf = (statement: Statement): readonly Code[] =>
  statement.kind === "for" ? statement.body.flatMap(codesOf) : "code" in statement ? [statement.code] : [];

/** Every part of an expression, itself first, in the order of the text. */
export function* everyPart(code: Code): Generator<Code> {
  yield code;
  for (const part of partsOf(code)) yield* everyPart(part);
}

/** The functions an expression calls by their names. */
export const calleesOf = (code: Code): readonly string[] =>
  [...everyPart(code)].flatMap((part) => (part.kind === "call" ? [part.callee] : []));

/** The values an expression reads, each as often as it does, in the order of the text. */
export const valuesRead = (code: Code): readonly Value[] =>
  [...everyPart(code)].flatMap((part) => (part.kind === "value" ? [part.value] : []));

/**
 * Text that two expressions share exactly where they are written alike, whatever values they read. `nameOf` says what
 * names of parameters count as.
 */
export function flatKey(code: Code, nameOf: (name: string) => string): string {
  const inner = partsOf(code).map((part) => flatKey(part, nameOf));
  const head = headKey(code, nameOf);
  return `${code.kind}:${head}(${inner.join(",")})`;
}

function headKey(code: Code, nameOf: (name: string) => string): string {
  switch (code.kind) {
    case "text":
      return code.text;
    case "size":
      return numberText(code.value);
    case "name":
      return nameOf(code.name);
    case "call":
      return code.callee;
    case "method":
      return code.name;
    case "object":
      return code.entries.map(([key]) => key).join();
    case "formula":
      return [code.formula.kind, formulaKey(code.formula.expr)].join();
    case "closure":
      return graphDigest(code.closure.graph);
    default:
      return "";
  }
}
