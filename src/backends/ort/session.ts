import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type * as Ort from "onnxruntime-node";
import { fail, invariant, QkvError } from "../../ir/diagnostics.ts";
import type { DType, TypedArray } from "../../ir/dtype.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { checkFeeds, type TensorSpec } from "./check-feeds.ts";

export type { TensorSpec } from "./check-feeds.ts";

/** Execution providers this project has targets for. */
export type ExecutionProvider = "cpu" | "webgpu" | "cuda";

/** How far the runtime's own optimiser may rewrite the graph. */
export type OptimizationLevel = "disabled" | "basic" | "extended" | "all";

export interface SessionOptions {
  /** Default `cpu`. With another provider the runtime still places nodes it lacks on the CPU: see `nodePlacement`. */
  readonly ep?: ExecutionProvider;
  /** Default `all`, the runtime's own default. */
  readonly level?: OptimizationLevel;
  /** Threads inside one operator. Default: one per physical core. */
  readonly threads?: number;
  /** Whether idle worker threads spin for a while before they sleep. Default true, the runtime's own default. */
  readonly spinning?: boolean;
  /** Names of the runtime's graph optimisers to switch off, for example `MatMulAddFusion`. */
  readonly disabledOptimizers?: readonly string[];
  /** Records one event per node and run; the JSON file appears when the session closes, at this path plus a time stamp. */
  readonly profilePrefix?: string;
}

/** Inputs checked and converted once, to be run many times. Runs return nothing: this is what gets timed. */
export interface BoundRun {
  run(): Promise<void>;
}

/** A model loaded into the runtime. Holds native memory until `close`. */
export interface Session {
  readonly ep: ExecutionProvider;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /**
   * Runs the model. `outputs` limits what is computed and copied back; all outputs by default.
   * Throws QKV442 for inputs that do not match, QKV443 where the runtime fails, QKV454 where memory ends.
   */
  run(feeds: ReadonlyMap<string, HostTensor>, outputs?: readonly string[]): Promise<Map<string, HostTensor>>;
  /** Checks `feeds` as `run` does and keeps them for repeated runs, which write over the outputs of the first. */
  bind(feeds: ReadonlyMap<string, HostTensor>, outputs?: readonly string[]): BoundRun;
  /** Frees the native memory. Closing twice is allowed; running after is not. */
  close(): Promise<void>;
}

const runtimeTypes = {
  float64: "f64",
  float32: "f32",
  float16: "f16",
  int64: "i64",
  int32: "i32",
  int8: "i8",
  uint8: "u8",
  bool: "bool",
} as const satisfies Record<string, DType>;

type RuntimeType = keyof typeof runtimeTypes;

const runtimeTypeOf = new Map<DType, RuntimeType>(
  Object.entries(runtimeTypes).map(([runtime, dtype]) => [dtype, runtime as RuntimeType]),
);

const isRuntimeType = (type: string): type is RuntimeType => Object.hasOwn(runtimeTypes, type);

let loaded: Promise<typeof Ort> | undefined;

/** The native runtime, loaded on first use so that commands that run nothing do not pay for it. */
function loadRuntime(): Promise<typeof Ort> {
  loaded ??= import("onnxruntime-node").then(
    (module) => {
      // Read once, when the first session is made. Failures reach the caller as exceptions with the same text.
      module.env.logLevel = "fatal";
      return module;
    },
    (error: unknown) =>
      fail("QKV452", `ONNX Runtime cannot be loaded: ${runtimeMessage(error)}`, {
        help: `run \`npm install\`; onnxruntime-node must support ${process.platform}-${process.arch}`,
      }),
  );
  return loaded;
}

/** The text of an error of the runtime on one line, without its source paths and control characters. */
export function runtimeMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const line = text
    .replace(/\/onnxruntime_src\/\S+:\d+ /g, "")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: names inside models may carry terminal escapes
    .replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, " ")
    .trim();
  return line.length > 2000 ? `${line.slice(0, 2000)}…` : line;
}

export interface RuntimeInfo {
  /** Version of onnxruntime-node. */
  readonly version: string;
  /** What the installed binary was built with; `bundled` is false where a separate library is needed. */
  readonly providers: readonly { readonly name: string; readonly bundled: boolean; readonly installed: boolean }[];
}

/** Facts about the installed runtime. Throws QKV452 where it cannot be loaded. */
export async function runtimeInfo(): Promise<RuntimeInfo> {
  const runtime = await loadRuntime();
  const folder = nativeFolder();
  const providers = runtime.listSupportedBackends().map(({ name, bundled }) => ({
    name,
    bundled,
    installed: bundled || providerLibraries(name).some((file) => existsSync(join(folder, file))),
  }));
  return { version: runtime.env.versions.node ?? runtime.env.versions.common, providers };
}

const providerLibraries = (name: string): string[] => [
  `libonnxruntime_providers_${name}.so`,
  `onnxruntime_providers_${name}.dll`,
];

function nativeFolder(): string {
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(entry), "..", "bin", "napi-v6", process.platform, process.arch);
}

function nativeOptions(options: SessionOptions): Ort.InferenceSession.SessionOptions {
  const { ep = "cpu", level = "all", threads, spinning = true, disabledOptimizers = [], profilePrefix } = options;
  return {
    executionProviders: [ep],
    graphOptimizationLevel: level,
    logSeverityLevel: 4,
    executionMode: "sequential",
    interOpNumThreads: 1,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    ...(profilePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: profilePrefix }),
    extra: {
      session: { intra_op: { allow_spinning: spinning ? "1" : "0" } },
      ...(disabledOptimizers.length === 0
        ? {}
        : { optimization: { disable_specified_optimizers: disabledOptimizers.join(";") } }),
    },
  };
}

/**
 * Loads a model from bytes or from a file (needed where it has external data).
 *
 * Throws QKV440 where the provider is not usable, QKV441 where the runtime refuses the model, QKV444 and QKV445 for
 * inputs or outputs that the runtime's JavaScript binding cannot carry, QKV451 for bad options.
 */
export async function openSession(model: Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
  const { threads } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 1024))
    fail("QKV451", `threads must be a whole number from 1 to 1024, not ${threads}`);
  const ep = options.ep ?? "cpu";
  const runtime = await loadRuntime();
  const native = await createNative(runtime, model, ep, nativeOptions(options));
  try {
    const inputs = native.inputMetadata.map((value) => tensorSpec(value, "input"));
    const outputs = native.outputMetadata.map((value) => tensorSpec(value, "output"));
    return wrap(runtime, native, { ep, inputs, outputs, profiled: options.profilePrefix !== undefined });
  } catch (error) {
    await native.release();
    throw error;
  }
}

async function createNative(
  runtime: typeof Ort,
  model: Uint8Array | string,
  ep: ExecutionProvider,
  options: Ort.InferenceSession.SessionOptions,
): Promise<Ort.InferenceSession> {
  try {
    return typeof model === "string"
      ? await runtime.InferenceSession.create(model, options)
      : await runtime.InferenceSession.create(model, options);
  } catch (error) {
    const message = runtimeMessage(error);
    if (ep !== "cpu" && /adapter|shared library|no available backend|ExecutionProvider_/i.test(message))
      fail("QKV440", `the ${ep} execution provider is not usable on this machine`, {
        notes: [message],
        help: "use `cpu`, or install what the provider needs",
      });
    const unsupported = /Unsupported data type: (\d+)/.exec(message);
    if (unsupported)
      fail("QKV444", `an input or output has ONNX element type ${onnxTypeName(Number(unsupported[1]))}`, {
        notes: ["onnxruntime-node carries f64, f32, f16, i64, i32, i8, u8 and bool"],
        help: "cast it inside the model, next to the input or output",
      });
    fail("QKV441", `ONNX Runtime refused the model: ${message}`);
  }
}

const onnxTypeName = (type: number): string => (type === 16 ? "bf16" : `number ${type}`);

function tensorSpec(value: Ort.InferenceSession.ValueMetadata, role: "input" | "output"): TensorSpec {
  const { name } = value;
  if (name === "__proto__")
    fail("QKV445", `${role} \`__proto__\`: the runtime's binding keys tensors by object property`, {
      help: `rename the ${role}`,
    });
  if (!value.isTensor) fail("QKV444", `${role} \`${name}\` is not a tensor`);
  if (!isRuntimeType(value.type))
    fail("QKV444", `${role} \`${name}\` has element type ${value.type}`, {
      help: "cast it inside the model, next to the input or output",
    });
  return { name, dtype: runtimeTypes[value.type], shape: [...value.shape] };
}

interface SessionFacts {
  readonly ep: ExecutionProvider;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly profiled: boolean;
}

function wrap(runtime: typeof Ort, native: Ort.InferenceSession, facts: SessionFacts): Session {
  const { ep, inputs, outputs } = facts;
  const outputTypes = new Map(outputs.map(({ name, dtype }) => [name, dtype]));
  let open = true;

  const start = (feeds: ReadonlyMap<string, HostTensor>, wanted?: readonly string[]) => {
    invariant(open, "a closed session cannot run");
    checkFeeds(inputs, feeds);
    const fetches = checkFetches(outputTypes, wanted);
    const tensors = nativeFeeds(runtime, feeds);
    return async (into: Ort.InferenceSession.FetchesType = fetches) => {
      invariant(open, "a closed session cannot run");
      try {
        return await native.run(tensors, into);
      } catch (error) {
        throw runError(runtimeMessage(error));
      }
    };
  };

  return {
    ep,
    inputs,
    outputs,
    async run(feeds, wanted) {
      const results = await start(feeds, wanted)();
      return new Map(Object.entries(results).map(([name, value]) => [name, hostResult(value, outputTypes.get(name))]));
    },
    bind(feeds, wanted) {
      const run = start(feeds, wanted);
      let outputs: Ort.InferenceSession.ReturnType | undefined;
      return {
        run: async () => {
          outputs = await run(outputs);
        },
      };
    },
    async close() {
      if (!open) return;
      open = false;
      if (facts.profiled) native.endProfiling();
      await native.release();
    },
  };
}

/** What the runtime says where a run fails: of memory it lacks, how much and where. */
function runError(message: string): QkvError {
  const bytes = /Failed to allocate memory for requested buffer of size (\d+)/.exec(message)?.[1];
  if (bytes === undefined) return new QkvError("QKV443", `ONNX Runtime failed: ${message}`);
  const [, op, name] = /while running (\w+) node\. Name:'([^']*)'/.exec(message) ?? [];
  const at = op === undefined ? "" : ` for the result of ${op}${name ? ` \`${name}\`` : ""}`;
  return new QkvError("QKV454", `there is no memory for ${bytes} bytes${at}`, {
    help: "give smaller sizes, where they are open",
  });
}

function checkFetches(outputs: ReadonlyMap<string, DType>, wanted?: readonly string[]): string[] {
  const names = [...(wanted ?? outputs.keys())];
  for (const name of names)
    if (!outputs.has(name))
      fail("QKV442", `the model has no output \`${name}\``, { notes: [`outputs: ${[...outputs.keys()].join(", ")}`] });
  if (names.length === 0) fail("QKV442", "at least one output must be asked for");
  return names;
}

/** Without a prototype, so that an input named `constructor` or `toString` is an own property like any other. */
function nativeFeeds(runtime: typeof Ort, feeds: ReadonlyMap<string, HostTensor>): Record<string, Ort.Tensor> {
  const tensors: Record<string, Ort.Tensor> = Object.create(null);
  for (const [name, { dtype, dims, data }] of feeds) {
    const type = runtimeTypeOf.get(dtype);
    if (type === undefined) fail("QKV444", `input \`${name}\`: onnxruntime-node cannot carry ${dtype}`);
    tensors[name] = new runtime.Tensor(type, data as Ort.Tensor.DataTypeMap[RuntimeType], dims);
  }
  return tensors;
}

function hostResult(value: Ort.Tensor, declared: DType | undefined): HostTensor {
  const type = value.type;
  invariant(isRuntimeType(type), `unexpected element type ${type}`);
  const dtype = runtimeTypes[type];
  invariant(declared === dtype, `declared ${declared}, returned ${dtype}`);
  const raw = value.data as TypedArray;
  // Newer engines hand out Float16Array; the bits are what host tensors hold.
  const data = dtype === "f16" ? new Uint16Array(raw.buffer, raw.byteOffset, raw.length) : raw;
  return { dtype, dims: [...value.dims], data };
}
