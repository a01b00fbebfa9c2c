import { type Arena, opDef } from "../../ir/arena.ts";
import { type AttrValue, attrKey } from "../../ir/attrs.ts";
import { fail, invariant } from "../../ir/diagnostics.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { sameType, showType } from "../../ir/types.ts";
import type { Target } from "../target.ts";
import type { Match, Rule } from "./rule.ts";
import { isAbout, scalarOf } from "./scalar.ts";
import type { AttrTerm, OpTerm, Term } from "./term.ts";

/** Why a rule did not fire, and how far it got. */
export interface Miss {
  /** Nodes of the pattern that matched. */
  readonly depth: number;
  readonly reason: string;
  /** The value that blocked it. */
  readonly at: Value;
  /** The whole pattern matched, and its guard, its builder or an outside user refused. */
  readonly complete?: boolean;
}

export interface Found {
  /** One value for each result of the root. */
  readonly values: readonly Value[];
  /** Nodes the pattern covers, the root first. */
  readonly covered: readonly Node[];
}

export type Outcome = { readonly found: Found } | { readonly miss: Miss | undefined };

/** May refuse a complete match: the interior-use check of fusions. */
export type Accept = (covered: readonly Node[]) => { readonly reason: string; readonly at: Value } | undefined;

/** Tries a rule at a value. All spellings are tried; the deepest miss is remembered. */
export function tryRule(rule: Rule, root: Value, arena: Arena, target: Target, accept?: Accept): Outcome {
  return new Attempt(rule, root, arena, target, accept).run();
}

/** Whether a value can match, judged by the ops of its node and of those right below: cheap, and right for most. */
export function mayMatch(term: Term, value: Value, levels = 2): boolean {
  switch (term.kind) {
    case "variable":
      return true;
    case "constant":
    case "literal":
      return value.node.op === "constant";
    case "any":
      return term.options.some((option) => mayMatch(option, value, levels));
    case "op":
      return (
        value.node.op === term.op && (term.loose || levels === 1 || mayMatchArgs(term, value.node.operands, levels))
      );
  }
}

function mayMatchArgs(term: OpTerm, operands: readonly Value[], levels: number): boolean {
  const [left, right] = term.args;
  const straight = term.args.every((arg, i) => operands[i] && mayMatch(arg, operands[i], levels - 1));
  if (straight || operands.length !== 2 || !isCommutative(term)) return straight;
  return mayMatch(left!, operands[1]!, levels - 1) && mayMatch(right!, operands[0]!, levels - 1);
}

/** One attempt: bindings with a trail, so that another spelling can be tried after a failure. */
class Attempt implements Match {
  readonly root: Value;
  readonly target: Target;
  readonly #rule: Rule;
  readonly #arena: Arena;
  readonly #accept: Accept | undefined;
  readonly #bindings = new Map<string, Value | AttrValue>();
  readonly #covered: Node[] = [];
  #miss: Miss | undefined;
  #rank = -1;
  #found: Found | undefined;

  constructor(rule: Rule, root: Value, arena: Arena, target: Target, accept: Accept | undefined) {
    this.#rule = rule;
    this.root = root;
    this.#arena = arena;
    this.target = target;
    this.#accept = accept;
  }

  run(): Outcome {
    this.#match(this.#rule.left, this.root, () => this.#finish());
    return this.#found ? { found: this.#found } : { miss: this.#miss };
  }

  value(name: string): Value {
    return this.optional(name) ?? fail("QKV303", `${this.#rule.name} did not bind "${name}"`);
  }

  optional(name: string): Value | undefined {
    return this.#bindings.get(name) as Value | undefined;
  }

  number(name: string): number {
    return scalarOf(this.value(name)) ?? fail("QKV303", `${this.#rule.name}: "${name}" is no constant`);
  }

  attr<T extends AttrValue>(name: string): T {
    invariant(this.#bindings.has(name), `${this.#rule.name} did not bind the attribute "${name}"`);
    return this.#bindings.get(name) as T;
  }

  #finish(): boolean {
    const refusal = this.#accept?.(this.#covered);
    if (refusal) return this.#refuse(refusal.reason, refusal.at, "complete");
    const verdict = this.#rule.guard?.(this) ?? true;
    if (verdict !== true) return this.#refuse(verdict, this.root, "complete");
    const { right } = this.#rule;
    const made = typeof right === "function" ? right(this, this.#arena.build) : this.#build(right);
    if (made === undefined) return false;
    if (typeof made === "string") return this.#refuse(made, this.root, "complete");
    return this.#take("node" in made ? [made] : made);
  }

  #take(values: readonly Value[]): boolean {
    const { results } = this.root.node;
    invariant(
      values.length === results.length,
      `${this.#rule.name} made ${values.length} results of ${results.length}`,
    );
    const wrong = values.findIndex((value, i) => !sameType(value.type, results[i]!.type));
    if (wrong >= 0) {
      const types = `${showType(values[wrong]!.type)} instead of ${showType(results[wrong]!.type)}`;
      return this.#refuse(`the result would be ${types}`, this.root, "complete");
    }
    // A rule that answers what it found has nothing to say.
    if (values.every((value, i) => value === results[i])) return false;
    this.#found = { values, covered: [...this.#covered] };
    return true;
  }

  /** Remembers the best miss: a refused match before a wrong number or attribute, before a wrong op; then the deepest. */
  #refuse(reason: string, at: Value, how: "op" | "detail" | "complete" = "op"): false {
    const rank = how === "complete" ? Number.POSITIVE_INFINITY : this.#covered.length + (how === "detail" ? 0.5 : 0);
    if (rank > this.#rank) {
      this.#rank = rank;
      this.#miss = { depth: this.#covered.length, reason, at, complete: how === "complete" };
    }
    return false;
  }

  /** Matches, then goes on with `next`; undoes what it bound where either fails. */
  #match(term: Term, value: Value, next: () => boolean): boolean {
    switch (term.kind) {
      case "variable":
        return this.#bind(term.name, value, next);
      case "constant":
        return scalarOf(value) === undefined
          ? this.#refuse(`${describe(value)} is no constant`, value)
          : this.#bind(term.name, value, next);
      case "literal": {
        const number = scalarOf(value);
        if (number === undefined) return this.#refuse(`expected ${short(term.value)}, found ${describe(value)}`, value);
        if (isAbout(number, term.value, value.type.dtype)) return next();
        return this.#refuse(`expected ${short(term.value)}, found ${short(number)}`, value, "detail");
      }
      case "any":
        return term.options.some((option) => this.#match(option, value, next));
      case "op":
        return this.#matchOp(term, value, next);
    }
  }

  #matchOp(term: OpTerm, value: Value, next: () => boolean): boolean {
    const { node } = value;
    if (node.op !== term.op || value.index !== 0)
      return this.#refuse(`expected ${term.op}, found ${describe(value)}`, value);
    if (!term.loose && node.operands.length !== term.args.length)
      return this.#refuse(`${term.op} has ${node.operands.length} operands`, value);
    this.#covered.push(node);
    const orders = isCommutative(term) ? [node.operands, [...node.operands].reverse()] : [node.operands];
    const matched = orders.some((operands) =>
      this.#matchArgs(term.args, operands, 0, () => this.#matchAttrs(term, value, 0, next)),
    );
    if (!matched) this.#covered.pop();
    return matched;
  }

  #matchArgs(args: readonly Term[], operands: readonly Value[], at: number, next: () => boolean): boolean {
    if (at === args.length) return next();
    return this.#match(args[at]!, operands[at]!, () => this.#matchArgs(args, operands, at + 1, next));
  }

  #matchAttrs(term: OpTerm, value: Value, at: number, next: () => boolean): boolean {
    const entry = term.attrs[at];
    if (!entry) return next();
    const [name, attr] = entry;
    const actual = value.node.attrs.get(name)!;
    const goOn = () => this.#matchAttrs(term, value, at + 1, next);
    if (attr.kind === "capture") return this.#bind(attr.name, actual, goOn);
    if (fits(attr, actual, value.node, name)) return goOn();
    const wanted = attr.kind === "where" ? attr.text : String(attr.value);
    return this.#refuse(`${name} of ${term.op} is ${String(actual)}, not ${wanted}`, value, "detail");
  }

  #bind(name: string, value: Value | AttrValue, next: () => boolean): boolean {
    const bound = this.#bindings.get(name);
    if (bound !== undefined) return same(bound, value) && next();
    this.#bindings.set(name, value);
    if (next()) return true;
    this.#bindings.delete(name);
    return false;
  }

  #build(term: Term): Value {
    switch (term.kind) {
      case "variable":
      case "constant":
        return this.value(term.name);
      case "literal":
        return this.#arena.build.scalar(term.value, this.root.type.dtype);
      case "any":
        return fail("QKV303", `${this.#rule.name} has alternatives on its right side`);
      case "op": {
        const attrs = term.attrs.map(([name, attr]) => [name, this.#attrValue(attr)] as const);
        const operands = term.args.map((arg) => this.#build(arg));
        return this.#arena.node(term.op, operands, Object.fromEntries(attrs)).results[0]!;
      }
    }
  }

  #attrValue(attr: AttrTerm): AttrValue {
    if (attr.kind === "capture") return this.attr(attr.name);
    return attr.kind === "equals" ? attr.value : fail("QKV303", `${this.#rule.name} has a predicate on its right side`);
  }
}

/** Values by identity, attributes by content. */
const same = (p: Value | AttrValue, q: Value | AttrValue): boolean =>
  p === q || (Array.isArray(p) && Array.isArray(q) && p.length === q.length && p.every((item, i) => item === q[i]));

const isCommutative = (term: OpTerm): boolean =>
  term.args.length === 2 && opDef(term.op).traits.includes("commutative");

function fits(attr: Exclude<AttrTerm, { kind: "capture" }>, actual: AttrValue, node: Node, name: string): boolean {
  if (attr.kind === "where") return attr.accepts(actual, node);
  const { kind } = opDef(node.op).attrs[name]!;
  return attrKey(kind, actual) === attrKey(kind, attr.value);
}

const leafNames: Readonly<Record<string, string>> = { input: "an input", param: "a parameter", constant: "a constant" };
const short = (number: number): number => Number(number.toPrecision(6));
const describe = (value: Value): string => leafNames[value.node.op] ?? value.node.op;
