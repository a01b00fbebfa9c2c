import { fail } from "./diagnostics.ts";
import type { Node } from "./graph.ts";

/** Labels of each operand and of the result; the meaning of `contract`. */
export interface ContractionSpec {
  readonly operands: readonly (readonly string[])[];
  readonly result: readonly string[];
}

const cache = new Map<string, ContractionSpec>();
const labelPattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Reads `b h q d, b h k d -> b h q k`: labels separated by spaces, operands by commas. Throws QKV214 on anything else,
 * and where the result has a label twice or one no operand has.
 */
export function parseSpec(text: string): ContractionSpec {
  let spec = cache.get(text);
  if (!spec) cache.set(text, (spec = readSpec(text)));
  return spec;
}

function readSpec(text: string): ContractionSpec {
  const bad = (why: string): never =>
    fail("QKV214", `"${text}" ${why}`, { help: 'write it like "b q d, b k d -> b q k"' });
  const [left, right, ...more] = text.split("->");
  if (left === undefined || right === undefined || more.length > 0) return bad("needs one ->");
  const labels = (part: string) => {
    const list = part.split(/\s+/).filter((label) => label !== "");
    for (const label of list) if (!labelPattern.test(label)) bad(`has "${label}", which is no label`);
    return list;
  };
  const operands = left.split(",").map(labels);
  const result = labels(right);
  if (new Set(result).size !== result.length) bad("repeats a label in its result");
  const known = new Set(operands.flat());
  for (const label of result) if (!known.has(label)) bad(`has the label "${label}" only in its result`);
  return { operands, result };
}

/** What a `contract` or `einsum` sums. */
export const specOf = ({ attrs }: Node): ContractionSpec => parseSpec(attrs.get("spec") as string);

/** The canonical text of a spec. */
export const showSpec = ({ operands, result }: ContractionSpec): string =>
  `${operands.map((labels) => labels.join(" ")).join(", ")} -> ${result.join(" ")}`;

/**
 * The axes of the result of `to` in the order of those of `from`; undefined where they do not sum over the same axes of their
 * operands, or keep others.
 */
export function resultOrder(from: ContractionSpec, to: ContractionSpec): readonly number[] | undefined {
  const names = new Map<string, string>();
  for (const [i, labels] of from.operands.entries())
    for (const [axis, label] of labels.entries()) {
      const other = to.operands[i]?.[axis];
      if (other === undefined || (names.get(label) ?? other) !== other) return undefined;
      names.set(label, other);
    }
  if (new Set(names.values()).size < names.size || from.result.length !== to.result.length) return undefined;
  const order = from.result.map((label) => to.result.indexOf(names.get(label)!));
  return order.includes(-1) ? undefined : order;
}

/** The same contraction of two operands, the other one first. */
export const turned = (spec: ContractionSpec): ContractionSpec => ({ ...spec, operands: spec.operands.toReversed() });
