import { encodeModel } from "./backends/onnx/encode.ts";
import { nodesWithin, type OnnxModel, type OnnxNode } from "./backends/onnx/schema.ts";
import { type OptimizationLevel, openSession, type Session, type SessionOptions } from "./backends/ort/session.ts";
import type { Compiled } from "./compile.ts";
import { attrsOf } from "./ir/arena.ts";
import { bindDims } from "./ir/bind-dims.ts";
import { fail, QkvError } from "./ir/diagnostics.ts";
import type { HostTensor } from "./ir/tensor.ts";

/** A model as bytes the runtime loads, weights included. Throws QKV414 where they exceed the format, which ends at 2 GiB. */
export const modelBytes = (model: OnnxModel): Uint8Array =>
  encodeModel(model, { externalDataLimit: Number.POSITIVE_INFINITY }).model;

/** Whether the runtime's Einsum transposes an operand: it orders axes by where their letters first appear. */
function transposes({ attributes }: OnnxNode): boolean {
  const equation = attributes.get("equation");
  const [operands = ""] = equation?.kind === "string" ? equation.value.split("->") : [];
  const letters = [...new Set(operands.replace(/[\s,.]/g, ""))];
  const places = (operand: string) => [...operand.replace(/[\s.]/g, "")].map((letter) => letters.indexOf(letter));
  return operands.split(",").some((operand) => places(operand).some((at, i, all) => i > 0 && at < all[i - 1]!));
}

/**
 * Refuses inputs without elements for a model with an Einsum that transposes an operand: the runtime's kernel divides by
 * their sizes, which ends the process. Throws QKV509.
 */
export function checkRunnable(model: OnnxModel, feeds: ReadonlyMap<string, HostTensor>): void {
  const empty = [...feeds].find(([, { data }]) => data.length === 0);
  if (empty && [...nodesWithin(model.graph)].some((node) => node.opType === "Einsum" && transposes(node)))
    fail("QKV509", `the input "${empty[0]}" has no elements, and ONNX Runtime's Einsum cannot take that`, {
      help: "give every dimension a size of at least 1, or write the sum with matmul",
    });
}

/**
 * A compiled model in ONNX Runtime, ready to run. Close it when done. Throws QKV44x where the runtime cannot load it;
 * runs throw QKV148 where an index of a mask or score function leaves its table at the lengths given.
 */
export async function session(compiled: Compiled, options: SessionOptions = {}): Promise<Session> {
  const open = await openSession(modelBytes(compiled.onnx()), options);
  if (!compiled.checkLengths) return open;
  return {
    ...open,
    run: async (feeds, outputs) => {
      checkLengths(compiled, feeds);
      return open.run(feeds, outputs);
    },
    bind: (feeds, outputs) => {
      checkLengths(compiled, feeds);
      return open.bind(feeds, outputs);
    },
  };
}

/** Throws QKV148 where an index of a mask or score function leaves its table at the lengths of these inputs. */
export function checkLengths(
  { declared, checkLengths: check }: Compiled,
  feeds: ReadonlyMap<string, HostTensor>,
): void {
  if (!check) return;
  const pairs = declared.inputs.flatMap(({ node }) => {
    const { name, shape } = attrsOf(node, "input");
    const dims = feeds.get(name)?.dims;
    // Inputs that are missing or do not fit are refused by the run itself.
    return dims?.length === shape.length ? [{ name, shape, dims }] : [];
  });
  check(bindDims(pairs));
}

/**
 * A file optimised as little as the runtime loads it: not at all, but that it trips over casts of its own about
 * half-precision operations it has no kernels for, which its first level takes out again.
 */
async function openAsItIs(path: string): Promise<{ readonly open: Session; readonly level: OptimizationLevel }> {
  const at = async (level: OptimizationLevel) => ({ open: await openSession(path, { level }), level });
  return at("disabled").catch(() => at("basic"));
}

/** The least a file is optimised where the runtime loads it at all. */
export async function leastLevel(path: string): Promise<OptimizationLevel> {
  const { open, level } = await openAsItIs(path);
  await open.close();
  return level;
}

/** Runs a file once, optimised as little as can be. */
export async function runFile(
  path: string,
  feeds: ReadonlyMap<string, HostTensor>,
): Promise<ReadonlyMap<string, HostTensor>> {
  const { open } = await openAsItIs(path);
  try {
    return await open.run(feeds);
  } finally {
    await open.close();
  }
}

/**
 * The same, or what the runtime says where it does not load or run the file: no standard Attention, for one, whose mask is
 * to be stretched along the queries.
 */
export const tryFile = (
  path: string,
  feeds: ReadonlyMap<string, HostTensor>,
): Promise<ReadonlyMap<string, HostTensor> | QkvError> =>
  runFile(path, feeds).catch((error: unknown) => {
    if (error instanceof QkvError) return error;
    throw error;
  });

/** What is said where a file is not run as it is: the operator the runtime stops at, not all it says. */
export const notAsItIs = ({ message }: QkvError): string =>
  `ONNX Runtime does not run the file as it is, so the graph that was read takes its place: ${message.split(" Status Message")[0]}`;

/** Runs a model once, at an optimisation level: loads it, runs it, frees it. */
export async function runModel(
  model: OnnxModel,
  feeds: ReadonlyMap<string, HostTensor>,
  options: SessionOptions = {},
): Promise<Map<string, HostTensor>> {
  checkRunnable(model, feeds);
  const open = await openSession(modelBytes(model), options);
  try {
    return await open.run(feeds);
  } finally {
    await open.close();
  }
}
