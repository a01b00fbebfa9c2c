import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { invariant } from "../../ir/diagnostics.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { type InputSpec, randomInputs } from "./inputs.ts";
import { openSession, type SessionOptions, type TensorSpec } from "./session.ts";

export interface PlacedNode {
  readonly name: string;
  readonly opType: string;
  /** The runtime's name of the provider, for example `CPUExecutionProvider`. */
  readonly provider: string;
}

export interface Placement {
  /** How many nodes ran on each provider. */
  readonly counts: ReadonlyMap<string, number>;
  /** Every node that ran, in the order it first did; copies between devices are nodes too. */
  readonly nodes: readonly PlacedNode[];
}

export interface PlacementOptions extends Omit<SessionOptions, "profilePrefix"> {
  /** What to run on. Default: random inputs, with `dims` as sizes. */
  readonly feeds?: ReadonlyMap<string, HostTensor>;
  /** Sizes of dimension symbols, for random inputs. Default 2 each. */
  readonly dims?: ReadonlyMap<string, number>;
  /** Default 0. */
  readonly seed?: number;
}

/**
 * Where each node of a model ran: runs it once under the runtime's profiler. A provider other than the CPU leaves
 * nodes it has no kernel for to the CPU without a word; this is how to tell. Nodes after the runtime's own
 * optimiser are counted, and nodes inside a branch or loop body that never ran are not.
 *
 * Throws as `openSession` and `Session.run` do.
 */
export async function nodePlacement(model: Uint8Array | string, options: PlacementOptions = {}): Promise<Placement> {
  const { feeds, dims, seed, ...sessionOptions } = options;
  const folder = await mkdtemp(join(tmpdir(), "qkv-profile-"));
  try {
    const session = await openSession(model, { ...sessionOptions, profilePrefix: join(folder, "run") });
    try {
      const inputs = feeds ?? randomInputs(concreteSpecs(session.inputs, dims), seed ?? 0);
      await session.run(inputs);
    } finally {
      await session.close();
    }
    const file = (await readdir(folder)).find((name) => name.endsWith(".json"));
    invariant(file !== undefined, "the runtime wrote no profile");
    return parseProfile(await readFile(join(folder, file), "utf8"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The provider a model mostly should run on but partly does not: nodes that ran elsewhere than on `expected`. */
export const strayNodes = (placement: Placement, expected: string): readonly PlacedNode[] =>
  placement.nodes.filter(({ provider }) => provider !== expected);

/** Input specs with a number for every dimension: its own size, or that of its symbol, or 2. */
export const concreteSpecs = (inputs: readonly TensorSpec[], dims?: ReadonlyMap<string, number>): InputSpec[] =>
  inputs.map(({ name, dtype, shape }) => ({
    name,
    dtype,
    dims: shape.map((dim) => (typeof dim === "number" ? dim : (dims?.get(dim) ?? 2))),
  }));

/**
 * Reads the runtime's trace, one event per line. Node names are written unescaped, so a line may be no valid JSON;
 * the fields wanted here are matched by themselves.
 */
export function parseProfile(text: string): Placement {
  const nodes = new Map<string, PlacedNode>();
  for (const line of text.split("\n")) {
    if (!line.includes('"cat" : "Node"')) continue;
    const name = /"name" :"(.*?)_kernel_time","args" : \{/.exec(line)?.[1];
    const provider = /"provider" : "([^"]*)"/.exec(line)?.[1];
    if (name === undefined || provider === undefined) continue;
    const opType = /"op_name" : "([^"]*)"/.exec(line)?.[1] ?? "?";
    const index = /"node_index" : "(\d+)"/.exec(line)?.[1] ?? "?";
    const key = JSON.stringify([name, opType, provider, index]);
    if (!nodes.has(key)) nodes.set(key, { name, opType, provider });
  }
  const counts = new Map<string, number>();
  for (const { provider } of nodes.values()) counts.set(provider, (counts.get(provider) ?? 0) + 1);
  return { counts, nodes: [...nodes.values()] };
}
