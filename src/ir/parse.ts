import { type Arena, graphOf, opDef } from "./arena.ts";
import type { AttrSpec, AttrValue } from "./attrs.ts";
import { type Dim, isStatic } from "./dim.ts";
import { parseDim } from "./dim-parse.ts";
import { isDType } from "./dtype.ts";
import type { Graph, Value } from "./graph.ts";
import { parseFormula } from "./index-expr/text.ts";
import { readElements, readFloat } from "./literals.ts";
import { impliedAttr, literalType, typeUnlessScalar } from "./print.ts";
import type { HostTensor } from "./tensor.ts";
import { type Token, TokenReader } from "./text-tokens.ts";
import { sameType, showType, type TensorType } from "./types.ts";

export interface ParseOptions {
  /** Constants the text names by digest; see `constantTable`. */
  readonly constants?: ReadonlyMap<string, HostTensor>;
  /** File the text is from; where given, values remember the lines they were read from. */
  readonly file?: string;
}

const depthLimit = 30;

/**
 * Reads the text form of one graph into `arena`; names become hints. Throws QKV220 to QKV224, or what the ops throw,
 * with line, column and an excerpt.
 */
export function parseGraph(text: string, arena: Arena, options: ParseOptions = {}): Graph {
  const cx: Context = { reader: new TokenReader(text, options.file), arena, options };
  const graph = readGraph(cx, 0);
  if (cx.reader.peek.kind !== "end") cx.reader.unexpected("the end");
  return graph;
}

interface Context {
  readonly reader: TokenReader;
  readonly arena: Arena;
  readonly options: ParseOptions;
}

type Scope = Map<string, Value>;

function readGraph(cx: Context, depth: number): Graph {
  const { reader } = cx;
  if (depth > depthLimit) reader.fail("QKV224", `graphs are more than ${depthLimit} deep`, reader.peek);
  reader.expect("graph");
  const name = reader.expectKind("graphName", "a graph's name, such as @main").text;
  const scope: Scope = new Map();
  const inputs = readInputs(cx, scope);
  reader.expect("{");
  while (reader.peek.kind === "value") readStatement(cx, scope, depth);
  if (!reader.accept("return")) reader.unexpected('"return", or a value such as %x');
  const outputs = readOutputs(cx, scope);
  reader.expect("}");
  return graphOf(name, inputs, outputs);
}

function readInputs({ reader, arena }: Context, scope: Scope): readonly Value[] {
  reader.expect("(");
  return readList(reader, ")", () => {
    const token = reader.expectKind("value", "an input such as %x");
    reader.expect(":");
    const type = readType(reader);
    const value = arena.build.input({ name: token.text, ...type });
    define(reader, scope, token, value);
    return value;
  });
}

function readOutputs({ reader }: Context, scope: Scope): readonly (readonly [string, Value])[] {
  const outputs: (readonly [string, Value])[] = [];
  if (reader.peek.kind === "sign" && reader.peek.text === "}") return outputs;
  do {
    if (reader.peek.kind === "value") {
      const token = reader.take();
      outputs.push([token.text, lookUp(reader, scope, token)]);
      continue;
    }
    const { kind } = reader.peek;
    if (kind !== "word" && kind !== "text") reader.unexpected("an output");
    const name = reader.take().text;
    reader.expect("=");
    outputs.push([name, lookUp(reader, scope, reader.expectKind("value", "a value such as %x"))]);
  } while (reader.accept(","));
  return outputs;
}

/** Items separated by commas up to `close`. */
function readList<T>(reader: TokenReader, close: string, item: () => T): readonly T[] {
  const items: T[] = [];
  if (reader.accept(close)) return items;
  do items.push(item());
  while (reader.accept(","));
  reader.expect(close);
  return items;
}

function define(reader: TokenReader, scope: Scope, token: Token, value: Value): void {
  if (scope.has(token.text)) reader.fail("QKV221", `%${token.text} is defined twice`, token);
  scope.set(token.text, value);
}

const lookUp = (reader: TokenReader, scope: Scope, token: Token): Value =>
  scope.get(token.text) ?? reader.fail("QKV221", `%${token.text} is not defined before this`, token);

/** `%a, %b: type, type = op(operands) {attributes}` */
function readStatement(cx: Context, scope: Scope, depth: number): void {
  const { reader, arena } = cx;
  const names = readSeparated(reader, () => reader.expectKind("value", "a value such as %x"));
  reader.expect(":");
  const types = readSeparated(reader, () => readType(reader));
  reader.expect("=");
  const op = reader.expectKind("word", "the name of an op");
  const def = reader.placed(op, () => opDef(op.text));
  reader.expect("(");
  const operands = readOperands(cx, scope);
  const attrs = readAttrs(cx, def.attrs, types[0]!, depth);
  const node = reader.placed(op, () => arena.node(op.text, operands, attrs));
  const fits = node.results.length === types.length && node.results.every(({ type }, i) => sameType(type, types[i]!));
  if (!fits)
    reader.fail("QKV222", `${op.text} gives ${node.results.map(({ type }) => showType(type)).join(", ")}`, names[0]!, [
      `written: ${types.map(showType).join(", ")}`,
    ]);
  if (names.length !== types.length)
    reader.fail("QKV220", `${names.length} names for ${types.length} types`, names[0]!);
  names.forEach((token, i) => {
    const value = node.results[i]!;
    define(reader, scope, token, value);
    arena.hint(value, { name: token.text, ...(cx.options.file !== undefined && { location: reader.locate(token) }) });
  });
}

function readSeparated<T>(reader: TokenReader, item: () => T): readonly T[] {
  const items = [item()];
  while (reader.accept(",")) items.push(item());
  return items;
}

function readType(reader: TokenReader): TensorType {
  const word = reader.expectKind("word", "a type such as f32[2, 3]");
  const dtype = word.text;
  if (!isDType(dtype)) return reader.fail("QKV220", `${dtype} is no element type`, word);
  return { dtype, shape: readDims(reader) };
}

const readDims = (reader: TokenReader): readonly Dim[] => {
  reader.expect("[");
  return readList(reader, "]", () => readDim(reader));
};

function readDim(reader: TokenReader): Dim {
  const { text, start } = reader.takeSpan("a dimension");
  return reader.placed({ start: start.start, end: start.start + text.length }, () => parseDim(text));
}

/** Values and numbers; a number has the element type of the other operands. */
function readOperands({ reader, arena }: Context, scope: Scope): readonly Value[] {
  const read = readList(reader, ")", (): Value | Token => {
    const token = reader.take();
    if (token.kind === "value") return lookUp(reader, scope, token);
    return token.kind === "number" || token.kind === "word"
      ? token
      : reader.fail("QKV220", "expected an operand: a value such as %x, or a number", token);
  });
  const dtype = literalType(read.map((item) => ("node" in item ? typeUnlessScalar(item) : undefined)));
  return read.map((item) => {
    if ("node" in item) return item;
    const own = item.text === "true" || item.text === "false" ? "bool" : dtype;
    if (!own) return reader.fail("QKV220", "no other operand tells the element type of this number", item);
    const value = reader.placed(item, () => readElements(own, [], [item.text]));
    return arena.build.constant({ value });
  });
}

function readAttrs(
  cx: Context,
  specs: Readonly<Record<string, AttrSpec>>,
  type: TensorType,
  depth: number,
): Readonly<Record<string, AttrValue>> {
  const { reader } = cx;
  const known = new Map(Object.entries(specs));
  const attrs = new Map<string, AttrValue>();
  if (reader.accept("{"))
    readList(reader, "}", () => {
      const token = reader.expectKind("word", "the name of an attribute");
      const spec = known.get(token.text) ?? reader.fail("QKV212", `there is no attribute "${token.text}"`, token);
      if (attrs.has(token.text)) reader.fail("QKV220", `"${token.text}" is given twice`, token);
      reader.expect("=");
      attrs.set(token.text, readAttr(cx, spec, type, depth));
    });
  for (const [name, spec] of known) {
    const implied = attrs.has(name) ? undefined : impliedAttr(name, spec, type);
    if (implied !== undefined) attrs.set(name, implied);
  }
  return Object.fromEntries(attrs);
}

function readAttr(cx: Context, { kind }: AttrSpec, type: TensorType, depth: number): AttrValue {
  const { reader } = cx;
  switch (kind) {
    case "string":
      return reader.expectKind("text", "a text in quotes").text;
    case "int":
      return readInt(reader);
    case "ints":
      reader.expect("[");
      return readList(reader, "]", () => readInt(reader));
    case "float": {
      const token = readElement(reader);
      return readFloat(token.text) ?? reader.fail("QKV220", "expected a number", token);
    }
    case "bool": {
      if (reader.accept("true")) return true;
      return reader.accept("false") ? false : reader.unexpected("true or false");
    }
    case "dtype": {
      const token = reader.expectKind("word", "an element type");
      return isDType(token.text) ? token.text : reader.fail("QKV220", `${token.text} is no element type`, token);
    }
    case "dim":
      return readDim(reader);
    case "dims":
      return readDims(reader);
    case "tensor":
      return readTensor(cx, type);
    case "formula": {
      const token = reader.expectKind("text", "a formula in quotes");
      return reader.placed(token, () => parseFormula(token.text));
    }
    case "graph":
      return readGraph(cx, depth + 1);
  }
}

/** A number, or a word such as `true` or `nan`. */
function readElement(reader: TokenReader): Token {
  const { kind } = reader.peek;
  return kind === "number" || kind === "word" ? reader.take() : reader.unexpected("a number");
}

function readInt(reader: TokenReader): number {
  const token = reader.expectKind("number", "an integer");
  const value = Number(token.text);
  return Number.isSafeInteger(value) ? value : reader.fail("QKV220", `${token.text} is no integer`, token);
}

/** `#digest`, one element, or all elements in a list; element type and dims are those of the line. */
function readTensor({ reader, options }: Context, { dtype, shape }: TensorType): HostTensor {
  const first = reader.peek;
  if (first.kind === "digest") {
    const { text } = reader.take();
    return (
      options.constants?.get(text) ??
      reader.fail("QKV223", `the data of #${text} is not at hand`, first, [
        "digests are read with a table of constants",
      ])
    );
  }
  if (!shape.every(isStatic)) return reader.fail("QKV220", "a constant has integer dimensions only", first);
  const texts = reader.accept("[") ? readList(reader, "]", () => readElement(reader).text) : [readElement(reader).text];
  return reader.placed(first, () => readElements(dtype, shape as readonly number[], texts));
}
