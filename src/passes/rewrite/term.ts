import { opDef } from "../../ir/arena.ts";
import type { AttrValue } from "../../ir/attrs.ts";
import { fail } from "../../ir/diagnostics.ts";
import type { Node } from "../../ir/graph.ts";
import { arity } from "../../ir/op-def.ts";
import { type OpName, ops } from "../../ir/ops/index.ts";

/** What an attribute of a pattern must be: anything, remembered; one value; or what a named predicate accepts. */
export type AttrTerm =
  | { readonly kind: "capture"; readonly name: string }
  | { readonly kind: "equals"; readonly value: AttrValue }
  | { readonly kind: "where"; readonly text: string; readonly accepts: (value: AttrValue, node: Node) => boolean };

/**
 * The language of rules, the same for both sides. On the left a variable matches any value, a constant any tensor
 * whose elements are all one number; a name that occurs twice must be the same value twice.
 */
export type Term =
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "constant"; readonly name: string }
  | { readonly kind: "literal"; readonly value: number }
  | { readonly kind: "any"; readonly options: readonly Term[] }
  | OpTerm;

export interface OpTerm {
  readonly kind: "op";
  readonly op: OpName;
  readonly args: readonly Term[];
  readonly attrs: readonly (readonly [name: string, term: AttrTerm])[];
  /** Any operands fit; `args` is empty. */
  readonly loose: boolean;
}

type AttrInputs = Readonly<Record<string, AttrTerm | AttrValue>>;
type TermFunction = (...args: readonly (Term | number | AttrInputs)[]) => OpTerm;

const termKinds: ReadonlySet<unknown> = new Set(["variable", "constant", "literal", "any", "op"]);
const isTerm = (arg: unknown): arg is Term => typeof arg === "object" && termKinds.has((arg as Term | null)?.kind);
const attrKinds: ReadonlySet<unknown> = new Set(["capture", "equals", "where"]);
const toAttrTerm = (value: AttrTerm | AttrValue): AttrTerm =>
  typeof value === "object" && attrKinds.has((value as AttrTerm).kind)
    ? (value as AttrTerm)
    : { kind: "equals", value: value as AttrValue };

const toTerm = (arg: Term | number): Term => (typeof arg === "number" ? { kind: "literal", value: arg } : arg);

function opTerm(op: OpName, given: readonly (Term | number | AttrInputs)[]): OpTerm {
  const def = opDef(op);
  const args = given.filter((arg): arg is Term | number => typeof arg === "number" || isTerm(arg)).map(toTerm);
  const last = given.at(-1);
  const inputs = last === undefined || typeof last === "number" || isTerm(last) ? {} : (last as AttrInputs);
  const { least, most } = arity(def.operands);
  if (args.length < least || args.length > most) fail("QKV303", `a term gives ${op} ${args.length} operands`);
  return { kind: "op", op, args, attrs: attrTerms(op, inputs), loose: false };
}

function attrTerms(op: OpName, inputs: AttrInputs): OpTerm["attrs"] {
  const def = opDef(op);
  return Object.entries(inputs).map(([name, value]) => {
    if (!(name in def.attrs)) fail("QKV303", `a term gives ${op} the attribute "${name}", which it has not`);
    return [name, toAttrTerm(value)] as const;
  });
}

/** An op on any operands; the builder reads them from the root. */
export const loose = (op: OpName, attrs: AttrInputs = {}): OpTerm => ({
  kind: "op",
  op,
  args: [],
  attrs: attrTerms(op, attrs),
  loose: true,
});
/** The op vocabulary as terms: `t.mul(x, 2)`, `t.softmax(x, { axis: a("axis") })`. Numbers stand for constants. */
export const t = Object.fromEntries(
  (Object.keys(ops) as OpName[]).map((op) => [op, (...args: Parameters<TermFunction>) => opTerm(op, args)]),
) as unknown as { readonly [K in OpName]: TermFunction };

export const variable = (name: string): Term => ({ kind: "variable", name });
/** A constant all of whose elements are one number; `Match.number` answers it. */
export const constant = (name: string): Term => ({ kind: "constant", name });
/** Any of several spellings, tried in order. */
export const any = (...options: readonly (Term | number)[]): Term => ({ kind: "any", options: options.map(toTerm) });
/** Remembers an attribute. */
export const a = (name: string): AttrTerm => ({ kind: "capture", name });
/** An attribute that a predicate accepts; `text` completes "the attribute must be …". */
export const where = (text: string, accepts: (value: AttrValue, node: Node) => boolean): AttrTerm => ({
  kind: "where",
  text,
  accepts,
});

/** Reduces or normalises over the last axis only. */
export const lastAxis = where("the last axis", (value, node) => {
  const axes = typeof value === "number" ? [value] : (value as readonly number[]);
  const rank = node.operands[0]!.type.shape.length;
  return axes.length === 1 && (axes[0] === -1 || axes[0] === rank - 1);
});

export const [x, y, z, w, q, k, v] = ["x", "y", "z", "w", "q", "k", "v"].map(variable) as unknown as readonly [
  Term,
  Term,
  Term,
  Term,
  Term,
  Term,
  Term,
];
export const [c, d] = ["c", "d"].map(constant) as unknown as readonly [Term, Term];

/** Ops a term can have at its root; undefined where it matches any. */
export function rootOps(term: Term): readonly OpName[] | undefined {
  if (term.kind === "op") return [term.op];
  if (term.kind !== "any") return undefined;
  const options = term.options.map(rootOps);
  return options.includes(undefined) ? undefined : [...new Set(options.flatMap((ops) => ops ?? []))];
}

/** Names a term binds: in every spelling, and in at least one. */
export function boundNames(term: Term): { readonly always: ReadonlySet<string>; readonly ever: ReadonlySet<string> } {
  if (term.kind === "variable" || term.kind === "constant") return both([term.name]);
  if (term.kind === "literal") return both([]);
  if (term.kind === "any") {
    const parts = term.options.map(boundNames);
    const always = [...parts[0]!.always].filter((name) => parts.every((part) => part.always.has(name)));
    return { always: new Set(always), ever: new Set(parts.flatMap(({ ever }) => [...ever])) };
  }
  const parts = term.args.map(boundNames);
  const own = captures(term);
  return {
    always: new Set([...own, ...parts.flatMap(({ always }) => [...always])]),
    ever: new Set([...own, ...parts.flatMap(({ ever }) => [...ever])]),
  };
}

const both = (names: readonly string[]) => ({ always: new Set(names), ever: new Set(names) });
const captures = (term: OpTerm) => term.attrs.flatMap(([, attr]) => (attr.kind === "capture" ? [attr.name] : []));

/** A term as text, in the language of the IR. */
export function showTerm(term: Term): string {
  switch (term.kind) {
    case "variable":
    case "constant":
      return term.name;
    case "literal":
      return String(Number(term.value.toPrecision(6)));
    case "any":
      return `(${term.options.map(showTerm).join(" | ")})`;
    case "op": {
      const attrs = term.attrs.map(([name, attr]) => `${name} = ${showAttr(attr)}`);
      return `${term.op}(${term.loose ? "…" : term.args.map(showTerm).join(", ")})${attrs.length > 0 ? ` {${attrs.join(", ")}}` : ""}`;
    }
  }
}

function showAttr(attr: AttrTerm): string {
  if (attr.kind === "capture") return attr.name;
  return attr.kind === "where" ? attr.text : JSON.stringify(attr.value);
}
