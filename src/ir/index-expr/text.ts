import { fail } from "../diagnostics.ts";
import { type IndexFn, indexFunctions } from "./functions.ts";
import { type Text, textOf } from "./show.ts";
import {
  applied,
  constant,
  type IndexExpr,
  type IndexName,
  index,
  type LengthName,
  length,
  lookup,
  partsInOrder,
  partsOf,
  score,
} from "./types.ts";

/** Parts deeper than this get names of their own, so that neither writing nor reading goes deep. */
const deepest = 40;

/**
 * A formula as text that `parseFormula` reads back as the same object: JavaScript's operators, with names for parts
 * that are used twice, as in `$0 = q - k; $0 * $0`. Tables are `table0`, `table1`, ….
 */
export function formulaText(root: IndexExpr): string {
  const order = partsInOrder(root);
  const uses = new Map<IndexExpr, number>();
  for (const part of order) for (const inner of partsOf(part)) uses.set(inner, (uses.get(inner) ?? 0) + 1);
  const texts = new Map<IndexExpr, Text>();
  const depths = new Map<IndexExpr, number>();
  const named: string[] = [];
  for (const part of order) {
    const inner = partsOf(part);
    const written = textOf(
      part,
      inner.map((one) => texts.get(one)!),
      [],
    );
    const depth = 1 + Math.max(0, ...inner.map((one) => depths.get(one)!));
    const own = part !== root && inner.length > 0 && (depth > deepest || (uses.get(part) ?? 0) > 1);
    texts.set(part, own ? { text: `$${named.push(written.text) - 1}`, precedence: 20 } : written);
    depths.set(part, own ? 0 : depth);
  }
  return [...named.map((text, i) => `$${i} = ${text}`), texts.get(root)!.text].join("; ");
}

const functions = Object.entries(indexFunctions).map(([fn, { arity, text }]) => ({ fn: fn as IndexFn, arity, text }));
const calls = new Map(functions.flatMap(({ fn, text }) => ("call" in text ? [[text.call, fn]] : [])));
const prefix = new Map(
  functions.flatMap(({ fn, arity, text }) => (arity === 1 && "operator" in text ? [[text.operator, fn]] : [])),
);
const binary = new Map(
  functions.flatMap(({ fn, arity, text }) =>
    arity === 2 && "operator" in text ? [[text.operator, { fn, precedence: text.precedence }]] : [],
  ),
);

const token =
  /\s*(?:(\d[\d.]*(?:e[+-]?\d+)?\w*)|([A-Za-z_$][\w$]*(?:\.\w+)?)|(===|!==|>>>|\*\*|<<|>>|<=|>=|&&|\|\||[-+*/%<>&|^~!?:()[\],;=]))/iy;

/** Reads what `formulaText` writes. Throws QKV225 for anything else. */
export function parseFormula(text: string): IndexExpr {
  const tokens: string[] = [];
  token.lastIndex = 0;
  while (token.lastIndex < text.trimEnd().length) {
    const at = token.lastIndex;
    const found = token.exec(text);
    if (!found) return refuse(text, `cannot be read from "${text.slice(at, at + 20)}" on`);
    tokens.push(found[1] ?? found[2] ?? found[3]!);
  }
  return new FormulaReader(text, tokens).read();
}

const refuse = (text: string, why: string): never =>
  fail("QKV225", `the formula ${why}`, { notes: [text.length > 200 ? `${text.slice(0, 200)}…` : text] });

const mostNested = 500;

class FormulaReader {
  readonly #text: string;
  readonly #tokens: readonly string[];
  readonly #named: IndexExpr[] = [];
  #at = 0;
  #depth = 0;

  constructor(text: string, tokens: readonly string[]) {
    this.#text = text;
    this.#tokens = tokens;
  }

  read(): IndexExpr {
    for (;;) {
      if (this.#tokens[this.#at + 1] === "=") {
        if (this.#tokens[this.#at] !== `$${this.#named.length}`) this.#unexpected();
        this.#at += 2;
        this.#named.push(this.#expression(0));
        this.#expect(";");
        continue;
      }
      const expr = this.#expression(0);
      return this.#at === this.#tokens.length ? expr : this.#unexpected();
    }
  }

  get #peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  #unexpected(): never {
    const { [this.#at]: found } = this.#tokens;
    return refuse(this.#text, found === undefined ? "ends too early" : `has "${found}" where it cannot stand`);
  }

  #expect(sign: string): void {
    if (this.#peek !== sign) this.#unexpected();
    this.#at++;
  }

  #expression(least: number): IndexExpr {
    if (++this.#depth > mostNested) refuse(this.#text, `is nested more than ${mostNested} deep`);
    let left = this.#operand();
    for (;;) {
      const sign = this.#peek;
      if (sign === "?" && least <= 2) {
        this.#at++;
        const whenTrue = this.#expression(2);
        this.#expect(":");
        left = applied("select", left, whenTrue, this.#expression(2));
        continue;
      }
      const operator = sign === undefined ? undefined : binary.get(sign);
      if (!operator || operator.precedence < least) break;
      this.#at++;
      const right = this.#expression(operator.fn === "pow" ? operator.precedence : operator.precedence + 1);
      left = applied(operator.fn, left, right);
    }
    this.#depth--;
    return left;
  }

  #operand(): IndexExpr {
    const word = this.#peek ?? this.#unexpected();
    this.#at++;
    if (/^\d/.test(word)) return constant(this.#number(word));
    if (word === "-" && /^(\d|Infinity)/.test(this.#peek ?? "")) {
      const number = this.#tokens[this.#at++]!;
      return constant(-(number === "Infinity" ? Infinity : this.#number(number)));
    }
    if (word === "(") {
      const inner = this.#expression(0);
      this.#expect(")");
      return inner;
    }
    const sign = prefix.get(word);
    if (sign) return applied(sign, this.#expression(14));
    const fn = calls.get(word);
    if (fn) return this.#call(fn);
    return this.#name(word);
  }

  #number(word: string): number {
    const value = Number(word);
    return Number.isNaN(value) ? refuse(this.#text, `has "${word}", which is no number`) : value;
  }

  #call(fn: IndexFn): IndexExpr {
    this.#expect("(");
    const args = [this.#expression(0)];
    while (this.#peek === ",") {
      this.#at++;
      args.push(this.#expression(0));
    }
    this.#expect(")");
    if (args.length !== indexFunctions[fn].arity)
      refuse(this.#text, `gives ${args.length} arguments to ${fn}, which takes ${indexFunctions[fn].arity}`);
    return applied(fn, ...args);
  }

  #name(word: string): IndexExpr {
    if (/^[bhqk]$/.test(word)) return index(word as IndexName);
    if (/^[BHQK]$/.test(word)) return length(word as LengthName);
    if (word === "s") return score();
    if (word === "NaN") return constant(Number.NaN);
    if (word === "Infinity") return constant(Infinity);
    if (/^\$\d+$/.test(word)) return this.#named[Number(word.slice(1))] ?? refuse(this.#text, `has no ${word}`);
    if (!/^table\d+$/.test(word)) return refuse(this.#text, `has an unknown name "${word}"`);
    const at: IndexExpr[] = [];
    while (this.#peek === "[") {
      this.#at++;
      at.push(this.#expression(0));
      this.#expect("]");
    }
    return at.length > 0 ? lookup(Number(word.slice(5)), at) : this.#unexpected();
  }
}
