import { type AttrKind, type AttrSpecs, type Attrs, type AttrValue, attrKey, isAttrValue } from "./attrs.ts";
import { fail, invariant } from "./diagnostics.ts";
import type { DType } from "./dtype.ts";
import { type Graph, type Hint, Node, Value } from "./graph.ts";
import { arity, constraintFailure, type Emit, type OpDef, type OpFunction } from "./op-def.ts";
import { type OpName, ops } from "./ops/index.ts";
import { fromNumbers } from "./tensor.ts";
import { sameType, type TensorType } from "./types.ts";

type SingleResult = { readonly [K in OpName]: OpFunction<(typeof ops)[K]> };

/** One function per op: operands, then attributes; answers the first result. `scalar` makes a rank-0 constant. */
export type Build = SingleResult & { scalar(value: number, dtype: DType): Value };

// The registry provides all that decompositions are written with.
type Provides<T extends Emit> = T;
export type EmitProvided = Provides<Build>;

const registry = ops as unknown as Readonly<Record<string, OpDef>>;
const known = new Set(Object.keys(ops));

/** The record of an op. Throws QKV211 for a name the registry lacks. */
export const opDef = (name: string): OpDef =>
  known.has(name) ? registry[name]! : fail("QKV211", `there is no op "${name}"`);

/**
 * Makes and interns nodes. All graphs that are rewritten into one another share an arena; it holds what people call
 * the values. An arena grows with every node ever made in it and is dropped as a whole.
 */
export class Arena {
  readonly #nodes = new Map<string, Node>();
  readonly #hints = new Map<Value, Hint>();
  readonly #origins = new Map<Value, Value>();
  #next = 0;

  /** How many nodes were made; nodes made from now on have this id or a larger one. */
  get size(): number {
    return this.#next;
  }

  /** Op functions bound to this arena. */
  readonly build: Build = this.#functions();

  /**
   * The node of `op` on `operands`: the existing one where there is one. Attributes left out take their defaults.
   * Throws QKV210 where a constraint of the op is broken, QKV211 to QKV213 on an unknown op, attribute or arity.
   */
  node(op: string, operands: readonly Value[], attrs: Readonly<Record<string, unknown>> = {}): Node {
    const def = opDef(op);
    const complete = completeAttrs(def, attrs);
    return this.#intern(def, operands, complete, () => inferTypes(def, operands, complete));
  }

  #intern(
    def: OpDef,
    operands: readonly Value[],
    attrs: ReadonlyMap<string, AttrValue>,
    types: () => readonly TensorType[],
  ): Node {
    const key = nodeKey(def, operands, attrs);
    const existing = this.#nodes.get(key);
    if (existing) return existing;
    const node = new Node(this.#next++, def.name, operands, attrs, types());
    this.#nodes.set(key, node);
    return node;
  }

  /** The node again with other operands; the same node where they are the same. */
  rebuild(node: Node, operands: readonly Value[]): Node {
    if (operands.length === node.operands.length) {
      if (operands.every((value, i) => value === node.operands[i])) return node;
      // Types follow from attributes and the operands' types: what those give is known.
      if (operands.every((value, i) => sameType(value.type, node.operands[i]!.type)))
        return this.#intern(opDef(node.op), operands, node.attrs, () => node.results.map(({ type }) => type));
    }
    return this.node(node.op, operands, Object.fromEntries(node.attrs));
  }

  hintOf(value: Value): Hint {
    return this.#hints.get(value) ?? {};
  }

  /** Notes what a value is called. What is known already stays: the first name a person gave wins. */
  hint(value: Value, hint: Hint): void {
    this.#hints.set(value, { ...hint, ...this.#hints.get(value) });
  }

  /** Gives `to` the name and place of `from`, as when a rule replaces one by the other. */
  inherit(from: Value, to: Value): void {
    if (from === to) return;
    if (!this.#origins.has(to)) this.#origins.set(to, from);
    const hint = this.#hints.get(from);
    if (hint) this.hint(to, hint);
  }

  /** The value this one first took the place of, where it did. */
  originOf(value: Value): Value | undefined {
    return this.#origins.get(value);
  }

  #functions(): Build {
    const scalar = (value: number, dtype: DType) => this.build.constant({ value: fromNumbers(dtype, [], [value]) });
    const single = [...known].map((op) => [op, (...args: unknown[]) => this.#apply(op, args).results[0]] as const);
    return Object.freeze({ ...Object.fromEntries(single), scalar }) as unknown as Build;
  }

  #apply(op: string, args: readonly unknown[]): Node {
    const last = args.at(-1);
    const attrs = last === undefined || last instanceof Value ? {} : (last as Record<string, unknown>);
    return this.node(
      op,
      args.filter((arg): arg is Value => arg instanceof Value),
      attrs,
    );
  }
}

/** Attributes of a node, typed by the op's record. */
export const attrsOf = <K extends OpName>(node: Node, op: K): Attrs<(typeof ops)[K]["attrs"]> => {
  invariant(node.op === op, `a ${node.op} node was read as ${op}`);
  return attrRecord(node);
};

/** Attributes of any node as a record. Safe: attribute names come from op records, never from users. */
export const attrRecord = <S extends AttrSpecs>(node: Node): Attrs<S> => Object.fromEntries(node.attrs) as Attrs<S>;

function completeAttrs(def: OpDef, given: Readonly<Record<string, unknown>>): ReadonlyMap<string, AttrValue> {
  const complete = new Map<string, AttrValue>();
  for (const [name, spec] of Object.entries(def.attrs)) {
    const value = given[name] ?? spec.default;
    if (value === undefined) fail("QKV212", `${def.name}: the attribute "${name}" is missing`);
    if (!isAttrValue(spec.kind, value))
      fail("QKV212", `${def.name}: "${name}" must be ${attrKindText[spec.kind]}, not ${describe(value)}`);
    complete.set(name, value as AttrValue);
  }
  for (const name of Object.keys(given))
    if (!complete.has(name)) fail("QKV212", `${def.name} has no attribute "${name}"`);
  return complete;
}

const attrKindText: Record<AttrKind, string> = {
  int: "an integer",
  float: "a number",
  bool: "true or false",
  string: "a text",
  dtype: "an element type",
  ints: "a list of integers",
  dim: "a dimension",
  dims: "a list of dimensions",
  tensor: "a tensor",
  graph: "a graph",
  formula: "an index formula",
};

const describe = (value: unknown): string =>
  typeof value === "object"
    ? Array.isArray(value)
      ? `[${value.map(String).join(", ")}]`
      : "an object"
    : String(value);

function nodeKey(def: OpDef, operands: readonly Value[], attrs: ReadonlyMap<string, AttrValue>): string {
  let key = def.name;
  for (const value of operands) key += value.index === 0 ? ` ${value.node.id}` : ` ${value.node.id}.${value.index}`;
  for (const [name, value] of attrs) key += `|${attrKey(def.attrs[name]!.kind, value)}`;
  return key;
}

/** The types of an op's results. Throws QKV210 where a constraint is broken, QKV213 on a wrong number of operands. */
export function inferTypes(
  def: OpDef,
  operands: readonly { readonly type: TensorType }[],
  attrs: ReadonlyMap<string, AttrValue>,
): readonly TensorType[] {
  const { least, most } = arity(def.operands);
  if (operands.length < least || operands.length > most)
    fail("QKV213", `${def.name} takes ${def.operands.join(", ") || "no operands"}; ${operands.length} were given`);
  const types = operands.map((value) => value.type);
  const result = def.infer({
    types,
    attrs: Object.fromEntries(attrs) as Attrs<AttrSpecs>,
    require(condition, constraint, detail) {
      if (!condition) constraintFailure(def, types, constraint, detail);
    },
    need: (value, constraint, detail) => value ?? constraintFailure(def, types, constraint, detail),
  });
  return Array.isArray(result) ? (result as readonly TensorType[]) : [result as TensorType];
}

/** A graph over values of one arena. */
export const graphOf = (
  name: string,
  inputs: readonly Value[],
  outputs: Iterable<readonly [name: string, value: Value]>,
): Graph => ({ name, inputs, outputs: Array.from(outputs, ([output, value]) => ({ name: output, value })) });
