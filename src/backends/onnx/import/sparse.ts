import { fail } from "../../../ir/diagnostics.ts";
import { tensorBytes } from "../../../ir/tensor.ts";
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxSparseTensor, OnnxTensor } from "../schema.ts";
import { dtypeName, storageBytes } from "../tensor-data.ts";
import { hostOf } from "./file-tensors.ts";
import { withGraphs } from "./functions.ts";

/** Bytes the sparse tensors of a model may take when they are written out. */
const byteLimit = 2 ** 31;

/**
 * The model with its sparse tensors written out, zeros and all: those a graph stores and those of `Constant`.
 * Throws QKV404 for values and indices that do not fit, QKV409 beyond 2 GiB together, QKV418 for elements of types that
 * are not ours.
 */
export function withoutSparse(model: OnnxModel): OnnxModel {
  let left = byteLimit;
  const written = (sparse: OnnxSparseTensor): OnnxTensor => {
    left -= storageBytes(sparse.values.dtype, sparse.dims, whereOf(sparse));
    if (left < 0) fail("QKV409", `sparse tensors have more than ${byteLimit} bytes with their zeros`);
    return writtenOut(sparse);
  };
  const inNode = (node: OnnxNode): OnnxNode => {
    const sparse = node.opType === "Constant" && node.domain === "" ? node.attributes.get("sparse_value") : undefined;
    if (sparse?.kind !== "sparseTensor") return withGraphs(node, inGraph);
    return { ...node, attributes: new Map([["value", { kind: "tensor", value: written(sparse.value) }]]) };
  };
  const inGraph = ({ sparseInitializers = [], ...graph }: OnnxGraph): OnnxGraph => ({
    ...graph,
    initializers: [...graph.initializers, ...sparseInitializers.map(written)],
    nodes: graph.nodes.map(inNode),
  });
  const functions = model.functions?.map((fn) => ({ ...fn, nodes: fn.nodes.map(inNode) }));
  return { ...model, graph: inGraph(model.graph), ...(functions && { functions }) };
}

const whereOf = ({ values: { name } }: OnnxSparseTensor): string => `the sparse tensor "${name}"`;

/** Values [n] at indices [n] of the row-major elements, or at [n, rank] (SparseTensorProto in onnx.proto). */
function writtenOut(sparse: OnnxSparseTensor): OnnxTensor {
  const { values, dims } = sparse;
  const { name, dtype, dims: valueDims } = values;
  const where = whereOf(sparse);
  const [count, ...more] = valueDims;
  if (count === undefined || more.length > 0) fail("QKV404", `${where} has values of ${valueDims.length} axes, not 1`);
  if (typeof dtype === "number") return fail("QKV418", `${where} has elements of ${dtypeName(dtype)}`);
  const width = storageBytes(dtype, [1], where);
  const stored = tensorBytes(hostOf(values));
  const bytes = new Uint8Array(storageBytes(dtype, dims, where));
  placesOf(sparse, count).forEach((place, i) => {
    bytes.set(stored.subarray(i * width, (i + 1) * width), place * width);
  });
  return { name, dtype, dims, bytes };
}

/** Where the values go among the elements. */
function placesOf(sparse: OnnxSparseTensor, count: number): readonly number[] {
  const { indices, dims } = sparse;
  const where = whereOf(sparse);
  const [first, axes = 1, ...more] = indices.dims;
  const isLinear = indices.dims.length === 1;
  if (indices.dtype !== "i64" || first !== count || more.length > 0 || !(isLinear || axes === dims.length))
    fail("QKV404", `${where} has ${count} values and indices ${dtypeName(indices.dtype)}[${indices.dims.join(", ")}]`, {
      help: `indices are i64[${count}] or i64[${count}, ${dims.length}]`,
    });
  const numbers = Array.from(hostOf(indices).data as BigInt64Array, Number);
  const within = isLinear ? [dims.reduce((product, dim) => product * dim, 1)] : dims;
  const places = Array.from({ length: count }, (_, i) =>
    within.reduce((place, size, axis) => {
      const index = numbers[i * axes + axis]!;
      if (!(index >= 0 && index < size)) fail("QKV404", `${where} has the index ${index} on an axis of ${size}`);
      return place * size + index;
    }, 0),
  );
  if (places.some((place, i) => i > 0 && place <= places[i - 1]!))
    fail("QKV404", `${where} has indices that do not ascend`);
  return places;
}
