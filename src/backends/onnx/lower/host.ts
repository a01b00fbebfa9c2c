import { attrsOf } from "../../../ir/arena.ts";
import { fail, invariant } from "../../../ir/diagnostics.ts";
import type { Dim } from "../../../ir/dim.ts";
import { allocate, type TypedArray } from "../../../ir/dtype.ts";
import type { Node, Value } from "../../../ir/graph.ts";
import { castTensor, elementCount, fromNumbers, type HostTensor, hostTensor } from "../../../ir/tensor.ts";
import { showShape } from "../../../ir/types.ts";

/** Where parameters come from. */
export interface WeightReader {
  read(name: string): HostTensor;
}

export const foldableKey = (value: Value, perm?: readonly number[], shape?: readonly number[]): string =>
  `${value.node.id}${perm ? `p${perm.join()}` : ""}${shape ? `s${shape.join()}` : ""}`;

/**
 * Values made of parameters and constants by moving elements alone: their bytes are brought into place while the model
 * is written. Arithmetic on weights is not done here but by the constant-folding pass.
 */
export class HostValues {
  readonly #weights: WeightReader;
  readonly #known = new Map<Node, boolean>();

  constructor(weights: WeightReader) {
    this.#weights = weights;
  }

  has(value: Value): boolean {
    const chain: Node[] = [];
    let node: Node | undefined = value.node;
    let foldable = false;
    while (node) {
      const known = this.#known.get(node);
      if (known !== undefined) {
        foldable = known;
        break;
      }
      chain.push(node);
      foldable = isLeaf(node);
      node = isMove(node) ? node.operands[0]!.node : undefined;
    }
    for (const each of chain) this.#known.set(each, foldable);
    return foldable;
  }

  /** What the tensor of `value` is called: as the parameter it comes from, if any. */
  nameOf(value: Value, moved: boolean): string | undefined {
    let { node } = value;
    let still = !moved;
    for (; isMove(node); node = node.operands[0]!.node) still = false;
    if (node.op === "iota") return "iota";
    if (node.op !== "param") return undefined;
    const { name } = attrsOf(node, "param");
    return still ? name : `${name}/moved`;
  }

  /** The tensor of `value`, its axes then reordered by `perm`, then seen as `shape`. Throws QKV463. */
  read(value: Value, perm?: readonly number[], shape?: readonly number[]): HostTensor {
    const moves: Node[] = [];
    let { node } = value;
    for (; isMove(node); node = node.operands[0]!.node) moves.push(node);
    let tensor = this.#leaf(node);
    for (const move of moves.reverse())
      tensor =
        move.op === "transpose"
          ? transposeTensor(tensor, attrsOf(move, "transpose").perm)
          : hostTensor(tensor.dtype, move.results[0]!.type.shape as readonly number[], tensor.data);
    if (perm) tensor = transposeTensor(tensor, perm);
    return shape ? hostTensor(tensor.dtype, shape, tensor.data) : tensor;
  }

  #leaf(node: Node): HostTensor {
    if (node.op === "param") return this.#param(node);
    if (node.op === "constant") return attrsOf(node, "constant").value;
    invariant(node.op === "iota", `${node.op} is no constant`);
    const { size, dtype } = attrsOf(node, "iota");
    const values = Float64Array.from({ length: Number(size) }, (_, i) => i);
    return fromNumbers(dtype, [values.length], values);
  }

  #param(node: Node): HostTensor {
    const { name, dtype, shape } = attrsOf(node, "param");
    const tensor = this.#weights.read(name);
    if (tensor.dims.length !== shape.length || tensor.dims.some((dim, axis) => dim !== shape[axis]))
      fail("QKV463", `the weight "${name}" is ${showShape(tensor.dims)}, the model declares ${showShape(shape)}`);
    return castTensor(tensor, dtype);
  }
}

const isLeaf = (node: Node): boolean =>
  node.op === "param" || node.op === "constant" || (node.op === "iota" && isShort(node.results[0]!.type.shape[0]!));

/** Longer counts are left to the runtime, as those of symbolic length are. */
const isShort = (size: Dim): boolean => typeof size === "number" && size <= 2 ** 20;

const isMove = (node: Node): boolean =>
  node.op === "transpose" ||
  (node.op === "reshape" && node.results[0]!.type.shape.every((dim) => typeof dim === "number"));

/** The tensor with axis i of the result being axis `perm[i]` of the argument. */
function transposeTensor(tensor: HostTensor, perm: readonly number[]): HostTensor {
  const { dims, data, dtype } = tensor;
  const outDims = perm.map((axis) => dims[axis]!);
  const moving = perm.filter((axis) => dims[axis] !== 1);
  if (moving.every((axis, i) => i === 0 || axis > moving[i - 1]!)) return hostTensor(dtype, outDims, data);
  const strides = dims.map((_, axis) => elementCount(dims.slice(axis + 1)));
  const out = allocate(dtype, data.length);
  copyStrided(
    data,
    out,
    outDims,
    perm.map((axis) => strides[axis]!),
  );
  return hostTensor(dtype, outDims, out);
}

/** Copies with the last two axes in tiles, so that both sides stay within the cache. */
function copyStrided(from: TypedArray, to: TypedArray, dims: readonly number[], strides: readonly number[]): void {
  const rank = dims.length;
  const [rows, columns] = [dims[rank - 2]!, dims[rank - 1]!];
  const [rowStride, columnStride] = [strides[rank - 2]!, strides[rank - 1]!];
  const outer = dims.slice(0, -2);
  const index = outer.map(() => 0);
  let base = 0;
  for (let at = 0; at < to.length; at += rows * columns) {
    for (let r0 = 0; r0 < rows; r0 += tile)
      for (let c0 = 0; c0 < columns; c0 += tile) {
        const [r1, c1] = [Math.min(r0 + tile, rows), Math.min(c0 + tile, columns)];
        for (let r = r0; r < r1; r++)
          for (let c = c0; c < c1; c++) to[at + r * columns + c] = from[base + r * rowStride + c * columnStride]!;
      }
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      base += strides[axis]!;
      if (++index[axis]! < outer[axis]!) break;
      base -= strides[axis]! * outer[axis]!;
      index[axis] = 0;
    }
  }
}

const tile = 32;
