import type { Node, Value } from "../../ir/graph.ts";
import {
  type Closure,
  type Code,
  everyPart,
  type Formula,
  mapCode,
  quote,
  ref,
  type SizeRole,
  type Statement,
  text,
  valuesRead,
} from "./code.ts";
import { condFields, scanFields } from "./control.ts";
import { formulaFunction } from "./formulas.ts";
import type { Identifiers } from "./identifiers.ts";
import { type Item, itemsOf } from "./items.ts";
import { flat, lineWidth } from "./layout.ts";
import { Scope } from "./scope.ts";
import { readsOf, type Unit } from "./units.ts";

/** What all blocks of a file share. */
export interface FileContext {
  readonly identifiers: Identifiers;
  nameOf(param: Node): string;
  /** What the author calls a value, if anyone ever did. */
  authored(value: Value): string | undefined;
  /** What a value could be called. */
  suggested(item: Item, value: Value): string;
  sizeText(role: SizeRole, value: number): string;
}

/** Calls that are read more easily under a name, unless the only thing done with them is one more call. */
const weighty: ReadonlySet<string> = new Set([
  ...["linear", "embedding", "attention", "linearAttention", "layerNorm", "rmsNorm", "einsum", "matmul", "softmax"],
  ...["param", "scan", "cond", "op", "onnx", "rope"],
]);
const deepest = 4;

/** Writes units one after the other. What is used once goes where it is used, as long as lines stay short and flat. */
export class BlockWriter {
  readonly cx: FileContext;
  readonly scope: Scope;
  readonly statements: Statement[] = [];
  readonly indent: number;
  readonly #uses: ReadonlyMap<Value, number>;
  /** Values that functions read: these have names. */
  readonly #pinned: ReadonlySet<Value>;
  /** Values whose only reader is a return, or a loop that starts with them: a name would be told twice. */
  readonly #passing: ReadonlySet<Value>;
  readonly #pending = new Map<Value, { readonly item: Item; readonly code: Code }>();

  constructor(cx: FileContext, scope: Scope, indent: number, units: readonly Unit[], ends: readonly Code[]) {
    this.cx = cx;
    this.scope = scope;
    this.indent = indent;
    this.#uses = countReads(units, ends);
    const starts = units.flatMap((unit) =>
      unit.kind === "loop" ? unit.loop.carried.map(({ initial }) => initial) : [],
    );
    this.#passing = new Set([...starts, ...ends.flatMap(valuesRead)].filter((value) => this.#uses.get(value) === 1));
    this.#pinned = new Set(units.flatMap((unit) => (unit.kind === "item" ? valuesInFunctions(unit.item.code) : [])));
  }

  /** How often a value is read in this block, what stands in loops apart. */
  usesOf(value: Value): number {
    return this.#uses.get(value) ?? 0;
  }

  /** An expression with everything in it written, which goes on a line behind `head` if need be without what was pending. */
  write(code: Code, head: string): Code {
    for (;;) {
      const written = this.#resolve(code);
      const pending = [...new Set(valuesRead(code))].filter((value) => this.#pending.has(value));
      if (pending.length === 0) return written;
      const words = flat(written);
      const fits = words !== undefined && this.indent + head.length + words.length + 1 <= lineWidth;
      const crowded = valuesRead(code).length > 1 ? pending.filter((value) => this.#isWeighty(value)) : [];
      if (fits && crowded.length === 0 && depthOf(written) <= deepest && chainOf(written) <= 2) {
        for (const value of pending) this.#pending.delete(value);
        return written;
      }
      const [widest] = (crowded.length > 0 ? crowded : pending).toSorted((a, b) => this.#width(b) - this.#width(a));
      this.#bindPending(widest!);
    }
  }

  #isWeighty(value: Value): boolean {
    const { code } = this.#pending.get(value)!;
    return code.kind === "call" && weighty.has(code.callee);
  }

  #width(value: Value): number {
    return flat(this.#pending.get(value)!.code)?.length ?? lineWidth;
  }

  #bindPending(value: Value): void {
    const { item, code } = this.#pending.get(value)!;
    this.#pending.delete(value);
    this.#bind(item, code);
  }

  /** One call: as a statement, or kept until it is read. */
  writeItem(item: Item): void {
    const [value] = item.node.results as readonly [Value];
    const authored = item.node.results.length === 1 ? this.#named(item, value) : undefined;
    const code = this.write(item.code, `const ${authored ?? "intermediate"} = `);
    const once = item.node.results.length === 1 && this.#uses.get(value) === 1;
    const short = flat(code) !== undefined && depthOf(code) < deepest;
    if (once && short && authored === undefined && !this.#pinned.has(value)) {
      this.#pending.set(value, { item, code });
      this.scope.name(value, code);
    } else this.#bind(item, code);
  }

  #bind(item: Item, code: Code): void {
    const { results, op } = item.node;
    const fields = op === "scan" ? scanFields(item.node) : op === "if" ? condFields(item.node) : [];
    if (results.length === 1 && fields.length === 0) {
      const name = this.#fresh(item, results[0]!);
      this.statements.push({ kind: "bind", target: `const ${name}`, code });
      this.scope.name(results[0]!, text(name));
    } else if (fields.length > 0) {
      const name = this.#fresh(item, results[0]!);
      this.statements.push({ kind: "bind", target: `const ${name}`, code });
      results.forEach((value, i) => this.scope.name(value, text(`${name}.${fields[i]}`)));
    } else this.#bindList(item, code);
  }

  /** `const [a, , c] = …`: results nobody reads have no name. */
  #bindList(item: Item, code: Code): void {
    const { results } = item.node;
    const names = results.map((value) => (this.#uses.has(value) ? this.#fresh(item, value) : ""));
    while (names.at(-1) === "") names.pop();
    this.statements.push({ kind: "bind", target: `const [${names.join(", ").replaceAll(", ,", ",,")}]`, code });
    const callee = item.code.kind === "call" ? item.code.callee : "";
    // Of a list the type checker does not know how many there are.
    const mark = ["topK", "onnxResults"].includes(callee) ? "" : "!";
    results.forEach((value, i) => this.scope.name(value, text(`${names[i]}${mark}`)));
  }

  /** The author's name of a value that should have one of its own; that of its layer says nothing new. */
  #named(item: Item, value: Value): string | undefined {
    const name = this.cx.authored(value);
    return this.#passing.has(value) || name === this.cx.suggested(item, value) ? undefined : name;
  }

  #fresh(item: Item, value: Value): string {
    return this.cx.identifiers.fresh(this.cx.authored(value) ?? this.cx.suggested(item, value));
  }

  #resolve(code: Code): Code {
    return mapCode(code, (part) => {
      switch (part.kind) {
        case "value":
          return this.scope.codeOf(part.value);
        case "slot":
          return this.scope.filled(part.slot);
        case "size":
          return text(this.cx.sizeText(part.role, part.value));
        case "name":
          return text(
            quote(part.name.startsWith(this.scope.prefix) ? part.name.slice(this.scope.prefix.length) : part.name),
          );
        case "formula":
          return this.#formula(part.formula);
        case "closure":
          return this.#closure(part.closure);
        default:
          return undefined;
      }
    });
  }

  #formula({ kind, expr, reads, lengths, truths }: Formula): Code {
    const names = reads.map((read) => flat(this.#resolve(read))!);
    const [queries = "", keys = ""] = lengths ? names : [];
    const tables = names.slice(lengths ? 2 : 0).map((name, i) => ({ name, truth: truths[i]! }));
    return formulaFunction(kind, expr, { queries, keys, tables });
  }

  #closure({ graph, parameters, given, answer }: Closure): Code {
    const inner = new Scope(undefined, this.scope.prefix);
    for (const [value, code] of given) inner.name(value, this.#resolve(code));
    const end = answer(graph.outputs.map(({ value }) => ref(value)));
    const items = itemsOf(graph, this.cx.nameOf, given);
    return writeFunction(this.cx, inner, { items, end, parameters, indent: this.indent + 4 });
  }
}

interface FunctionParts {
  readonly items: readonly Item[];
  readonly end: Code;
  readonly parameters: string;
  /** How deep its statements are indented. */
  readonly indent: number;
}

/** A function of statements, or of one expression where that is all it is. */
export function writeFunction(cx: FileContext, scope: Scope, { items, end, parameters, indent }: FunctionParts): Code {
  const units: readonly Unit[] = items.map((item) => ({ kind: "item", item }));
  const inner = { ...cx, identifiers: cx.identifiers.nested() };
  const writer = new BlockWriter(inner, scope, indent, units, [end]);
  for (const item of items) writer.writeItem(item);
  const answer = writer.write(end, "return ");
  const { statements } = writer;
  if (statements.length === 0 && flat(answer) !== undefined) return { kind: "function", parameters, body: answer };
  return { kind: "function", parameters, body: [...statements, { kind: "return", code: answer }] };
}

function countReads(units: readonly Unit[], ends: readonly Code[]): ReadonlyMap<Value, number> {
  const counts = new Map<Value, number>();
  const add = (value: Value, by: number) => void counts.set(value, (counts.get(value) ?? 0) + by);
  for (const unit of units) {
    // What a loop reads it reads in every turn.
    const started = new Set(unit.kind === "loop" ? unit.loop.carried.map(({ initial }) => initial) : []);
    for (const value of readsOf(unit)) add(value, unit.kind === "item" || started.has(value) ? 1 : 2);
  }
  for (const end of ends) for (const value of valuesRead(end)) add(value, 1);
  return counts;
}

/** Values that a function within an expression reads. */
const valuesInFunctions = (code: Code): readonly Value[] =>
  [...everyPart(code)].flatMap((part) => (part.kind === "formula" || part.kind === "closure" ? valuesRead(part) : []));

/** How deep calls stand within calls. */
function depthOf(code: Code): number {
  const own = code.kind === "call" || code.kind === "method" ? 1 : 0;
  const parts = code.kind === "method" ? [...code.args, code.of] : code.kind === "call" ? code.args : inside(code);
  return own + Math.max(0, ...parts.map(depthOf));
}

const inside = (code: Code): readonly Code[] =>
  code.kind === "object" ? code.entries.map(([, value]) => value) : code.kind === "list" ? code.items : [];

/** The longest chain of calls `a(…).b(…).c(…)` in an expression. */
function chainOf(code: Code): number {
  let longest = 0;
  for (const part of everyPart(code)) {
    let length = 0;
    for (let at: Code | undefined = part; at; at = at.kind === "method" ? at.of : undefined)
      if (at.kind === "method" || at.kind === "call") length++;
    longest = Math.max(longest, length);
  }
  return longest;
}
