import { indexFunctions } from "../../ir/index-expr/functions.ts";
import { type IndexExpr, type LengthName, partsInOrder, partsOf } from "../../ir/index-expr/types.ts";
import { type Code, numberText, type Statement } from "./code.ts";
import { flat } from "./layout.ts";

/** What the tensors a formula reads are called where it is written. */
export interface FormulaNames {
  readonly tables: readonly { readonly name: string; readonly truth: boolean }[];
  /** Of the attention; asked only where the formula depends on a length. */
  readonly queries: string;
  readonly keys: string;
}

/** Whether a formula depends on how many queries, keys, heads or sequences there are. */
export const readsLengths = (root: IndexExpr): boolean => partsInOrder(root).some(({ kind }) => kind === "length");

interface Words {
  readonly text: string;
  readonly precedence: number;
  readonly operator?: string;
  readonly truth: boolean;
  /** What operators of one kind join, each but the last with the operator behind it. */
  readonly pieces?: readonly string[];
  /** It chooses, so that it stands in a choice only under a name. */
  readonly choice?: boolean;
}

const atomic = 20;
const longestLine = 80;
const counts = { B: "batchCount", H: "headCount", Q: "queryCount", K: "keyCount" } as const;

const usual = { b: "b", h: "h", q: "q", k: "k", s: "s" } as const;
/** Used where a variable outside has one of the usual names. */
const spelledOut = { b: "batch", h: "head", q: "query", k: "key", s: "score" } as const;

/**
 * A mask, score or prob function, read back as the same formula: `({ q, k }) => k <= q`. What is used twice, or too long
 * for a line, gets a name.
 */
export function formulaFunction(kind: "mask" | "score" | "prob", root: IndexExpr, cx: FormulaNames): Code {
  const order = partsInOrder(root);
  const read = new Set(order.flatMap((part) => (part.kind === "lookup" ? [cx.tables[part.table]!.name] : [])));
  const outside = [...read, ...(readsLengths(root) ? [cx.queries, cx.keys] : [])];
  const names = outside.some((name) => Object.hasOwn(usual, name)) ? spelledOut : usual;
  const writer = new FormulaWriter(cx, names, new Set([...outside, ...Object.values(names)]));
  const answer = writer.write(order, kind === "mask");
  const indices = (["b", "h", "q", "k"] as const).filter((name) =>
    order.some((part) => part.kind === "index" && part.name === name),
  );
  const pattern = indices.map((name) => (names[name] === name ? name : `${name}: ${names[name]}`)).join(", ");
  const at = indices.length > 0 ? `{ ${pattern} }` : "";
  const parameters = kind === "mask" ? `(${at})` : `(${[names.s, at].filter((part) => part !== "").join(", ")})`;
  const body: Code | readonly Statement[] =
    writer.statements.length === 0 && (flat(answer)?.length ?? 0) <= longestLine
      ? answer
      : [...writer.statements, { kind: "return", code: answer }];
  return { kind: "function", parameters, body };
}

class FormulaWriter {
  readonly statements: Statement[] = [];
  readonly #cx: FormulaNames;
  readonly #names: typeof usual | typeof spelledOut;
  readonly #taken: Set<string>;
  readonly #lengths = new Map<LengthName, string>();

  constructor(cx: FormulaNames, names: typeof usual | typeof spelledOut, taken: Set<string>) {
    this.#cx = cx;
    this.#names = names;
    this.#taken = taken;
  }

  write(order: readonly IndexExpr[], truth: boolean): Code {
    const uses = new Map<IndexExpr, number>();
    for (const part of order) for (const inner of partsOf(part)) uses.set(inner, (uses.get(inner) ?? 0) + 1);
    const known = new Map<IndexExpr, Words>();
    const guarded = guardedParts(order);
    const root = order.at(-1)!;
    for (const part of order) {
      const words = this.#words(
        part,
        partsOf(part).map((inner) => known.get(inner)!),
      );
      const shared = (uses.get(part) ?? 0) > 1 && partsOf(part).length > 0;
      const own =
        part !== root && !guarded.has(part) && (shared || words.text.length > longestLine || words.choice === true);
      known.set(part, own ? this.#named(words) : words);
    }
    const answer = known.get(root)!;
    if (truth && !answer.truth) return wordsCode({ text: `${within(answer, 9)} !== 0` });
    return wordsCode(truth ? answer : asNumber(answer));
  }

  #named(words: Words): Words {
    const name = this.#fresh(words.truth ? "holds" : "part");
    this.statements.push({ kind: "bind", target: `const ${name}`, code: wordsCode(words) });
    return { text: name, precedence: atomic, truth: words.truth };
  }

  #fresh(stem: string): string {
    for (let i = 1; ; i++) {
      const name = i === 1 ? stem : `${stem}${i}`;
      if (this.#taken.has(name)) continue;
      this.#taken.add(name);
      return name;
    }
  }

  #words(expr: IndexExpr, inner: readonly Words[]): Words {
    const { tables } = this.#cx;
    const truth = expr.kind !== "number" && answersTruth(expr, inner, tables);
    switch (expr.kind) {
      case "number":
        return numberWords(expr.value);
      case "index":
        return { text: this.#names[expr.name], precedence: atomic, truth };
      case "length":
        return { text: this.#length(expr.name), precedence: atomic, truth };
      case "score":
        return { text: this.#names.s, precedence: atomic, truth };
      case "lookup": {
        const at = inner.map((index) => `[${asNumber(index).text}]!`).join("");
        return { text: tables[expr.table]!.name + at, precedence: atomic, truth };
      }
      case "apply":
        return { ...applied(expr, inner), truth };
    }
  }

  /** A length is read off the operand that has it. */
  #length(name: LengthName): string {
    let known = this.#lengths.get(name);
    if (known === undefined) {
      known = this.#fresh(counts[name]);
      const { [name]: axis } = { B: 0, H: 1, Q: 2, K: 2 };
      const code: Code = {
        kind: "text",
        text: `Number(${name === "K" ? this.#cx.keys : this.#cx.queries}.dim(${axis}))`,
      };
      this.statements.unshift({ kind: "bind", target: `const ${known}`, code });
      this.#lengths.set(name, known);
    }
    return known;
  }
}

const answersTruth = (expr: IndexExpr, inner: readonly Words[], tables: FormulaNames["tables"]): boolean =>
  expr.kind === "lookup"
    ? tables[expr.table]!.truth
    : expr.kind === "apply" &&
      (indexFunctions[expr.fn].truth === true || (expr.fn === "select" && inner.slice(1).every(({ truth }) => truth)));

/** What is asked wherever a part is: of what it chooses from, only the condition. */
const askedBy = (part: IndexExpr): readonly IndexExpr[] =>
  part.kind === "apply" && ["select", "and", "or"].includes(part.fn) ? part.args.slice(0, 1) : partsOf(part);

/** Parts that read a table under a condition only: outside of it the index may leave the table. */
function guardedParts(order: readonly IndexExpr[]): ReadonlySet<IndexExpr> {
  const always = new Set(order.slice(-1));
  for (const part of always) for (const inner of askedBy(part)) always.add(inner);
  const guarded = new Set<IndexExpr>();
  for (const part of order)
    if (!always.has(part) && (part.kind === "lookup" || partsOf(part).some((inner) => guarded.has(inner))))
      guarded.add(part);
  return guarded;
}

const numberWords = (value: number): Words => {
  const text = numberText(value);
  return { text, precedence: text.startsWith("-") ? 14 : atomic, truth: false };
};

const wordsCode = ({ text, pieces }: Pick<Words, "text" | "pieces">): Code => ({
  kind: "text",
  text,
  ...(pieces && pieces.length > 1 && { pieces }),
});

const asNumber = (words: Words): Words =>
  words.truth ? { text: `Number(${words.text})`, precedence: atomic, truth: false } : words;

/** What an operator takes: truth, or numbers. */
const takesTruth: ReadonlySet<string> = new Set(["and", "or", "not"]);

function applied(expr: Extract<IndexExpr, { kind: "apply" }>, inner: readonly Words[]): Omit<Words, "truth"> {
  const { text } = indexFunctions[expr.fn];
  if (expr.fn === "select") {
    const [condition, ...sides] = inner as [Words, Words, Words];
    const mixed = sides.some(({ truth }) => truth) && sides.some(({ truth }) => !truth);
    const [x, y] = (mixed ? sides.map(asNumber) : sides) as [Words, Words];
    return { text: `${within(condition, 3)} ? ${within(x, 3)} : ${within(y, 2)}`, precedence: 2, choice: true };
  }
  const bothTruth = inner.every(({ truth }) => truth) && (expr.fn === "equal" || expr.fn === "notEqual");
  const args = takesTruth.has(expr.fn) || bothTruth ? inner : inner.map(asNumber);
  if ("call" in text) return { text: `${text.call}(${args.map((arg) => arg.text).join(", ")})`, precedence: atomic };
  const { operator, precedence } = text;
  const [x, y] = args as [Words, Words];
  if (!y)
    return {
      text: operator + within(x, precedence === 14 && x.text.startsWith("-") ? 15 : precedence),
      precedence,
      operator,
    };
  if (expr.fn === "and" || expr.fn === "or") return joined([x, y], operator, precedence);
  const left = side(x, operator, precedence, expr.fn === "pow" ? 15 : precedence);
  const right = side(y, operator, precedence, expr.fn === "pow" ? precedence : precedence + 1);
  const goesOn = x.pieces && x.precedence === precedence && left === x.text;
  const pieces = [...followedBy(goesOn ? x.pieces! : [left], operator), right];
  return { text: pieces.join(" "), precedence, operator, pieces };
}

/** Logic, whose operator groups as it is written: no parentheses around what is joined by the same one. */
function joined(sides: readonly Words[], operator: string, precedence: number): Omit<Words, "truth"> {
  const lists = sides.map(
    (one) => (one.operator === operator && one.pieces) || [side(one, operator, precedence, precedence)],
  );
  const pieces = lists.flatMap((list, i) => (i === lists.length - 1 ? list : followedBy(list, operator)));
  return { text: pieces.join(" "), precedence, operator, pieces };
}

const followedBy = (pieces: readonly string[], operator: string): readonly string[] =>
  pieces.with(-1, `${pieces.at(-1)} ${operator}`);

const within = ({ text, precedence }: Words, least: number): string => (precedence < least ? `(${text})` : text);

const bitwise: ReadonlySet<string> = new Set(["&", "|", "^", "<<", ">>", ">>>"]);

/** An operand, in parentheses where JavaScript needs them, and where the formatter adds them for the reader. */
function side(words: Words, parent: string, precedence: number, least: number): string {
  const { operator } = words;
  if (operator === undefined || words.precedence >= 14) return within(words, least);
  const odd =
    (bitwise.has(parent) && operator !== parent) ||
    (parent === "||" && operator === "&&") ||
    (operator === "%" && (parent === "+" || parent === "-")) ||
    (words.precedence === precedence && !flattens(parent, operator));
  return odd ? `(${words.text})` : within(words, least);
}

/** Operators of one precedence that are written one after the other without parentheses. */
const flattens = (parent: string, operator: string): boolean =>
  parent === operator ? !["**", "===", "!==", "%", "<<", ">>", ">>>"].includes(parent) : ["+", "-"].includes(parent);
