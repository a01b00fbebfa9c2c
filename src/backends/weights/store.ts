import { fail } from "../../ir/diagnostics.ts";
import type { DType } from "../../ir/dtype.ts";
import { nearestName } from "../../ir/nearest-name.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { quoteName } from "./quote-name.ts";

/** Type of one stored tensor. */
export interface TensorInfo {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

/** A parameter a model declares: what `bindWeights` looks for and `randomWeights` makes up. */
export interface ParamSpec extends TensorInfo {
  readonly name: string;
  /** How random weights are drawn; see `randomWeights`. */
  readonly init?: string;
}

/** Named tensors, read when asked for. `describe` and `read` throw QKV435 for a name that is not there. */
export interface WeightStore {
  /** What the weights come from, for messages: a path or a description. */
  readonly source: string;
  names(): readonly string[];
  has(name: string): boolean;
  describe(name: string): TensorInfo;
  read(name: string): HostTensor;
}

/** Throws QKV435 for `name`, with the nearest of the names there are. */
export function unknownTensor(name: string, source: string, names: Iterable<string>): never {
  const nearest = nearestName(name, [...names]);
  return fail("QKV435", `${source} has no tensor ${quoteName(name)}`, {
    help: nearest === undefined ? "list the names it has and use one of them" : `did you mean ${quoteName(nearest)}?`,
  });
}

/** A store over tensors in memory. */
export function memoryStore(tensors: ReadonlyMap<string, HostTensor>, source = "the given tensors"): WeightStore {
  const read = (name: string): HostTensor => tensors.get(name) ?? unknownTensor(name, source, tensors.keys());
  return { source, names: () => [...tensors.keys()], has: (name) => tensors.has(name), describe: read, read };
}
