import type { Arena } from "../ir/arena.ts";
import { attrRecord, attrsOf, opDef } from "../ir/arena.ts";
import { specOf } from "../ir/contraction.ts";
import { isFloat } from "../ir/dtype.ts";
import { type Node, type Uses, useCount, type Value } from "../ir/graph.ts";
import { hasFormulas } from "../ir/ops/attention.ts";
import { Atoms, type Axis } from "./reassociate-atoms.ts";
import { hasReciprocal, scalarOf } from "./rewrite/scalar.ts";

/** A factor of a flattened product. */
export interface Term {
  readonly value: Value;
  readonly axes: readonly Axis[];
}

/** How a region was nested as written: a term, or a product of parts, which was `value` with `axes`. */
export type Nest = { readonly kind: "term"; readonly term: number } | Nested;

export interface Nested {
  readonly kind: "product";
  readonly parts: readonly Nest[];
  readonly value: Value;
  readonly axes: readonly Axis[];
  /** Whether the value is scaled by a factor that the region holds apart. */
  readonly scaled: boolean;
}

/** Nested contractions as one product over atoms, summed over all atoms the result lacks. */
export interface Region {
  readonly root: Value;
  readonly atoms: Atoms;
  readonly result: readonly Axis[];
  readonly terms: readonly Term[];
  /** Rank-0 factors, and values of one element. */
  readonly scalars: readonly Value[];
  /** Factors known as numbers, multiplied. */
  readonly factor: number;
  readonly nest: Nest;
  /** Contractions and scalings that are part of the region, root included. */
  readonly absorbed: ReadonlySet<Node>;
  /** What kept the region from growing, each with the value it stopped at. */
  readonly blocked: readonly { readonly reason: string; readonly at: Value }[];
}

/** Operands of a region, the contractions of which are worth searching together. */
export const regionLimit = 12;

/** Movements and scalings followed from one product to the next. */
const hopLimit = 64;

/** Whether a node is a product over labelled axes, as it is or by its meaning. */
export const isProduct = (node: Node): boolean => isSum(node) || isLinearAttention(node);

const isSum = ({ op }: Node): boolean => op === "contract" || op === "einsum";

/** Attention without normaliser, mask and bias is two products and a scale. */
const isLinearAttention = (node: Node): boolean =>
  (node.op === "attention" || node.op === "packedAttention") &&
  node.operands.length === 3 &&
  node.attrs.get("normaliser") === "none" &&
  node.attrs.get("causal") === false &&
  !hasFormulas(node);

/** Flattens what is above and at `root`. Undefined where nothing is nested, or where an axis is only ever repeated. */
export function flatten(root: Value, uses: Uses, arena: Arena, limit = regionLimit): Region | undefined {
  const attempt = (throughBroadcast: boolean) => new Flattening(root, uses, arena, throughBroadcast, limit).region();
  return attempt(true) ?? attempt(false);
}

interface Scale {
  readonly number?: number;
  readonly value?: Value;
  readonly rest: Value;
}

/** A multiplication, division or change of sign that scales all elements alike. */
function scaleOf(node: Node): Scale | undefined {
  const [x, y] = node.operands;
  const result = node.results[0]!;
  const { dtype, shape } = result.type;
  const whole = (value: Value) =>
    value.type.shape.length === shape.length && value.type.shape.every((d, i) => d === shape[i]);
  const single = (value: Value) => value.type.shape.every((dim) => dim === 1);
  if (node.op === "neg" && x) return { number: -1, rest: x };
  if (node.op === "div" && x && y && whole(x) && single(y)) {
    const divisor = scalarOf(y);
    return divisor !== undefined && hasReciprocal(divisor, dtype) ? { number: 1 / divisor, rest: x } : undefined;
  }
  if (node.op !== "mul" || !x || !y) return undefined;
  const [rest, factor] = whole(x) && single(y) ? [x, y] : whole(y) && single(x) ? [y, x] : [];
  if (!rest || !factor) return undefined;
  const number = scalarOf(factor);
  // Folding a number into others must not lose what it was: an integer factor stays an integer, a float may round once more.
  if (number !== undefined && (isFloat(dtype) || Number.isSafeInteger(number))) return { number, rest };
  return { value: factor, rest };
}

export const isScale = (node: Node): boolean => scaleOf(node) !== undefined;

class Flattening {
  readonly #root: Value;
  readonly #uses: Uses;
  readonly #arena: Arena;
  readonly #throughBroadcast: boolean;
  readonly #limit: number;
  readonly #atoms = new Atoms();
  readonly #terms: Term[] = [];
  readonly #scalars: Value[] = [];
  readonly #absorbed = new Set<Node>();
  readonly #blocked: { reason: string; at: Value }[] = [];
  /** Terms there will be at least, counting what is open. */
  #open = 1;
  #factor = 1;

  constructor(root: Value, uses: Uses, arena: Arena, throughBroadcast: boolean, limit: number) {
    this.#limit = limit;
    this.#root = root;
    this.#uses = uses;
    this.#arena = arena;
    this.#throughBroadcast = throughBroadcast;
  }

  region(): Region | undefined {
    const names = this.#rootNames();
    const result = this.#root.type.shape.map((dim, i) => this.#atoms.axis(dim, names[i] ?? "x"));
    const nest = this.#expand(this.#root, result, true);
    const atoms = this.#atoms;
    const present = new Set(this.#terms.flatMap(({ axes }) => axes.flatMap((axis) => atoms.resolve(axis))));
    if (!atoms.all().every((atom) => present.has(atom))) return undefined;
    return {
      root: this.#root,
      atoms,
      result: result.map((axis) => atoms.resolve(axis)),
      terms: this.#terms.map(({ value, axes }) => ({ value, axes: axes.map((axis) => atoms.resolve(axis)) })),
      scalars: this.#scalars,
      factor: this.#factor,
      nest,
      absorbed: this.#absorbed,
      blocked: this.#blocked,
    };
  }

  #rootNames(): readonly string[] {
    const { node } = this.#root;
    return isSum(node) ? specOf(node).result : [];
  }

  /** Follows a value down to what multiplies into it. Depth is bounded by the limit; movement is a loop. */
  #expand(start: Value, startAxes: readonly Axis[], isRoot: boolean): Nest {
    let value = start;
    let axes = startAxes;
    let alone = true;
    const scaled: { value: Value; axes: readonly Axis[] }[] = [];
    for (let hops = 0; hops < hopLimit; hops++) {
      const { node } = value;
      if (value !== this.#root || !isRoot) alone &&= useCount(this.#uses, value) <= 1;
      const below = this.#through(node, axes);
      if (below) {
        value = below.value;
        axes = below.axes;
        continue;
      }
      const scale = alone ? scaleOf(node) : undefined;
      if (!scale) break;
      this.#scale(scale, node);
      scaled.push({ value, axes });
      value = scale.rest;
    }
    let nest = this.#product(value, axes, alone);
    for (const step of scaled.reverse()) nest = { kind: "product", parts: [nest], ...step, scaled: true };
    return nest;
  }

  #scale({ number, value }: Scale, node: Node): void {
    if (number !== undefined) this.#factor *= number;
    if (value) this.#scalars.push(value);
    this.#absorbed.add(node);
  }

  #product(value: Value, axes: readonly Axis[], alone: boolean): Nest {
    const reason = this.#refusal(value, alone);
    if (reason !== undefined) {
      if (reason !== "") this.#blocked.push({ reason, at: value });
      this.#terms.push({ value, axes });
      return { kind: "term", term: this.#terms.length - 1 };
    }
    const { node } = value;
    this.#absorbed.add(node);
    if (!isSum(node)) return this.#meaning(value, axes);
    const spec = specOf(node);
    this.#open += node.operands.length - 1;
    const labels = new Map(spec.result.map((label, i) => [label, axes[i]!]));
    const operandAxes = spec.operands.map((own, operand) =>
      own.map((label, axis) => {
        let known = labels.get(label);
        if (!known) labels.set(label, (known = this.#atoms.axis(node.operands[operand]!.type.shape[axis]!, label)));
        return known;
      }),
    );
    const parts = node.operands.map((operand, i) => this.#expand(operand, operandAxes[i]!, false));
    return nested(parts, value, axes);
  }

  /** Linear attention by its decomposition, the interior of which nobody else uses. */
  #meaning(value: Value, axes: readonly Axis[]): Nest {
    const { node } = value;
    const meaning = opDef(node.op).decompose!(this.#arena.build, node.operands, attrRecord(node)) as Value;
    this.#open++;
    const inner = this.#expand(meaning, axes, true);
    return nested([inner], value, axes);
  }

  #refusal(value: Value, alone: boolean): string | undefined {
    const { node } = value;
    if (!isProduct(node)) return stopReason(node);
    if (!alone)
      return this.#uses.outputs.has(value) ? "the intermediate is an output" : "the intermediate is used elsewhere too";
    if (value.type.dtype !== this.#root.type.dtype) return "element types differ";
    const more = isSum(node) ? node.operands.length - 1 : 2;
    if (value !== this.#root && this.#open + more > this.#limit) return "the product is too long to be searched as one";
    return undefined;
  }

  /** One movement down: the axes of the operand, in atoms. */
  #through(node: Node, axes: readonly Axis[]): Term | undefined {
    const [value] = node.operands;
    if (!value) return undefined;
    if (node.op === "transpose") {
      const { perm } = attrsOf(node, "transpose");
      const moved: Axis[] = [];
      perm.forEach((from, to) => {
        moved[from] = axes[to]!;
      });
      return { value, axes: moved };
    }
    if (node.op === "reshape") {
      const cut = this.#atoms.cut(axes, value.type.shape);
      return cut && { value, axes: cut };
    }
    if (node.op !== "broadcast" || !this.#throughBroadcast) return undefined;
    const leading = axes.length - value.type.shape.length;
    return { value, axes: value.type.shape.map((dim, i) => (dim === 1 ? [] : axes[leading + i]!)) };
  }
}

const nested = (parts: readonly Nest[], value: Value, axes: readonly Axis[]): Nested => {
  const scaled = parts.some((part) => part.kind === "product" && part.scaled);
  return { kind: "product", parts, value, axes, scaled };
};

/** Why a value that is no product ends a region; empty where there is nothing to tell. */
function stopReason({ op }: Node): string {
  if (op === "reshape") return "a reshape mixes axes";
  if (op === "add" || op === "sub") return "a sum stands between; products are not distributed over it";
  if (op === "softmax") return "a softmax stands between";
  return "";
}
