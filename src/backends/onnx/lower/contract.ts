import { type ContractionSpec, parseSpec, showSpec } from "../../../ir/contraction.ts";
import { type Dim, isStatic, product } from "../../../ir/dim.ts";
import type { DType } from "../../../ir/dtype.ts";
import type { Value } from "../../../ir/graph.ts";
import type { TensorType } from "../../../ir/types.ts";
import { type OperandPlan, type PairPlan, planPairOnce } from "../contraction-plan.ts";
import type { Emitter } from "./emitter.ts";
import { cast, type LowerContext, type Lowerings } from "./lowering.ts";
import { reduceTo } from "./reduce.ts";
import { float, int, type Ref, text } from "./ref.ts";
import { reshape, transpose } from "./shape.ts";

/** A tensor whose axes have labels. `value` is set while it is an operand that can be moved when the model is written. */
interface Labelled {
  readonly ref: Ref;
  readonly labels: readonly string[];
  readonly value: Value | undefined;
}

type Sizes = ReadonlyMap<string, Dim>;

/** Element types the runtime multiplies matrices in; others are computed in the type named. */
const productTypes: Readonly<Partial<Record<DType, DType>>> = { i8: "i32", u8: "i32" };

/** Contracts left to right; each step sums out what neither the result nor a later operand needs. */
function contract({ e, node, operands, attrs, type }: LowerContext<"contract">): Ref {
  const spec = parseSpec(attrs.spec);
  const wide = productTypes[type.dtype];
  const sizes = sizesOf(spec, node.operands);
  const items = operands.map((ref, i): Labelled => {
    const value = node.operands[i]!;
    const movable = wide === undefined && e.isFoldable(value) ? value : undefined;
    return { ref: wide ? cast(e, ref, wide) : ref, labels: spec.operands[i]!, value: movable };
  });
  const steps = new Contraction(e, sizes, spec, wide ?? type.dtype);
  const result = items.length === 1 ? steps.single(items[0]!) : steps.pairs(items);
  return cast(e, result, type.dtype);
}

function sizesOf(spec: ContractionSpec, operands: readonly Value[]): Sizes {
  const sizes = new Map<string, Dim>();
  operands.forEach((value, i) => spec.operands[i]!.forEach((label, axis) => sizes.set(label, value.type.shape[axis]!)));
  return sizes;
}

class Contraction {
  readonly #e: Emitter;
  readonly #sizes: Sizes;
  readonly #spec: ContractionSpec;
  readonly #dtype: DType;

  constructor(e: Emitter, sizes: Sizes, spec: ContractionSpec, dtype: DType) {
    this.#e = e;
    this.#sizes = sizes;
    this.#spec = spec;
    this.#dtype = dtype;
  }

  single(item: Labelled): Ref {
    const reduced = this.#reduced(item, new Set(this.#spec.result));
    return this.#ordered(reduced, this.#spec.result).ref;
  }

  pairs(items: readonly Labelled[]): Ref {
    let held = items[0]!;
    for (let i = 1; i < items.length; i++) {
      const last = i === items.length - 1;
      const later = new Set([...this.#spec.result, ...items.slice(i + 1).flatMap(({ labels }) => labels)]);
      held = this.#pair(held, items[i]!, later, last ? this.#spec.result : undefined);
    }
    return held.ref;
  }

  #pair(a: Labelled, b: Labelled, later: ReadonlySet<string>, result: readonly string[] | undefined): Labelled {
    const left = this.#reduced(a, new Set([...later, ...b.labels]));
    const right = this.#reduced(b, new Set([...later, ...left.labels]));
    const kept = [...new Set([...left.labels, ...right.labels])].filter((label) => later.has(label));
    const plan = this.#plan(left, right, kept, result);
    const [first, second] = plan.swapped ? [right, left] : [left, right];
    const x = this.#placed(first, plan.first);
    const y = this.#placed(second, plan.second);
    const raw = this.#product(plan, x, y);
    const split = reshape(this.#e, raw, plan.order.map(this.#size));
    return this.#ordered({ ref: split, labels: plan.order, value: undefined }, result ?? plan.order);
  }

  #plan(a: Labelled, b: Labelled, kept: readonly string[], result: readonly string[] | undefined): PairPlan {
    const float32 = this.#dtype === "f32";
    return planPairOnce(
      {
        left: { labels: a.labels, foldable: a.value !== undefined },
        right: { labels: b.labels, foldable: b.value !== undefined },
        result,
        kept,
        size: this.#size,
        gemm: float32 || this.#dtype === "f64",
        fused: this.#e.target.contrib && float32,
      },
      this.#e.plans,
    );
  }

  readonly #size = (label: string): Dim => this.#sizes.get(label)!;

  /** Diagonals of repeated labels taken, labels not in `needed` summed. */
  #reduced(item: Labelled, needed: ReadonlySet<string>): Labelled {
    const unique = this.#diagonal(item);
    const axes = unique.labels.flatMap((label, axis) => (needed.has(label) ? [] : [axis]));
    if (axes.length === 0) return unique;
    const labels = unique.labels.filter((label) => needed.has(label));
    return {
      ref: reduceTo(this.#e, "ReduceSum", unique.ref, axes, false, this.#type(labels)),
      labels,
      value: undefined,
    };
  }

  #diagonal(item: Labelled): Labelled {
    const labels = [...new Set(item.labels)];
    if (labels.length === item.labels.length) return item;
    return {
      ref: einsum(this.#e, [item.ref], { operands: [item.labels], result: labels }, this.#type(labels)),
      labels,
      value: undefined,
    };
  }

  #type(labels: readonly string[]): TensorType {
    return { dtype: this.#dtype, shape: labels.map(this.#size) };
  }

  #placed({ ref, labels, value }: Labelled, { order, groups }: OperandPlan): Ref {
    const perm = order.map((label) => labels.indexOf(label));
    const shape = groups.map((group) => product(group.map(this.#size)));
    const folded = value && this.#e.folded(value, perm, shape as readonly number[]);
    return folded ?? reshape(this.#e, transpose(this.#e, ref, perm), shape);
  }

  #ordered(item: Labelled, labels: readonly string[]): Labelled {
    const perm = labels.map((label) => item.labels.indexOf(label));
    return { ref: transpose(this.#e, item.ref, perm), labels, value: undefined };
  }

  /** A vector beside a matrix is one too: the runtime takes a transposition into products with vectors, and gets them wrong. */
  #matrixProduct(type: TensorType, x: Ref, y: Ref): Ref {
    const e = this.#e;
    const [left, right] = [x.type.shape, y.type.shape];
    const wide = left.length === 1 && right.length > 1;
    const tall = right.length === 1 && left.length > 1;
    if (!wide && !tall) return e.op(type, "MatMul", [x, y]);
    const factors = wide ? [reshape(e, x, [1, ...left]), y] : [x, reshape(e, y, [...right, 1])];
    const { dtype, shape } = type;
    const whole = wide ? [...shape.slice(0, -1), 1, ...shape.slice(-1)] : [...shape, 1];
    return reshape(e, e.op({ dtype, shape: whole }, "MatMul", factors), shape);
  }

  #product(plan: PairPlan, x: Ref, y: Ref): Ref {
    const e = this.#e;
    const type = { dtype: this.#dtype, shape: plan.groups.map((group) => product(group.map(this.#size))) };
    const flag = (on: boolean) => (on ? int(1) : undefined);
    switch (plan.kind) {
      case "multiply":
        return e.op(type, "Mul", [x, y]);
      case "matmul":
        return this.#matrixProduct(type, x, y);
      case "gemm":
        return e.op(type, "Gemm", [x, y], { transA: flag(plan.transFirst), transB: flag(plan.transSecond) });
      case "fused":
        return e.contrib(type, "FusedMatMul", [x, y], {
          alpha: float(1),
          transA: flag(plan.transFirst),
          transB: flag(plan.transSecond),
        });
    }
  }
}

const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const certainlyFull = ({ type }: Ref): boolean => type.shape.every((dim) => isStatic(dim) && dim > 0);

/**
 * Writes an `Einsum`, its labels as single letters. The runtime orders the axes of every operand by where labels first
 * appear, and divides by zero over an empty one that it has to transpose for that: such operands come in order.
 */
function einsum(e: Emitter, operands: readonly Ref[], spec: ContractionSpec, type: TensorType): Ref {
  const letters = new Map<string, string>();
  for (const label of spec.operands.flat()) if (!letters.has(label)) letters.set(label, alphabet[letters.size] ?? "?");
  const short = (labels: readonly string[]) => labels.map((label) => letters.get(label)!);
  const sorted = operands.map((operand, i) => {
    const labels = short(spec.operands[i]!);
    const perm = certainlyFull(operand) ? labels.map((_, axis) => axis) : inOrder(labels);
    return { ref: transpose(e, operand, perm), labels: perm.map((axis) => labels[axis]!) };
  });
  const equation = showSpec({ operands: sorted.map(({ labels }) => labels), result: short(spec.result) });
  const refs = sorted.map(({ ref }) => ref);
  return e.op(type, "Einsum", refs, { equation: text(equation.replaceAll(" ", "")) });
}

/** The axes of letters, which were given out in order, from the first on. */
const inOrder = (labels: readonly string[]): readonly number[] =>
  labels.map((_, axis) => axis).sort((p, q) => alphabet.indexOf(labels[p]!) - alphabet.indexOf(labels[q]!) || p - q);

export const contractLowerings: Lowerings<"contract" | "einsum"> = {
  contract,
  einsum: ({ e, operands, attrs, type }) => einsum(e, operands, parseSpec(attrs.spec), type),
};
