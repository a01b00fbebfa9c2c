import { decodeModel } from "../../../src/backends/onnx/decode.ts";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { exportGraph } from "../../../src/backends/onnx/export.ts";
import { importModel } from "../../../src/backends/onnx/import/import.ts";
import { compareOutputs } from "../../../src/backends/ort/compare-outputs.ts";
import { type Compiled, compile } from "../../../src/compile.ts";
import { symbolsIn } from "../../../src/feeds.ts";
import { everyNode } from "../../../src/ir/cost.ts";
import { sameGraph } from "../../../src/ir/equal.ts";
import type { Graph, Node } from "../../../src/ir/graph.ts";
import { printGraph } from "../../../src/ir/print.ts";
import type { HostTensor } from "../../../src/ir/tensor.ts";
import { verifyGraph } from "../../../src/ir/verify.ts";
import { reference } from "../../../src/reference.ts";
import { normalForm } from "../../backends/typescript/support/normal-form.ts";
import type { Report } from "../../pipeline/support/differential.ts";

function imported(file: Uint8Array) {
  const { graph, arena, tensors } = importModel(decodeModel(file));
  verifyGraph(graph, { arena });
  return { graph, arena, weights: tensors };
}

/** Kernels clear rows whose keys are all hidden; the number their mask says it by hides nothing by itself. */
const clearsRows = ({ op, operands }: Node): boolean =>
  (op === "attention" || op === "packedAttention") && operands.slice(3).some(({ type }) => type.dtype === "bool");

/** Operators that are kept name what they read and the sizes they bind, and names may change. */
const keepsOperators = (graph: Graph): boolean => everyNode(graph).some(({ op }) => op === "opaque");

function firstDifference(a: Graph, b: Graph): string {
  const [left, right] = [a, b].map((graph) => printGraph(graph).split("\n")) as [string[], string[]];
  const at = left.findIndex((line, i) => line !== right[i]);
  return `${left[at]?.trim()} became ${right[at]?.trim()}`;
}

/** Constants of a file are rounded to f32. */
const strict = { absolute: 1e-5, relative: 1e-5 };

type Imported = ReturnType<typeof imported>;

/** What a graph is up to identities of arithmetic and movement, and to the names of its weights. */
async function simplified({ graph, arena, weights }: Imported): Promise<Graph> {
  const compiled = await compile({ graph, arena, tensors: weights }, { passes: simplify });
  const names = everyNode(compiled.graph).flatMap(({ op, attrs }) =>
    op === "param" ? [String(attrs.get("name"))] : [],
  );
  return normalForm(compiled.graph, new Map(names.map((name) => [name, compiled.weights.read(name)])));
}

const simplify = ["canonicalise", "fold-constants", "canonicalise"];

/**
 * A file of ours is read as a graph that verifies and gives, in float64, what the compiled graph gives; written and read
 * again, it stays what it is.
 */
export async function checkImport(
  bytes: Uint8Array,
  { graph, target, weights }: Compiled,
  feeds: ReadonlyMap<string, HostTensor> | undefined,
  say: Report,
): Promise<void> {
  const read = imported(bytes);
  // Where no length is known, each writing puts another choice of kernels into the branches of the last.
  const dims = new Map(symbolsIn(read.graph).map((name) => [name, 64]));
  const again = (from: Imported) => imported(encodeModel(exportGraph(from.graph, { ...from, target, dims })).model);
  const second = again(read);
  const [once, twice] = [await simplified(second), await simplified(again(second))];
  if (!keepsOperators(once) && !sameGraph(once, twice))
    say(`written and read twice, it is another graph: ${firstDifference(once, twice)}`);
  if (!feeds || keepsOperators(read.graph) || everyNode(graph).some(clearsRows)) return;
  const { equal, outputs } = compareOutputs(
    reference(graph, feeds, weights),
    reference(read.graph, feeds, read.weights),
    strict,
  );
  if (!equal)
    say(`imported, ${outputs.map(({ name, maxAbsError }) => `${name} differs by ${maxAbsError}`).join(", ")}`);
}
