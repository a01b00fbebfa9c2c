import type { Arena, Build } from "../../../ir/arena.ts";
import { type Dim, isStatic, show } from "../../../ir/dim.ts";
import type { DType } from "../../../ir/dtype.ts";
import { isDType } from "../../../ir/dtype.ts";
import type { Value } from "../../../ir/graph.ts";
import { axisIn } from "../../../ir/ops/shape-rules.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../../ir/tensor.ts";
import type { OnnxAttribute, OnnxGraph, OnnxNode, OnnxTensor } from "../schema.ts";
import { dtypeOf } from "../tensor-data.ts";
import type { FileTensors } from "./file-tensors.ts";
import type { Imported } from "./imported.ts";
import type { Symbols } from "./symbols.ts";
import { unmodelled } from "./unmodelled.ts";

/** What a conversion gives: one tensor per result; undefined for results that are left out. */
export type Converted = Imported | Value | readonly (Imported | Value | undefined)[];
/** Says a node in our ops. Throws `Unmodelled` where that is not exactly possible; broken constraints (QKV210) mean the same. */
export type Conversion = (cx: NodeContext) => Converted;

/** A graph the node holds, said in our ops: its results, and what it reads of the graph around as inputs of its own. */
export interface Branch {
  readonly results: readonly Imported[];
  readonly captured: readonly { readonly inner: Value; readonly outer: Value }[];
}

/** One node of the file as conversions see it. */
export class NodeContext {
  readonly arena: Arena;
  readonly node: OnnxNode;
  /** Version of the operator set the node is of. */
  readonly opset: number;
  readonly inputs: readonly (Imported | undefined)[];
  readonly symbols: Symbols;
  /** Converts a graph the node holds and answers its results: a branch that is always taken. */
  readonly inline: (graph: OnnxGraph) => readonly Imported[];
  /** Converts a graph the node holds, to stand by itself. */
  readonly branch: (graph: OnnxGraph) => Branch;
  /** A tensor of the file in memory. */
  readonly host: (tensor: OnnxTensor) => HostTensor;
  /** The file's trained tensors. */
  readonly weights: FileTensors;

  constructor(
    parts: Pick<
      NodeContext,
      "arena" | "node" | "opset" | "inputs" | "symbols" | "inline" | "branch" | "host" | "weights"
    >,
  ) {
    this.arena = parts.arena;
    this.node = parts.node;
    this.opset = parts.opset;
    this.inputs = parts.inputs;
    this.symbols = parts.symbols;
    this.inline = parts.inline;
    this.branch = parts.branch;
    this.host = parts.host;
    this.weights = parts.weights;
  }

  get b(): Build {
    return this.arena.build;
  }

  /** Whether the optional operand is there. */
  has(i: number): boolean {
    return this.inputs[i] !== undefined;
  }

  operand(i: number): Imported {
    return this.inputs[i] ?? unmodelled(`operand ${i + 1} is missing`);
  }

  value(i: number): Value {
    return this.operand(i).value();
  }

  /** All operands there are, none left out. */
  values(): readonly Value[] {
    return this.inputs.map((_, i) => this.value(i));
  }

  /** Elements of an integer operand as dimensions; undefined where only a run tells them. */
  contents(i: number): readonly Dim[] | undefined {
    return this.inputs[i]?.contents;
  }

  /** Elements of an integer operand that are numbers already; undefined where some are not. */
  numbersOrUndefined(i: number): readonly number[] | undefined {
    const contents = this.inputs[i]?.contents;
    return contents?.every(isStatic) ? contents : undefined;
  }

  numbers(i: number): readonly number[] {
    this.operand(i);
    return this.numbersOrUndefined(i) ?? unmodelled(`operand ${i + 1} is known at run time only`);
  }

  /** The elements of an operand that is a constant; undefined where it is none. */
  constantsOrUndefined(i: number): readonly number[] | undefined {
    const { contents, value } = this.operand(i);
    if (contents?.every(isStatic)) return contents;
    const { op, attrs } = value().node;
    if (op === "constant") return [...toFloat64(attrs.get("value") as HostTensor)];
    return op === "param" ? [...toFloat64(this.weights.read(attrs.get("name") as string))] : undefined;
  }

  constants(i: number): readonly number[] {
    const { type } = this.operand(i);
    return this.constantsOrUndefined(i) ?? unmodelled(`operand ${i + 1} (${type.dtype}) is no constant`);
  }

  /** The only element of a constant. */
  scalar(i: number): number {
    const elements = this.constants(i);
    return elements.length === 1 ? elements[0]! : unmodelled(`operand ${i + 1} is no single number`);
  }

  #attribute<K extends OnnxAttribute["kind"]>(name: string, kind: K) {
    const found = this.node.attributes.get(name);
    if (found && found.kind !== kind) return unmodelled(`the attribute "${name}" is ${found.kind}, not ${kind}`);
    return found as (OnnxAttribute & { readonly kind: K }) | undefined;
  }

  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    const found = this.#attribute(name, "int");
    return found ? Number(found.value) : fallback;
  }

  flag(name: string, fallback: boolean): boolean {
    return this.int(name, fallback ? 1 : 0) !== 0;
  }

  ints(name: string): readonly number[] | undefined {
    return this.#attribute(name, "ints")?.value.map(Number);
  }

  float(name: string): number | undefined;
  float(name: string, fallback: number): number;
  float(name: string, fallback?: number): number | undefined {
    return this.#attribute(name, "float")?.value ?? fallback;
  }

  floats(name: string): readonly number[] | undefined {
    return this.#attribute(name, "floats")?.value;
  }

  text(name: string, fallback: string): string {
    return this.#attribute(name, "string")?.value ?? fallback;
  }

  tensor(name: string): OnnxTensor | undefined {
    return this.#attribute(name, "tensor")?.value;
  }

  graph(name: string): OnnxGraph {
    return this.#attribute(name, "graph")?.value ?? unmodelled(`the attribute "${name}" is missing`);
  }

  /** Our element type for the code an attribute gives. */
  dtype(name: string, fallback?: DType): DType {
    const code = this.int(name);
    if (code === undefined) return fallback ?? unmodelled(`the attribute "${name}" is missing`);
    const dtype = dtypeOf(code, `attribute "${name}"`);
    return typeof dtype === "string" && isDType(dtype) ? dtype : unmodelled(`element type ${dtype} is not ours`);
  }

  axis(axis: number, rank: number): number {
    return axisIn(axis, rank) ?? unmodelled(`axis ${axis} does not fit rank ${rank}`);
  }

  /** Sizes of an operand that is not read itself. */
  sizes(dims: readonly Dim[]): readonly Dim[] {
    return this.symbols.areAsked(dims)
      ? unmodelled("nothing that is read has its sizes, which only a run tells")
      : dims;
  }

  /** What an attribute said before it became an operand. */
  intsOrOperand(name: string, i: number, operandSince: number): readonly number[] | undefined {
    if (this.opset < operandSince) return this.ints(name);
    return this.has(i) ? this.numbers(i) : undefined;
  }

  isUsed(result: number): boolean {
    return (this.node.outputs[result] ?? "") !== "";
  }

  /** Notes that two dimensions are equal, as the file needs them to be for it to run. */
  same(a: Dim, b: Dim): void {
    if (!this.symbols.equate(a, b)) unmodelled(`it is not known that ${show(a)} and ${show(b)} are equal`);
  }

  constant(dtype: DType, dims: readonly number[], values: ArrayLike<number>): Value {
    return this.b.constant({ value: fromNumbers(dtype, dims, values) });
  }
}
