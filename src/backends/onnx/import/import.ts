import { Arena, graphOf } from "../../../ir/arena.ts";
import { symbolsFromAround } from "../../../ir/binding.ts";
import { fail } from "../../../ir/diagnostics.ts";
import { type Dim, show, substitute } from "../../../ir/dim.ts";
import type { Graph } from "../../../ir/graph.ts";
import { inFile, readModel } from "../decode.ts";
import { newestOpset, oldestOpset } from "../opsets.ts";
import { isTensorInfo, type OnnxGraph, type OnnxModel, type OnnxValueInfo } from "../schema.ts";
import { dtypeName } from "../tensor-data.ts";
import { FileTensors } from "./file-tensors.ts";
import { inlineFunctions } from "./functions.ts";
import { type Imported, ofValue } from "./imported.ts";
import { isUntyped } from "./opaque.ts";
import { convertNodes, type Importer, Scope } from "./scope.ts";
import { withoutSparse } from "./sparse.ts";
import { Equated, type Found, Symbols, Unbound } from "./symbols.ts";

/** A model that was a file: a graph in its arena, the file's tensors as weights, and what is worth knowing about it. */
export interface ImportedModel {
  readonly graph: Graph;
  readonly arena: Arena;
  readonly tensors: FileTensors;
  /** Dimensions that are taken to be equal, since the file does not run where they are not (or stretches one of them). */
  readonly equal: readonly { readonly name: string; readonly dim: Dim }[];
  /** Operators left as they are: how many of each, and why. */
  readonly opaque: readonly { readonly operator: string; readonly reason: string; readonly count: number }[];
  /** What the file says of itself that is not so. */
  readonly warnings: readonly string[];
}

/** Equations, and sizes to ask for, are found one after the other; each is worth a new start. */
const startLimit = 200;

/**
 * Reads a model into the IR. Operators the IR has ops for become ours; all others stay as they are in `opaque` nodes,
 * in order and with their operands, and are run by the runtime alone. Shapes computed from shapes become dimensions.
 *
 * Throws QKV402 for graphs that are no graphs (cycles, missing or repeated names, no outputs or outputs of another type
 * than declared), QKV404 and QKV409 for sparse tensors, QKV408 for functions that call themselves, QKV418 for inputs,
 * outputs and sparse tensors of types that are not ours.
 */
export function importModel(model: OnnxModel): ImportedModel {
  const { graph, versions } = inlineFunctions(withoutSparse(model));
  const own = new Map(model.opsetImports.map(({ domain, version }) => [domain, version]));
  const equal = new Map<string, Dim>();
  const asked = new Set<string>();
  for (let start = 0; start < startLimit; start++)
    try {
      const read = once(graph, { versionsOf: (node) => versions.get(node) ?? own }, { equal, asked });
      return { ...read, warnings: [...ageOf(own.get("")), ...read.warnings] };
    } catch (error) {
      if (error instanceof Unbound) for (const name of error.names) asked.add(name);
      else if (error instanceof Equated) {
        const found = new Map([[error.symbol, error.dim]]);
        for (const [name, dim] of equal) equal.set(name, substitute(dim, found));
        equal.set(error.symbol, error.dim);
      } else throw error;
    }
  return fail("QKV409", `${startLimit} dimensions have to be equal for this model to run`);
}

/** The same of the file at `path`, which mistakes found in it name. Throws as `readModel` does besides. */
export const importFile = (path: string): ImportedModel => inFile(path, () => importModel(readModel(path)));

const ageOf = (opset = newestOpset): readonly string[] =>
  opset >= oldestOpset
    ? []
    : [`the file is of opset ${opset}: operators may have meant another thing before opset ${oldestOpset}`];

function once(graph: OnnxGraph, { versionsOf }: Pick<Importer, "versionsOf">, found: Found): ImportedModel {
  const arena = new Arena();
  const symbols = new Symbols(found);
  const weights = new FileTensors();
  const warnings: string[] = [];
  const reasons = new Map<string, number>();
  const importer: Importer = {
    arena,
    symbols,
    weights,
    versionsOf,
    left: (operator, reason) =>
      reasons.set(JSON.stringify([operator, reason]), (reasons.get(JSON.stringify([operator, reason])) ?? 0) + 1),
    warn: (text) => warnings.push(text),
  };
  const scope = new Scope(importer, undefined, graph);
  const stored = new Set(graph.initializers.map(({ name }) => name));
  const inputs = graph.inputs.flatMap((info) => (stored.has(info.name) ? [] : [declare(info, importer)]));
  inputs.forEach(({ name, value }) => scope.define(name, ofValue(value)));
  convertNodes(scope, graph);
  if (graph.outputs.length === 0) fail("QKV402", "the graph has no outputs");
  const outputs = graph.outputs.map(({ name }) => {
    const entry = scope.resolve(name, `the output "${name}"`);
    if (isUntyped(entry)) return fail("QKV418", `the output "${name}" has no type of ours: ${entry.why}`);
    return [name, entry.value()] as const;
  });
  for (const info of graph.outputs) compareDeclared(info, scope.resolve(info.name, info.name) as Imported, importer);
  const read = graphOf(
    graph.name || "graph",
    inputs.map(({ value }) => value),
    outputs,
  );
  symbols.verifyBound(symbolsFromAround(read));
  return {
    graph: read,
    arena,
    tensors: weights,
    equal: [...found.equal].map(([name, dim]) => ({ name, dim })),
    opaque: [...reasons].map(([text, count]) => {
      const [operator, reason] = JSON.parse(text) as [string, string];
      return { operator, reason, count };
    }),
    warnings,
  };
}

function declare(info: OnnxValueInfo, { arena, symbols }: Importer) {
  const { name } = info;
  if (!isTensorInfo(info) || typeof info.dtype === "number")
    return fail(
      "QKV418",
      `the input "${name}" is ${isTensorInfo(info) ? `a tensor of ${dtypeName(info.dtype)}` : "no tensor"}`,
      {
        help: "inputs are tensors of f64, f32, f16, bf16, i64, i32, i8, u8 or bool",
      },
    );
  if (!info.shape) return fail("QKV418", `the file does not say how many axes the input "${name}" has`);
  const shape = info.shape.map((dim, axis) => symbols.declared(dim, `${name}.${axis}`));
  const value = arena.build.input({ name, dtype: info.dtype, shape });
  arena.hint(value, { name });
  return { name, value };
}

/**
 * Notes where the file says another shape of a result than follows from its operators. Throws QKV402 for another type:
 * no runtime takes it.
 */
function compareDeclared(info: OnnxValueInfo, { type }: Imported, { warn }: Importer): void {
  if (!isTensorInfo(info)) return;
  const declared = `${dtypeName(info.dtype)}[${info.shape?.map((dim) => String(dim ?? "?")).join(", ") ?? "…"}]`;
  const contradiction = `the file says that "${info.name}" is ${declared}; it is ${type.dtype}[${type.shape.map(show).join(", ")}]`;
  if (info.dtype !== type.dtype) fail("QKV402", contradiction);
  const differs =
    info.shape !== undefined &&
    (info.shape.length !== type.shape.length ||
      info.shape.some(
        (dim, i) => typeof dim === "number" && typeof type.shape[i] === "number" && dim !== type.shape[i],
      ));
  if (differs) warn(contradiction);
}
