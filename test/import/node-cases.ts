import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeTensor, readModel } from "../../src/backends/onnx/decode.ts";
import { hostOf } from "../../src/backends/onnx/import/file-tensors.ts";
import { type ImportedModel, importModel } from "../../src/backends/onnx/import/import.ts";
import { isTensorInfo, type OnnxModel, type OnnxValueInfo } from "../../src/backends/onnx/schema.ts";
import { compareOutputs } from "../../src/backends/ort/compare-outputs.ts";
import { type CompileOptions, compile } from "../../src/compile.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { type HostTensor, tensorBytes } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";

/** What became of one of the ONNX project's node tests. */
export interface Outcome {
  /**
   * `modelled`: said in our ops alone, and the stored outputs came out. `kept`: some operators stay as they are, and the
   * stored outputs came out. `left`: nothing to compare. `failed`: other outputs, or an error.
   */
  readonly kind: "modelled" | "kept" | "left" | "failed";
  readonly reason?: string;
}

type Tensors = ReadonlyMap<string, HostTensor>;

export interface CaseOptions {
  readonly variants?: readonly CompileOptions[];
  /** Lists of integers among the inputs become constants. */
  readonly constants?: boolean;
}

/** Whether all values are tensors of element types we have. */
const isOurs = (infos: readonly OnnxValueInfo[]): boolean =>
  infos.every((info) => isTensorInfo(info) && typeof info.dtype === "string" && info.dtype !== "bf16");

function stored(folder: string, role: "input" | "output", infos: readonly OnnxValueInfo[]): Tensors {
  const path = (i: number) => join(folder, "test_data_set_0", `${role}_${i}.pb`);
  return new Map(
    infos.flatMap(({ name }, i) => (existsSync(path(i)) ? [[name, hostOf(decodeTensor(readFileSync(path(i))))]] : [])),
  );
}

const textOf = (error: unknown): string =>
  error instanceof QkvError ? `${error.code} ${error.message}` : String(error);

/** Undefined where the runtime runs the file itself to the stored outputs, else what it does instead. */
async function runtimeFault(model: OnnxModel, inputs: Tensors, outputs: Tensors): Promise<string | undefined> {
  try {
    const { equal } = compareOutputs(outputs, await runModel(model, inputs, { level: "disabled", threads: 1 }));
    return equal ? undefined : "the runtime gives other outputs";
  } catch (error) {
    return `the runtime does not run it: ${textOf(error).slice(0, 160)}`;
  }
}

/** The model with its lists of integers as they are in a run: what they say is known then. */
export function withConstants(model: OnnxModel, inputs: Tensors): OnnxModel {
  const { graph } = model;
  const known = graph.inputs.flatMap(({ name }, i) => {
    const tensor = inputs.get(name);
    const listed = tensor && i > 0 && tensor.dims.length <= 1 && (tensor.dtype === "i64" || tensor.dtype === "i32");
    return listed ? [{ name, dtype: tensor.dtype, dims: tensor.dims, bytes: tensorBytes(tensor) }] : [];
  });
  const names = new Set(known.map(({ name }) => name));
  const open = graph.inputs.filter(({ name }) => !names.has(name));
  return { ...model, graph: { ...graph, inputs: open, initializers: [...graph.initializers, ...known] } };
}

/** Runs a node test through import, naive and optimised. */
export async function runCase(
  folder: string,
  { variants = [{ naive: true }, {}], constants = true }: CaseOptions = {},
): Promise<Outcome> {
  const read = readModel(join(folder, "model.onnx"));
  const { graph } = read;
  if (!isOurs([...graph.inputs, ...graph.outputs]))
    return { kind: "left", reason: "its inputs or outputs are no tensors of ours" };
  const [inputs, outputs] = [stored(folder, "input", graph.inputs), stored(folder, "output", graph.outputs)];
  const model = constants ? withConstants(read, inputs) : read;
  const feeds = new Map([...inputs].filter(([name]) => model.graph.inputs.some((info) => info.name === name)));
  let imported: ImportedModel | undefined;
  try {
    imported = importModel(model);
    for (const variant of variants) {
      const { onnx } = await compile(imported, variant);
      const { equal, maxAbsError } = compareOutputs(outputs, await runModel(onnx(), feeds, { threads: 1 }));
      if (!equal) throw new Error(`${JSON.stringify(variant)} is off by ${maxAbsError}`);
    }
    return {
      kind: imported.opaque.length === 0 ? "modelled" : "kept",
      ...(imported.opaque[0] && { reason: `${imported.opaque[0].operator}: ${imported.opaque[0].reason}` }),
    };
  } catch (error) {
    const kept = imported?.opaque.map(({ operator, reason }) => `${operator}: ${reason}`).join("; ") ?? "";
    if (error instanceof QkvError && error.code === "QKV466") return { kind: "left", reason: error.message };
    const fault = kept !== "" || !imported ? await runtimeFault(read, inputs, outputs) : undefined;
    if (fault) return { kind: "left", reason: `${fault} (${kept})` };
    return { kind: "failed", reason: `${textOf(error)} ${kept}` };
  }
}

/** Names of the tests in a folder of them. */
export const casesIn = (folder: string): readonly string[] =>
  readdirSync(folder).filter((name) => existsSync(join(folder, name, "model.onnx")));
