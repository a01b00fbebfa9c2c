import type { Arena } from "../ir/arena.ts";
import type { Node } from "../ir/graph.ts";

const namesShown = 4;

/**
 * What to call a tensor computed from parameters: their common name, with the parts that differ side by side, as
 * `layer.0.q.weight` and `layer.0.k.weight` make `layer.0.qk.weight`. Undefined where nothing has a name.
 */
export function foldedName(nodes: readonly Node[], arena: Arena): string | undefined {
  const names = [...new Set(nodes.flatMap((node) => leafName(node, arena) ?? []))];
  const [first, ...others] = names;
  if (first === undefined) return undefined;
  if (others.length === 0) return first;
  const parts = names.map((name) => name.split("."));
  const shortest = Math.min(...parts.map(({ length }) => length));
  let head = 0;
  while (head < shortest - 1 && parts.every((part) => part[head] === parts[0]![head])) head++;
  let tail = 0;
  while (tail < shortest - head - 1 && parts.every((part) => part.at(-1 - tail) === parts[0]!.at(-1 - tail))) tail++;
  const middles = parts.slice(0, namesShown).map((part) => part.slice(head, part.length - tail).join("."));
  const joined = middles.join(middles.every(({ length }) => length === 1) ? "" : "_");
  const more = parts.length > namesShown ? "_etc" : "";
  return [...parts[0]!.slice(0, head), joined + more, ...parts[0]!.slice(parts[0]!.length - tail)].join(".");
}

/** What a parameter is called, or a tensor that was folded before. */
function leafName({ op, attrs, results }: Node, arena: Arena): string | undefined {
  if (op === "param") return String(attrs.get("name"));
  const value = results[0]!;
  return op === "constant" && value.type.shape.length > 0 ? arena.hintOf(value).name : undefined;
}
