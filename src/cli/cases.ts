import type { HostTensor } from "../ir/tensor.ts";

type Tensors = ReadonlyMap<string, HostTensor>;

/** What one run is given. Named where a file holds the inputs of several: tensors called `<case>.<input>`. */
export interface Case {
  readonly name: string | undefined;
  readonly inputs: Tensors;
}

/** The inputs a file may mean: its names, and what stands behind their first dots. */
export const inputNames = (tensors: Tensors): ReadonlySet<string> =>
  new Set([...tensors.keys()].flatMap((name) => [name, split(name)[1]]));

/** A case that lacks inputs of the model. */
export interface Incomplete extends Case {
  readonly name: string;
  readonly missing: readonly string[];
}

/**
 * The runs a file asks for on a model with these inputs, in the file's order. All its tensors are of one run where one
 * has an input's own name, or where no case is complete.
 */
export function casesOf(
  tensors: Tensors,
  inputs: readonly string[],
): { readonly cases: readonly Case[]; readonly incomplete: readonly Incomplete[] } {
  const whole = { cases: [{ name: undefined, inputs: tensors }], incomplete: [] };
  if (inputs.some((name) => tensors.has(name))) return whole;
  const grouped = new Map<string, Map<string, HostTensor>>();
  for (const [key, tensor] of tensors) {
    const [name, input] = split(key);
    grouped.set(name, (grouped.get(name) ?? new Map<string, HostTensor>()).set(input, tensor));
  }
  const all = Array.from(grouped, ([name, given]) => {
    const missing = inputs.filter((input) => !given.has(input));
    return { name, inputs: given, missing };
  });
  const cases = all.filter(({ missing }) => missing.length === 0);
  return cases.length === 0 ? whole : { cases, incomplete: all.filter(({ missing }) => missing.length > 0) };
}

/** `case.input` as its two parts; the first is empty where there is no dot. */
function split(name: string): readonly [string, string] {
  const dot = name.indexOf(".");
  return [name.slice(0, Math.max(dot, 0)), name.slice(dot + 1)];
}
