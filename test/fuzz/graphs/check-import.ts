import { decodeModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { exportGraph } from "../../../src/backends/onnx/export.ts";
import { importModel } from "../../../src/backends/onnx/import/import.ts";
import { compareOutputs } from "../../../src/backends/ort/compare-outputs.ts";
import type { Compiled } from "../../../src/compile.ts";
import { everyNode } from "../../../src/ir/cost.ts";
import type { HostTensor } from "../../../src/ir/tensor.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { reference } from "../../../src/reference.ts";
import type { Report } from "../../pipeline/support/differential.ts";

function imported(file: Uint8Array) {
  const { graph, arena, tensors } = importModel(decodeModel(file));
  verifyGraph(graph, { arena });
  return { graph, arena, weights: tensors };
}

/** Constants of a file are rounded to f32. */
const strict = { absolute: 1e-5, relative: 1e-5 };

/**
 * A file of ours is read as a graph that verifies and gives, in float64, what the compiled graph gives; written
 * again, it can be read again.
 */
export function checkImport(
  bytes: Uint8Array,
  { graph, target, weights }: Compiled,
  feeds: ReadonlyMap<string, HostTensor> | undefined,
  say: Report,
): void {
  const read = imported(bytes);
  const { model: written } = encodeModel(exportGraph(read.graph, { ...read, target }));
  imported(written);
  if (!feeds || everyNode(read.graph).some(({ op }) => op === "opaque")) return;
  const { equal, outputs } = compareOutputs(
    reference(graph, feeds, weights),
    reference(read.graph, feeds, read.weights),
    strict,
  );
  if (!equal)
    say(`imported, ${outputs.map(({ name, maxAbsError }) => `${name} differs by ${maxAbsError}`).join(", ")}`);
}
