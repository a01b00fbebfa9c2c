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

/**
 * The runs a file asks for on a model with these inputs, in the file's order. All its tensors are of one run where one
 * has an input's own name, or where no case has any of them.
 */
export function casesOf(tensors: Tensors, inputs: readonly string[]): readonly Case[] {
  const whole = [{ name: undefined, inputs: tensors }];
  if (inputs.some((name) => tensors.has(name))) return whole;
  const grouped = new Map<string, Map<string, HostTensor>>();
  for (const [key, tensor] of tensors) {
    const [name, input] = split(key);
    grouped.set(name, (grouped.get(name) ?? new Map<string, HostTensor>()).set(input, tensor));
  }
  const cases = Array.from(grouped, ([name, given]) => ({ name, inputs: given }));
  return cases.some(({ inputs: given }) => inputs.some((name) => given.has(name))) ? cases : whole;
}

/** `case.input` as its two parts; the first is empty where there is no dot. */
function split(name: string): readonly [string, string] {
  const dot = name.indexOf(".");
  return [name.slice(0, Math.max(dot, 0)), name.slice(dot + 1)];
}
