import { fail } from "../../ir/diagnostics.ts";
import { nearestNames } from "../../ir/nearest-name.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import { convertTensor, isConvertible, takeCensus } from "./convert.ts";
import { applyPrefix, findPrefixes, type PrefixRule, storedByName } from "./match-names.ts";
import { quoteName } from "./quote-name.ts";
import { type ParamSpec, type TensorInfo, unknownTensor, type WeightStore } from "./store.ts";

/** Something odd that is no error. `kind` "extra" names tensors nobody asked for; the others count values of one tensor. */
export type WeightWarning =
  | { readonly kind: "extra"; readonly names: readonly string[]; readonly message: string }
  | {
      readonly kind: "nan" | "infinity" | "subnormal" | "all-zero";
      readonly name: string;
      readonly count: number;
      readonly message: string;
    };

/** Declared parameters over a store: names, types and dims are the declared ones. Reads are converted once and kept. */
export interface BoundWeights extends WeightStore {
  /** Stored name by declared name. */
  readonly storedNames: ReadonlyMap<string, string>;
  /** The prefix that made names meet, where one was needed. */
  readonly prefix: PrefixRule | undefined;
  /** Stored tensors nobody asked for. */
  readonly extra: readonly string[];
  /** Warnings so far. Those about values appear when the tensor is read. */
  warnings(): readonly WeightWarning[];
}

interface Resolution {
  readonly storedNames: ReadonlyMap<string, string>;
  readonly prefix: PrefixRule | undefined;
  /** Rules that would do equally well, so that none was taken. */
  readonly ambiguous: readonly PrefixRule[];
}

const sameDims = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i]);

const show = ({ dtype, dims }: TensorInfo): string => `${dtype}[${dims.join(", ")}]`;

/**
 * Finds each declared parameter in `store`: by its own name (norms by their older ones too), else under one prefix that
 * the other names carry or lack alike and that brings in more of them than their own names do. Throws QKV430 with a line for every missing, mismatched and (where something is wrong) extra tensor.
 * Reading throws QKV434 where values overflow the declared type.
 */
export function bindWeights(params: readonly ParamSpec[], store: WeightStore): BoundWeights {
  const declared = new Map(params.map((param) => [param.name, param]));
  const resolution = resolveNames(declared, store);
  const { storedNames, prefix } = resolution;
  const taken = new Set(storedNames.values());
  const extra = store.names().filter((name) => !taken.has(name));
  const missing = [...declared.keys()].filter((name) => !storedNames.has(name));
  report(declared, store, resolution, missing, extra);

  const warnings: WeightWarning[] = [];
  if (extra.length > 0)
    warnings.push({ kind: "extra", names: extra, message: `${extra.length} tensors of ${store.source} are not used` });
  const cache = new Map<string, HostTensor>();
  const find = (name: string): readonly [ParamSpec, string] => {
    const stored = storedNames.get(name);
    return stored === undefined ? unknownTensor(name, store.source, storedNames.keys()) : [declared.get(name)!, stored];
  };
  return {
    source: store.source,
    storedNames,
    prefix,
    extra,
    warnings: () => warnings,
    names: () => [...storedNames.keys()],
    has: (name) => storedNames.has(name),
    describe: (name) => find(name)[0],
    read(name) {
      const known = cache.get(name);
      if (known !== undefined) return known;
      const [param, stored] = find(name);
      const tensor = readConverted(param, stored, store, warnings);
      cache.set(name, tensor);
      return tensor;
    },
  };
}

function resolveNames(declared: ReadonlyMap<string, ParamSpec>, store: WeightStore): Resolution {
  const storedBy = storedByName(store.names());
  const exact = new Set([...declared.keys()].filter((name) => storedBy.has(name)));
  const unresolved = [...declared.keys()].filter((name) => !exact.has(name));
  const free = new Set([...storedBy.keys()].filter((name) => !exact.has(name)));
  const fits = (name: string, found: string) =>
    sameDims(declared.get(name)!.dims, store.describe(storedBy.get(found)!).dims);
  const found = unresolved.length > 0 ? findPrefixes(unresolved, free, fits) : [];
  const rule = found.length === 1 ? found[0] : undefined;
  const renamed = new Map<string, string>();
  for (const name of unresolved) {
    const full = rule && applyPrefix(rule, name);
    if (full !== undefined && free.has(full)) renamed.set(name, full);
  }
  // Where most names agree as they are, a prefix that fits the rest is chance, not a convention.
  const prefix = renamed.size > exact.size ? rule : undefined;
  const storedNames = new Map<string, string>();
  for (const name of declared.keys()) {
    const full = exact.has(name) ? name : prefix && renamed.get(name);
    if (full !== undefined) storedNames.set(name, storedBy.get(full)!);
  }
  return { storedNames, prefix, ambiguous: found.length > 1 ? found : [] };
}

function report(
  declared: ReadonlyMap<string, ParamSpec>,
  store: WeightStore,
  resolution: Resolution,
  missing: readonly string[],
  extra: readonly string[],
): void {
  const mismatches = [...resolution.storedNames].flatMap(([name, stored]) =>
    describeMismatch(declared.get(name)!, stored, store.describe(stored)),
  );
  if (mismatches.length === 0 && missing.length === 0) return;

  const nearest = nearestNames(missing, extra);
  const notes = [
    ...missing.map((name) => describeMissing(declared.get(name)!, nearest.get(name), store)),
    ...mismatches,
    ...extra.map((name) => `extra ${quoteName(name)} ${show(store.describe(name))}`),
  ];
  const counts = [
    [missing.length, "missing"],
    [mismatches.length, "mismatched"],
    [extra.length, "extra"],
  ].flatMap(([count, word]) => (count ? [`${count} ${word}`] : []));
  fail("QKV430", `${store.source} does not fit the model: ${counts.join(", ")}`, {
    notes,
    help: adviceFor(resolution.ambiguous, missing.length > 0),
  });
}

function adviceFor(ambiguous: readonly PrefixRule[], isMissing: boolean): string {
  if (ambiguous.length > 0)
    return `name the parameters as the weights do: to ${ambiguous.map(({ action, prefix }) => `${action} ${quoteName(prefix)}`).join(" or ")} fits equally well`;
  if (isMissing) return "name the parameters as the weights do, or use the weights this model was made for";
  return "declare the shapes and types the weights have, or use the weights this model was made for";
}

function describeMissing(param: ParamSpec, nearest: string | undefined, store: WeightStore): string {
  const line = `missing ${quoteName(param.name)} ${show(param)}`;
  if (nearest === undefined) return line;
  const info = store.describe(nearest);
  return `${line}; nearest is ${quoteName(nearest)} ${show(info)}${transposedHint(param, info)}`;
}

function describeMismatch(param: ParamSpec, stored: string, info: TensorInfo): string[] {
  const line = `mismatched ${quoteName(param.name)} ${show(param)}; the weights have ${quoteName(stored)} ${show(info)}`;
  if (!sameDims(param.dims, info.dims)) return [line + transposedHint(param, info)];
  return isConvertible(info.dtype, param.dtype) ? [] : [`${line}: ${info.dtype} does not stand for ${param.dtype}`];
}

const transposedHint = (param: TensorInfo, info: TensorInfo): string =>
  param.dims.length > 1 && !sameDims(param.dims, info.dims) && sameDims(param.dims, info.dims.toReversed())
    ? " (transposed: declare the parameter with the dims reversed)"
    : "";

function readConverted(param: ParamSpec, stored: string, store: WeightStore, warnings: WeightWarning[]): HostTensor {
  const { tensor, beyond } = convertTensor(store.read(stored), param.dtype);
  const where = `${store.source}: tensor ${quoteName(stored)}`;
  const warn = (kind: Exclude<WeightWarning["kind"], "extra">, count: number, what: string) =>
    count > 0 && warnings.push({ kind, name: stored, count, message: `${where}: ${count} values ${what}` });
  if (beyond > 0)
    fail("QKV434", `${where} has ${beyond} values beyond the range of ${param.dtype}`, {
      help: "keep the parameter in a wider type",
    });
  const census = takeCensus(tensor);
  warn("nan", census.nan, "are NaN");
  warn("infinity", census.infinite, "are infinite");
  warn("subnormal", census.subnormal, "are subnormal, which is slow on some processors");
  // Biases and norm offsets are zero in many sound checkpoints; a matrix of zeros is not.
  if (census.allZero && tensor.dims.length > 1) warn("all-zero", tensor.data.length, "are zero, all of them");
  return tensor;
}
