import { fail } from "../../ir/diagnostics.ts";
import {
  add,
  atLeast,
  coefficients,
  type Dim,
  type DimAtom,
  type DimExpr,
  show,
  sub,
  symbolsOf,
} from "../../ir/dim.ts";
import type { Value } from "../../ir/graph.ts";
import type { TensorType } from "../../ir/types.ts";
import { type Attributes, int, type Ref } from "./lower/ref.ts";
import type { OnnxDim } from "./schema.ts";

/** A dimension as ONNX writes it: its size, or its formula as the name of a symbolic one. */
export const onnxDim = (dim: Dim): OnnxDim => (typeof dim === "number" ? dim : show(dim));

/** What dimensions are written with. */
export interface ShapeEmitter {
  op(type: TensorType, opType: string, inputs: readonly Ref[], attributes?: Attributes): Ref;
  indices(values: readonly number[]): Ref;
}

/** A tensor symbols are read off. */
export interface Source {
  readonly value: Value;
  readonly ref: Ref;
}

/** How a symbol is read off the inputs: (size of an axis - rest) / slope. */
interface Solution {
  readonly source: Source;
  readonly axis: number;
  readonly rest: Dim;
  readonly slope: number;
}

const one = { dtype: "i64", shape: [1] } as const;

/** Runs `emit` with nodes going to the graph or branch that dimensions belong to. */
export type EmitThere = <T>(emit: () => T) => T;

/**
 * Dimensions of one graph or branch as tensors, each computed once, in the outermost place where its symbols are known:
 * the graph whose inputs have them, or the branch in which a node bound them. A dimension is an i64 of shape [1].
 */
export class ShapeValues {
  readonly #emitter: ShapeEmitter;
  readonly #there: EmitThere;
  readonly #outer: ShapeValues | undefined;
  readonly #solutions = new Map<string, Solution>();
  readonly #symbols = new Map<string, Ref>();
  readonly #dims = new Map<Dim, Ref>();
  readonly #vectors = new Map<string, Ref>();

  constructor(emitter: ShapeEmitter, there: EmitThere, outer?: ShapeValues) {
    this.#emitter = emitter;
    this.#there = there;
    this.#outer = outer;
  }

  /** Notes the symbols that follow from the shapes of `sources`, those that are known aside. */
  bind(sources: readonly Source[]): void {
    solveSymbols(sources, this.#solutions, (name) => this.knows(name));
  }

  /** Whether the size of a symbol can be computed here. */
  knows(name: string): boolean {
    return this.#solutions.has(name) || (this.#outer?.knows(name) ?? false);
  }

  /** Symbols whose sizes can be computed here. */
  known(): readonly string[] {
    return [...(this.#outer?.known() ?? []), ...this.#solutions.keys()];
  }

  /** The outermost place in which all of `names` are known; this one for those that are not. */
  #home(names: readonly string[]): ShapeValues {
    return this.#outer && !names.some((name) => this.#solutions.has(name)) ? this.#outer.#home(names) : this;
  }

  /** `dim` as an i64 of shape [1]. Throws QKV462 for a symbol that no shape gives. */
  of(dim: Dim): Ref {
    if (typeof dim === "number") return this.#emitter.indices([dim]);
    const home = this.#home(symbolsOf(dim));
    if (home !== this) return home.of(dim);
    let ref = this.#dims.get(dim);
    if (!ref) this.#dims.set(dim, (ref = this.#there(() => this.#compute(dim))));
    return ref;
  }

  /** Several dimensions as one i64 tensor of rank 1. */
  vector(dims: readonly Dim[]): Ref {
    if (dims.every((dim) => typeof dim === "number")) return this.#emitter.indices(dims);
    const home = this.#home(dims.flatMap(symbolsOf));
    if (home !== this) return home.vector(dims);
    const key = dims.map(show).join();
    let ref = this.#vectors.get(key);
    if (!ref) this.#vectors.set(key, (ref = this.#there(() => this.#join(dims))));
    return ref;
  }

  #join(dims: readonly Dim[]): Ref {
    const parts = dims.map((dim) => this.of(dim));
    if (parts.length === 1) return parts[0]!;
    const ref = this.#emitter.op({ dtype: "i64", shape: [dims.length] }, "Concat", parts, { axis: int(0) });
    ref.wanted = `shape/${dims.map(show).join(",")}`;
    return ref;
  }

  #compute(dim: DimExpr): Ref {
    let total: Ref | undefined;
    let constant = 0;
    for (const { coefficient, factors } of dim.terms) {
      if (factors.length === 0) {
        constant = coefficient;
        continue;
      }
      const powers = factors.flatMap(([atom, power]) => Array.from({ length: power }, () => this.#atom(atom)));
      const monomial = powers.reduce((a, b) => this.#binary("Mul", a, b));
      const negate = total !== undefined && coefficient < 0;
      const factor = negate ? -coefficient : coefficient;
      const term = factor === 1 ? monomial : this.#binary("Mul", monomial, this.of(factor));
      total = total === undefined ? term : this.#binary(negate ? "Sub" : "Add", total, term);
    }
    const sum = constant === 0 ? total! : this.#binary("Add", total!, this.of(constant));
    sum.wanted ??= `dim/${show(dim)}`;
    return sum;
  }

  #binary(opType: string, a: Ref, b: Ref): Ref {
    return this.#emitter.op(one, opType, [a, b]);
  }

  #atom(atom: DimAtom): Ref {
    const home = this.#home(atom.kind === "symbol" ? [atom.name] : [atom.left, atom.right].flatMap(symbolsOf));
    if (home !== this) return home.#there(() => home.#atom(atom));
    let ref = this.#symbols.get(atom.key);
    if (!ref) {
      this.#symbols.set(atom.key, (ref = atom.kind === "symbol" ? this.#symbol(atom.name) : this.#call(atom)));
      ref.wanted ??= `dim/${atom.key}`;
    }
    return ref;
  }

  #symbol(name: string): Ref {
    const solution = this.#solutions.get(name);
    if (!solution)
      fail("QKV462", `the dimension "${name}" cannot be read off the shape of an input`, {
        help: `declare an input with an axis "${name}", or give its size`,
      });
    const { source, axis, rest, slope } = solution;
    const size = this.#emitter.op(one, "Shape", [source.ref], { start: int(axis), end: int(axis + 1) });
    const shifted = rest === 0 ? size : this.#binary("Sub", size, this.of(rest));
    return slope === 1 ? shifted : this.#binary("Div", shifted, this.of(slope));
  }

  #call(atom: DimAtom & { readonly kind: "call" }): Ref {
    const { fn, left, right } = atom;
    const [a, b] = [this.of(left), this.of(right)];
    if (fn === "max" || fn === "min") return this.#binary(fn === "max" ? "Max" : "Min", a, b);
    if (fn === "mod") return this.#binary("Mod", a, b);
    // Integer division truncates: that is the floor for natural numbers, and ⌈a/b⌉ = ⌊(a + b - 1)/b⌋.
    const upper = fn === "ceil" ? this.of(sub(add(left, right), 1)) : a;
    if (atLeast(left, 0) && atLeast(right, 1)) return this.#binary("Div", upper, b);
    return this.#binary("Div", this.#binary("Sub", upper, this.#binary("Mod", upper, b)), b);
  }
}

/** Solves for every symbol not known: first axes that are a bare symbol, then linear ones whose other symbols are known. */
function solveSymbols(
  sources: readonly Source[],
  solutions: Map<string, Solution>,
  knows: (name: string) => boolean,
): void {
  const axes = sources.flatMap((source) => source.value.type.shape.map((dim, axis) => ({ source, dim, axis })));
  const open = axes.filter(({ dim }) => typeof dim !== "number");
  for (const { source, dim, axis } of open) {
    const [name] = symbolsOf(dim);
    if (name !== undefined && show(dim) === name && !knows(name))
      solutions.set(name, { source, axis, rest: 0, slope: 1 });
  }
  for (let found = true; found; ) {
    found = false;
    for (const { source, dim, axis } of open) {
      const unknown = symbolsOf(dim).filter((name) => !knows(name));
      const [rest, slope, ...higher] = unknown.length === 1 ? (coefficients(dim, unknown[0]!) ?? []) : [];
      if (rest === undefined || typeof slope !== "number" || slope === 0 || higher.length > 0) continue;
      solutions.set(unknown[0]!, { source, axis, rest, slope });
      found = true;
    }
  }
}
