import type { ImportedModel } from "./backends/onnx/import/import.ts";
import { transposedTensor } from "./backends/typescript/christen.ts";
import { type Decompiled, decompile } from "./backends/typescript/decompile.ts";
import { bindWeights } from "./backends/weights/bind-weights.ts";
import { type Declared, paramsOf, resolveTarget } from "./compile.ts";
import { constantRuntime } from "./constant-runtime.ts";
import type { HostTensor } from "./ir/tensor.ts";
import { canonicalise } from "./passes/canonicalise.ts";
import { fuseActivation } from "./passes/fuse-activation.ts";
import { fuseAttention } from "./passes/fuse-attention.ts";
import { fuseNorm } from "./passes/fuse-norm.ts";
import { fusePosition } from "./passes/fuse-position.ts";
import { defaultPassOptions } from "./passes/pass.ts";
import { runPipeline } from "./passes/pipeline.ts";

/** What finds the functions a person would have written: one spelling of everything, then what has a name of its own. */
const recovering = [canonicalise, fusePosition, fuseAttention, fuseNorm, fuseActivation, canonicalise];

/** Fusions for the sake of a kernel, which compiling makes again. */
const kernels = ["skip-layer-norm", "skip-rms-norm", "bias-gelu"];

/** A model as source, and the tensors it names. */
export type Recovered = Pick<Decompiled, "source" | "tensors">;

/** The source of a model that was a file: attention, norms and layers found, its tensors by the names the source has. */
export async function recover(model: ImportedModel, name: string, comment: string): Promise<Recovered> {
  const { arena, tensors: stored } = model;
  const declared: Declared = { graph: model.graph, arena };
  const target = resolveTarget({}, declared.graph);
  const weights = bindWeights(paramsOf(model.graph), stored);
  const options = { ...defaultPassOptions, without: new Set(kernels) };
  const cx = { arena, target, dims: new Map(), weights, runtime: constantRuntime(arena), options };
  const { graph } = await runPipeline(model.graph, recovering, cx);
  const decompiled = decompile({ ...graph, name }, arena, { comment, exported: true });
  const tensors = new Map<string, HostTensor>(decompiled.tensors);
  for (const param of paramsOf(graph)) tensors.set(param.name, weights.read(param.name));
  for (const [to, { from, transposed }] of decompiled.renamed) {
    const tensor = weights.read(from);
    tensors.delete(from);
    tensors.set(to, transposed ? transposedTensor(tensor) : tensor);
  }
  return { source: decompiled.source, tensors };
}
