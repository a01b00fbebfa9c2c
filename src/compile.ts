import { exportGraph } from "./backends/onnx/export.ts";
import type { ImportedModel } from "./backends/onnx/import/import.ts";
import { carriedOpset } from "./backends/onnx/operator-versions.ts";
import type { OnnxModel } from "./backends/onnx/schema.ts";
import { shieldInputs } from "./backends/onnx/shield-inputs.ts";
import type { ExecutionProvider } from "./backends/ort/session.ts";
import { type BoundWeights, bindWeights } from "./backends/weights/bind-weights.ts";
import type { Checkpoint } from "./backends/weights/checkpoint.ts";
import { randomWeights } from "./backends/weights/random-weights.ts";
import type { ParamSpec, WeightStore } from "./backends/weights/store.ts";
import { constantRuntime } from "./constant-runtime.ts";
import { checkIndices } from "./dsl/lift/index-checks.ts";
import type { Built, Model, Settings } from "./dsl/model.ts";
import { checkDims } from "./feeds.ts";
import { type Arena, attrsOf } from "./ir/arena.ts";
import { everyNode } from "./ir/cost.ts";
import { fail } from "./ir/diagnostics.ts";
import type { Graph, Node } from "./ir/graph.ts";
import { substituteDims } from "./ir/substitute.ts";
import { verifyGraph } from "./ir/verify.ts";
import { type Instrument, type PassStep, verifyEach } from "./passes/instruments.ts";
import { defaultPassOptions, type Pass, type PassOptions } from "./passes/pass.ts";
import { naive, optimise, passesNamed, runPipeline } from "./passes/pipeline.ts";
import { naiveTarget, type Target, targets } from "./passes/target.ts";
import { clearPadding } from "./passes/unpad/clear.ts";
import { type PaddingMask, paddingMaskOf } from "./passes/unpad/padding.ts";
import { version } from "./version.ts";

/** A graph as its author declared it, or as a file has it, in its arena. */
export interface Declared extends Built {
  /** The trained tensors of the file it came from. */
  readonly tensors?: WeightStore;
  /** The file it came from: what it is compared with. */
  readonly file?: string;
  /** What the import of that file took to be equal, and the operators it left as they are. */
  readonly equal?: ImportedModel["equal"];
  readonly opaque?: ImportedModel["opaque"];
}
/** Anything that can be built into a graph: what `model(…)` returns. */
export type Buildable = Pick<Model, "build">;

export interface CompileOptions {
  /** `ort-cpu` (default) or `onnx`. */
  readonly target?: string;
  /** Version of the standard operator set, 17 to 26. Default: the target's. */
  readonly opset?: number;
  /** What will run it. Default `cpu`; others compute in half precision by themselves. */
  readonly ep?: ExecutionProvider;
  /** The graph as declared, nothing optimised. */
  readonly naive?: boolean;
  /** Sizes frozen into the graph. */
  readonly dims?: ReadonlyMap<string, number>;
  /** Sizes to optimise for; the graph stays symbolic in them. */
  readonly hints?: ReadonlyMap<string, number>;
  /** Trained tensors; random ones from `seed` where none are given. A checkpoint's `config.json` gives settings, too. */
  readonly weights?: WeightStore | Checkpoint;
  /** Default 0. */
  readonly seed?: number;
  /** Passes to run instead of the target's pipeline, by name or as they are; `legalise` follows them. */
  readonly passes?: readonly (string | Pass)[];
  /** Both forms behind `If` where the cheaper one depends on a length. */
  readonly dispatch?: boolean;
  /** Name of the input that is the padding mask: what is seen of padded positions from outside is declared to be zero. */
  readonly unpad?: string;
  /** Rules not to apply. */
  readonly without?: ReadonlySet<string>;
  readonly instruments?: readonly Instrument[];
  /** Model parameters, by name. They come before those of a checkpoint. */
  readonly settings?: Settings;
  /** Names of the inputs that runs will give: which optional ones the model has. */
  readonly inputs?: ReadonlySet<string>;
  /** Where the declaration came from, for the file's metadata. */
  readonly source?: string;
}

export interface Compiled {
  /** As declared, dims frozen. */
  readonly declared: Graph;
  /** The padding mask where `declared` has zeros at padding by the option `unpad`. */
  readonly padding: PaddingMask | undefined;
  readonly graph: Graph;
  readonly arena: Arena;
  readonly target: Target;
  readonly steps: readonly PassStep[];
  readonly weights: WeightStore;
  /**
   * Throws QKV148 where an index of a mask or score function leaves its table at these sizes of dims that were not frozen.
   * Undefined where none can.
   */
  readonly checkLengths: ((sizes: ReadonlyMap<string, number>) => void) | undefined;
  /** What is odd about the weights read so far. */
  warnings(): readonly string[];
  /** The graph as an ONNX model. Made when first asked for. */
  onnx(): OnnxModel;
}

/**
 * Runs a declaration through a target's passes. Throws QKV505 for an unknown target, QKV301 for an unknown pass,
 * QKV43x where weights do not fit, QKV148 where an index leaves its table at the sizes given, and what the declaration's
 * own body throws.
 */
export async function compile(model: Buildable | Declared, options: CompileOptions = {}): Promise<Compiled> {
  const source: Declared = "build" in model ? buildFor(model, options) : model;
  const { graph: built, arena, indexChecks = [] } = source;
  const sizes = new Map([...(options.hints ?? []), ...(options.dims ?? [])]);
  checkDims(built, sizes);
  checkIndices(indexChecks, sizes);
  const frozen = substituteDims(arena, built, options.dims ?? new Map());
  const padding = options.unpad === undefined ? undefined : maskNamed(frozen, options.unpad);
  const declared = padding ? clearPadding(frozen, padding, arena) : frozen;
  const verified = new WeakSet<Node>();
  verifyGraph(declared, { arena, verified });
  const target = resolveTarget(options, declared);
  const weights = resolveWeights(declared, options.weights ?? source.tensors, options.seed);
  const passOptions: PassOptions = {
    ...defaultPassOptions,
    dispatch: options.dispatch ?? false,
    without: options.without ?? new Set(),
  };
  const cx = { arena, target, dims: sizes, weights, runtime: constantRuntime(arena), options: passOptions };
  const instruments = [verifyEach((graph) => verifyGraph(graph, { arena, verified })), ...(options.instruments ?? [])];
  const { graph, steps } = await runPipeline(declared, pipelineOf(options), cx, instruments);
  const metadata = new Map([
    ["qkv.source", options.source ?? declared.name],
    ["qkv.target", target.name],
    ["qkv.passes", [...new Set(steps.map(({ pass }) => pass.name))].join(", ")],
  ]);
  let onnx: OnnxModel | undefined;
  const portable = target.contrib || options.naive ? (model: OnnxModel) => model : shieldInputs;
  return {
    declared,
    padding,
    graph,
    arena,
    target,
    steps,
    weights,
    checkLengths:
      indexChecks.length === 0
        ? undefined
        : (more) => checkIndices(indexChecks, new Map([...(options.dims ?? []), ...more])),
    warnings: () => weights.warnings().map(({ message }) => message),
    onnx: () =>
      (onnx ??= portable(
        exportGraph(graph, { arena, target, weights, metadata, dims: sizes, producerVersion: version }),
      )),
  };
}

/** A model as the weights' configuration and the options say. Throws QKV433, QKV438, and what the model's body throws. */
export function buildFor(model: Buildable, { settings, weights, inputs }: CompileOptions): Declared {
  const checkpoint = weights && "config" in weights ? weights : undefined;
  return model.build(settings, { checkpoint, inputs });
}

/** The padding mask of that name. Throws QKV511 for what is none. */
function maskNamed(graph: Graph, name: string): PaddingMask {
  const source = graph.inputs.find(({ node }) => attrsOf(node, "input").name === name);
  const mask = source && paddingMaskOf(source);
  if (mask) return mask;
  const masks = graph.inputs.filter(paddingMaskOf).map(({ node }) => attrsOf(node, "input").name);
  return fail("QKV511", `"${name}" is no input that can be a padding mask of @${graph.name}`, {
    help: masks.length > 0 ? `inputs [batch, length] are ${masks.join(", ")}` : "no input is [batch, length]",
  });
}

function pipelineOf(options: CompileOptions) {
  if (options.passes)
    return [...options.passes, "legalise"].flatMap((pass) => (typeof pass === "string" ? passesNamed([pass]) : [pass]));
  return options.naive ? naive : optimise;
}

/**
 * The target asked for, at the operator set asked for; where none is, at one that has the operators the graph took over from
 * a file. Throws QKV505 for an unknown target, QKV466 where the operator set does not have them.
 */
export function resolveTarget(
  { target: name = "ort-cpu", opset, ep = "cpu", naive: asDeclared }: CompileOptions,
  graph?: Graph,
): Target {
  const of = asDeclared ? naiveTarget : targets.get(name);
  if (!of) fail("QKV505", `there is no target "${name}"`, { help: `choose ${[...targets.keys()].join(", ")}` });
  const make = (version?: number): Target => {
    const made = of(version);
    if (ep === "cpu") return made;
    return { ...made, choices: { ...made.choices, widens: false, holdsUp: false } };
  };
  const target = make(opset);
  const carried = graph ? carriedOpset(graph, target.opset, target.contrib) : target.opset;
  if (carried === target.opset) return target;
  if (opset === undefined) return make(carried);
  return fail("QKV466", `operators of the file mean another thing at opset ${opset}, or do not load there`, {
    help: `use --opset ${carried}`,
  });
}

/** Every parameter a graph declares. */
export function paramsOf(graph: Graph): readonly ParamSpec[] {
  return everyNode(graph)
    .filter((node) => node.op === "param")
    .map((node) => attrsOf(node, "param"))
    .map(({ name, dtype, shape, init }) => ({ name, dtype, dims: shape as readonly number[], init }));
}

/** The weights given, or random ones; either way checked against the declaration, converted once and kept. */
function resolveWeights(graph: Graph, weights: WeightStore | undefined, seed = 0): BoundWeights {
  const params = paramsOf(graph);
  return bindWeights(params, weights ?? randomWeights(params, seed));
}
