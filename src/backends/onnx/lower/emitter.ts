import type { Arena } from "../../../ir/arena.ts";
import { reachesInput } from "../../../ir/constness.ts";
import { fail } from "../../../ir/diagnostics.ts";
import { type Dim, isStatic } from "../../../ir/dim.ts";
import type { DType } from "../../../ir/dtype.ts";
import type { Node, Value } from "../../../ir/graph.ts";
import { elementCount, fromNumbers, type HostTensor } from "../../../ir/tensor.ts";
import { sameShape, type TensorType } from "../../../ir/types.ts";
import { extremes, type Range as NumberRange, rangesGiven } from "../../../ir/value-range.ts";
import type { PairPlan } from "../contraction-plan.ts";
import { ShapeValues } from "../dims.ts";
import type { OnnxAttribute } from "../schema.ts";
import type { AttentionForm, FlashFrom } from "./attention-choice.ts";
import { foldableKey, HostValues, type WeightReader } from "./host.ts";
import { type Attributes, type Initializer, type PendingGraph, type PendingNode, Ref } from "./ref.ts";

/** What the exported file may contain. */
export interface ExportTarget {
  /** Version of the standard operators, 17 to 26. */
  readonly opset: number;
  /** Whether kernels of `com.microsoft` may be used. */
  readonly contrib: boolean;
  /** Composites written as one operator where target and types allow; undefined: all of them. */
  readonly kernels?: ReadonlySet<string>;
  /** Tries this form of attention first instead of choosing by length. */
  readonly attention?: AttentionForm;
  readonly choices?: { readonly flashFrom: FlashFrom };
}

/** One graph or branch while it is filled. */
interface Scope {
  readonly nodes: PendingNode[];
  readonly values: Map<Value, Ref>;
  /** Values of dimensions at run time. */
  readonly shapes: ShapeValues;
  readonly outer: Scope | undefined;
  /** A graph of its own, which reaches the outer ones by its inputs and through leaves only. */
  readonly closed: boolean;
}

/** Whole numbers from `from` to `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Weights of more elements are not read to know what they hold. */
const mostLookedAt = 2 ** 16;

export const contribDomain = "com.microsoft";

export interface EmitterOptions {
  readonly arena: Arena;
  readonly target: ExportTarget;
  readonly weights: WeightReader;
  /** Sizes of dimensions the model will be run with, as far as known; they steer choices, never meaning. */
  readonly dims: ReadonlyMap<string, number>;
  readonly inputs: readonly Value[];
  /** The greatest lengths the model takes, as far as they are known. */
  readonly limits: ReadonlyMap<Dim, number>;
  /** Lowers what `values` need and have not got yet. */
  readonly lower: (e: Emitter, values: readonly Value[]) => void;
}

/** Collects the nodes and initialisers of one model. Lowerings write through it. */
export class Emitter {
  readonly arena: Arena;
  readonly target: ExportTarget;
  readonly dims: ReadonlyMap<string, number>;
  readonly initializers: Initializer[] = [];
  /** Domains of operators that were taken over from a file, with their versions. */
  readonly domains = new Map<string, number>();
  /** Contraction plans met so far. */
  readonly plans = new Map<string, PairPlan>();
  readonly #host: HostValues;
  readonly #root: Scope = this.#scopeIn(undefined, new Map(), true);
  readonly #constants = new Map<string, Ref>();
  readonly #used = new Set<Value>();
  #scope: Scope = this.#root;
  #source: Node | undefined;
  #ranges: ReadonlyMap<Dim, Range>;
  readonly #numbers = new WeakMap<Ref | Value, NumberRange>();

  readonly #lower: EmitterOptions["lower"];

  constructor({ arena, target, weights, dims, inputs, limits, lower }: EmitterOptions) {
    this.#ranges = new Map(Array.from(limits, ([dim, to]) => [dim, { from: 0, to }]));
    this.arena = arena;
    this.target = target;
    this.dims = dims;
    this.#lower = lower;
    this.#host = new HostValues(weights);
    const sources = inputs.map((value) => ({ value, ref: this.#declare(value) }));
    this.shapes.bind(sources);
  }

  #scopeIn(outer: Scope | undefined, values: Map<Value, Ref>, closed: boolean): Scope {
    const shapes: ShapeValues = new ShapeValues(this, (emit) => this.#ahead(scope, emit), outer?.shapes);
    const scope = { nodes: [], values, shapes, outer, closed };
    return scope;
  }

  /** Values of dimensions in the graph or branch being filled. */
  get shapes(): ShapeValues {
    return this.#scope.shapes;
  }

  get nodes(): readonly PendingNode[] {
    return this.#root.nodes;
  }

  #declare(value: Value): Ref {
    const ref = new Ref(value.type);
    this.#root.values.set(value, ref);
    return ref;
  }

  /** The node being lowered: names what is emitted, and is quoted by errors. */
  serve(source: Node | undefined): void {
    this.#source = source;
  }

  get source(): Node | undefined {
    return this.#source;
  }

  /** Appends an operator with one result of `type`. Undefined inputs and attributes are left out. */
  op(type: TensorType, opType: string, inputs: readonly (Ref | undefined)[], attributes: Attributes = {}): Ref {
    return this.#append([type], opType, inputs, attributes, "")[0]!;
  }

  /** The same for an operator of `com.microsoft`. */
  contrib(type: TensorType, opType: string, inputs: readonly (Ref | undefined)[], attributes: Attributes = {}): Ref {
    return this.#append([type], opType, inputs, attributes, contribDomain)[0]!;
  }

  /** An operator with several results; an undefined type leaves that result out. */
  ops(
    types: readonly (TensorType | undefined)[],
    opType: string,
    inputs: readonly (Ref | undefined)[],
    attributes: Attributes = {},
    domain = "",
  ): readonly (Ref | undefined)[] {
    return this.#append(types, opType, inputs, attributes, domain);
  }

  #append(
    types: readonly (TensorType | undefined)[],
    opType: string,
    inputs: readonly (Ref | undefined)[],
    attributes: Attributes,
    domain: string,
  ): readonly (Ref | undefined)[] {
    const outputs = types.map((type) => type && new Ref(type));
    const given = Object.entries(attributes).filter(
      (entry): entry is [string, OnnxAttribute | PendingGraph] => entry[1] !== undefined,
    );
    this.append({ opType, domain, inputs, outputs, attributes: new Map(given) });
    return outputs;
  }

  /** Appends an operator as it is. */
  append(node: Omit<PendingNode, "source">): void {
    this.#scope.nodes.push({ ...node, source: this.#source });
  }

  /** Notes that operators of a domain besides the standard one are used, and of which version. */
  importDomain(domain: string, version: number): void {
    if (domain !== "") this.domains.set(domain, Math.max(version, this.domains.get(domain) ?? 0));
  }

  /** Appends a node that chooses between two branches. */
  branch(
    types: readonly TensorType[],
    condition: Ref,
    whenTrue: PendingGraph,
    whenFalse: PendingGraph,
  ): readonly Ref[] {
    const outputs = types.map((type) => new Ref(type));
    const attributes = new Map([
      ["then_branch", whenTrue],
      ["else_branch", whenFalse],
    ]);
    this.append({ opType: "If", domain: "", inputs: [condition], outputs, attributes });
    return outputs;
  }

  /** Runs `fill` where a dimension is known to be within a range, as in a branch that is taken only then. */
  given<T>(dim: Dim, { from, to }: Range, fill: () => T): T {
    const around = this.#ranges;
    const known = this.rangeOf(dim);
    const range = { from: Math.max(known.from, from), to: Math.min(known.to, to) };
    this.#ranges = new Map(around).set(dim, range);
    try {
      return fill();
    } finally {
      this.#ranges = around;
    }
  }

  /** Between which numbers a dimension is, where nodes are going now. */
  rangeOf(dim: Dim): Range {
    return this.#ranges.get(dim) ?? { from: 0, to: Number.POSITIVE_INFINITY };
  }

  /** The numbers a value holds, whatever the model is given; of what a branch captures, those that were told of its tensor. */
  numbersOf(value: Value): NumberRange {
    return rangesGiven((part) => {
      if (part.node.op === "param") return this.#numbersOfParam(part);
      const ref = part.node.op === "input" ? this.find(part) : undefined;
      return ref && this.#numbers.get(ref);
    })(value);
  }

  #numbersOfParam(param: Value): NumberRange | undefined {
    const { shape } = param.type;
    if (!shape.every(isStatic) || elementCount(shape) > mostLookedAt) return undefined;
    let range = this.#numbers.get(param);
    if (!range) this.#numbers.set(param, (range = extremes(this.#host.read(param))));
    return range;
  }

  /** Keeps the numbers of a value that a branch is about to capture as `ref`. */
  tellNumbers(ref: Ref, value: Value): void {
    this.#numbers.set(ref, this.numbersOf(value));
  }

  /** What `fill` appends, as a branch that answers what it returns and sees what the graphs around it see. */
  branchOf(name: string, fill: () => readonly Ref[]): PendingGraph {
    const { result, nodes } = this.#within(this.#scopeIn(this.#scope, new Map(), false), fill);
    return { name, nodes, outputs: result };
  }

  /** Runs `fill` with nodes going to a new graph, whose inputs are `bound` to tensors. */
  inGraph<T>(
    bound: ReadonlyMap<Value, Ref>,
    fill: (emitted: readonly PendingNode[]) => T,
  ): { readonly result: T; readonly nodes: readonly PendingNode[] } {
    const scope = this.#scopeIn(this.#scope, new Map(bound), true);
    return this.#within(scope, () => fill(scope.nodes));
  }

  #within<T>(scope: Scope, fill: () => T): { readonly result: T; readonly nodes: readonly PendingNode[] } {
    const outer = this.#scope;
    this.#scope = scope;
    try {
      return { result: fill(), nodes: scope.nodes };
    } finally {
      this.#scope = outer;
    }
  }

  /** Runs `emit` with nodes going to `there`, ahead of whatever branch of it is being filled. */
  #ahead<T>(there: Scope, emit: () => T): T {
    const [scope, source] = [this.#scope, this.#source];
    this.#scope = there;
    this.#source = undefined;
    try {
      return emit();
    } finally {
      this.#scope = scope;
      this.#source = source;
    }
  }

  /** Lowers what `values` need and have not got yet into the graph or branch being filled. */
  lower(values: readonly Value[]): void {
    const source = this.#source;
    this.#lower(this, values);
    this.#source = source;
  }

  /** The tensor of a value that has been lowered, or that is known now. */
  ref(value: Value): Ref {
    return (
      this.find(value) ??
      fail("QKV464", `${value.node.op} is used before it is computed`, {
        notes: ["branches reach only their captures"],
      })
    );
  }

  /** What the graph or branch being filled can see of `value`: of the graphs around a closed one, what is no one's input. */
  find(value: Value): Ref | undefined {
    for (let scope: Scope | undefined = this.#scope; scope; scope = scope.outer) {
      const ref = scope.values.get(value);
      if (ref) return ref;
      // Equal values of two graphs are one node; computed from inputs, they are not one tensor.
      if (scope.closed && scope.outer && reachesInput(value)) break;
    }
    return this.folded(value);
  }

  define(value: Value, ref: Ref): void {
    this.#scope.values.set(value, ref);
  }

  /** Notes that `value` is needed: results nothing needs are left out. */
  use(value: Value): void {
    this.#used.add(value);
  }

  isUsed(value: Value): boolean {
    return this.#used.has(value);
  }

  /** The initialiser of a value made of parameters and constants by moving elements alone, in axis order `perm` if given. */
  folded(value: Value, order?: readonly number[], form?: readonly number[]): Ref | undefined {
    if (!this.#host.has(value)) return undefined;
    const { dtype, shape: declared } = value.type as TensorType & { readonly shape: readonly number[] };
    const perm = order?.some((axis, i) => axis !== i) ? order : undefined;
    const ordered = perm ? perm.map((axis) => declared[axis]!) : declared;
    const shape = form && !sameShape(form, ordered) ? form : undefined;
    return this.once(foldableKey(value, perm, shape), () => {
      const name = this.#host.nameOf(value, perm !== undefined || shape !== undefined);
      const read = () => this.#host.read(value, perm, shape);
      return this.#initializer(
        { dtype, shape: shape ?? ordered },
        name ?? this.arena.hintOf(value).name ?? "constant",
        read,
      );
    });
  }

  isFoldable(value: Value): boolean {
    return this.#host.has(value);
  }

  #initializer(type: TensorType, wanted: string, read: () => HostTensor): Ref {
    const ref = new Ref(type);
    ref.wanted = wanted;
    this.initializers.push({ ref, read });
    return ref;
  }

  /** A constant tensor; equal ones are one initialiser. */
  constant(dtype: DType, dims: readonly number[], values: readonly number[], wanted = "constant"): Ref {
    const key = `#${dtype}[${dims.join()}]${values.map((value) => (Object.is(value, -0) ? "-0" : value)).join()}`;
    let ref = this.#constants.get(key);
    if (!ref)
      this.#constants.set(
        key,
        (ref = this.#initializer({ dtype, shape: dims }, wanted, () => fromNumbers(dtype, dims, values))),
      );
    return ref;
  }

  /** An initialiser of its own. */
  tensor(tensor: HostTensor, wanted: string): Ref {
    return this.#initializer({ dtype: tensor.dtype, shape: tensor.dims }, wanted, () => tensor);
  }

  /** Makes a constant once per model. */
  once(key: string, make: () => Ref): Ref {
    let ref = this.#constants.get(key);
    if (!ref) this.#constants.set(key, (ref = make()));
    return ref;
  }

  scalar(dtype: DType, value: number): Ref {
    return this.constant(dtype, [], [value]);
  }

  /** A rank-1 i64 constant, as axes and shapes are given. */
  indices(values: readonly number[]): Ref {
    return this.constant("i64", [values.length], values, "indices");
  }

  /** Several dimensions as one rank-1 i64 tensor. */
  vector(dims: readonly Dim[]): Ref {
    return this.shapes.vector(dims);
  }
}
