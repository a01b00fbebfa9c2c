import { indexFunctions } from "./functions.ts";
import { type IndexExpr, type IndexFormula, type IndexTable, partsInOrder, partsOf } from "./types.ts";

const longest = 2000;

/** A formula as readable JavaScript, such as `k <= q && q - k < 256`. What is longer than 2000 characters is cut. */
export const showIndex = ({ expr, tables }: IndexFormula): string => showIndexExpr(expr, tables);

/** As `showIndex`, for a part of a formula. */
export function showIndexExpr(expr: IndexExpr, tables: readonly IndexTable[] = []): string {
  const texts = new Map<IndexExpr, Text>();
  for (const part of partsInOrder(expr)) {
    const inner = partsOf(part).map((arg) => texts.get(arg)!);
    texts.set(part, cut(textOf(part, inner, tables)));
  }
  return texts.get(expr)!.text;
}

/** An expression written out, and how tightly its outermost operator binds. */
export interface Text {
  readonly text: string;
  readonly precedence: number;
}

const atomic = 20;
const cut = ({ text, precedence }: Text): Text =>
  text.length > longest ? { text: `${text.slice(0, longest)}…`, precedence } : { text, precedence };

/** An expression, given what its parts are written as. */
export function textOf(expr: IndexExpr, inner: readonly Text[], tables: readonly IndexTable[]): Text {
  switch (expr.kind) {
    case "number":
      return numberText(expr.value);
    case "index":
    case "length":
      return { text: expr.name, precedence: atomic };
    case "score":
      return { text: "s", precedence: atomic };
    case "lookup":
      return {
        text: (tables[expr.table]?.name ?? `table${expr.table}`) + inner.map(({ text }) => `[${text}]`).join(""),
        precedence: atomic,
      };
    case "apply": {
      const { text } = indexFunctions[expr.fn];
      if ("call" in text)
        return { text: `${text.call}(${inner.map((arg) => arg.text).join(", ")})`, precedence: atomic };
      return { text: operation(expr.fn, text, inner), precedence: text.precedence };
    }
  }
}

function numberText(value: number): Text {
  const text = Object.is(value, -0) ? "-0" : String(value);
  return { text, precedence: text.startsWith("-") ? 14 : atomic };
}

function operation(
  fn: string,
  { operator, precedence }: { readonly operator: string; readonly precedence: number },
  inner: readonly Text[],
): string {
  const [x, y, z] = inner as readonly [Text, Text, Text];
  if (fn === "select") return `${within(x, 3)} ? ${within(y, 2)} : ${within(z, 2)}`;
  // A sign before a number is part of the number.
  if (operator === "-" && inner.length === 1 && /^(\d|Infinity)/.test(x.text)) return `-(${x.text})`;
  if (inner.length === 1) return operator + within(x, precedence + 1);
  // `**` groups to the right and takes no sign on its left; all others group to the left.
  if (fn === "pow") return `${within(x, 15)} ** ${within(y, precedence)}`;
  return `${within(x, precedence)} ${operator} ${within(y, precedence + 1)}`;
}

const within = ({ text, precedence }: Text, least: number): string => (precedence < least ? `(${text})` : text);
