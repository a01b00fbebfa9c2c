import { type Arena, opDef } from "../../../src/ir/arena.ts";
import type { DType } from "../../../src/ir/dtype.ts";
import type { Value } from "../../../src/ir/graph.ts";
import { fromNumbers } from "../../../src/ir/tensor.ts";
import { rootOps, type Term } from "../../../src/passes/rewrite/term.ts";

/** Attributes of a sample of an op: enough for its rules to match. */
const attrs: Readonly<Record<string, (x: Value) => Record<string, unknown>>> = {
  transpose: () => ({ perm: [1, 0] }),
  reshape: ({ type }) => ({ shape: type.shape }),
  broadcast: ({ type }) => ({ shape: type.shape }),
  slice: ({ type }) => ({ axis: 0, start: 0, end: type.shape[0] }),
  split: ({ type }) => ({ axis: 0, sizes: [type.shape[0]] }),
  pad: () => ({ axis: 0, low: 0, high: 0 }),
  concat: () => ({ axis: 0 }),
  cast: () => ({ to: "f32" }),
  reduceSum: () => ({ axes: [1], keepDims: true }),
  reduceMax: () => ({ axes: [1], keepDims: true }),
  reduceMin: () => ({ axes: [1], keepDims: true }),
  reduceMean: () => ({ axes: [1], keepDims: true }),
};

const logical: ReadonlySet<string> = new Set(["and", "or", "not"]);

export interface SampleForm {
  /** Whether variables are constants, for rules about constants. */
  readonly constant: boolean;
  readonly dtype: DType;
  /** Which spelling is taken where there are several. */
  readonly spelling: number;
}

/** What a rule's left side may look like: a value built from its term, variables as inputs of odd sizes. */
export class Sample {
  readonly inputs: Value[] = [];
  readonly #bound = new Map<string, Value>();
  readonly #arena: Arena;
  readonly #form: SampleForm;

  constructor(arena: Arena, form: SampleForm) {
    this.#arena = arena;
    this.#form = form;
  }

  build(term: Term, bool = false): Value {
    switch (term.kind) {
      case "variable":
        return this.#named(term.name, bool, this.#form.constant);
      case "constant":
        return this.#named(term.name, bool, true);
      case "literal":
        return this.#arena.build.scalar(term.value, bool ? "bool" : this.#form.dtype);
      case "any":
        return this.build(term.options[this.#form.spelling % term.options.length]!, bool);
      case "op":
        break;
    }
    const count = opDef(term.op).operands.filter((name) => !/\?$|^\.\.\./.test(name)).length;
    const names: readonly Term[] = ["x", "y", "z"]
      .slice(0, Math.max(1, count))
      .map((name) => ({ kind: "variable", name }));
    const args = (term.loose ? names : term.args).map((arg, i) =>
      this.build(arg, logical.has(term.op) || (term.op === "select" && i === 0)),
    );
    const given = Object.fromEntries(
      term.attrs.flatMap(([name, attr]) => (attr.kind === "equals" ? [[name, attr.value]] : [])),
    );
    const own = args[0] ? (attrs[term.op]?.(args[0]) ?? {}) : {};
    return this.#arena.node(term.op, args, { ...own, ...given }).results[0]!;
  }

  #named(name: string, bool: boolean, constant: boolean): Value {
    let value = this.#bound.get(name);
    if (value) return value;
    const dtype = bool ? "bool" : this.#form.dtype;
    if (constant && !this.#form.constant) value = this.#arena.build.scalar(name === "one" ? 1 : 0.25, dtype);
    else if (constant)
      value = this.#arena.build.constant({
        value: fromNumbers(
          dtype,
          [3, 5],
          Array(15)
            .fill(0)
            .map((_, i) => (i % 4) / 4),
        ),
      });
    else this.inputs.push((value = this.#arena.build.input({ name, dtype, shape: [3, 5] })));
    this.#bound.set(name, value);
    return value;
  }
}

export const rootsOf = (term: Term): readonly string[] => rootOps(term) ?? [];
