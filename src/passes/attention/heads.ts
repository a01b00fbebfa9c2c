import { attrsOf, type Build } from "../../ir/arena.ts";
import { type Dim, mul } from "../../ir/dim.ts";
import type { Node, Value } from "../../ir/graph.ts";
import { hasFormulas } from "../../ir/ops/attention.ts";
import type { FuseContext, Matcher } from "../rewrite/fuse.ts";
import type { Miss } from "../rewrite/match.ts";
import { arrange } from "./axes.ts";
import { movedUp } from "./labels.ts";

const swapped = [0, 2, 1, 3];
const isSwap = (node: Node): boolean =>
  node.op === "transpose" && swapped.every((axis, i) => (node.attrs.get("perm") as readonly number[])[i] === axis);

const refuse = (at: Value, reason: string): Miss => ({ depth: 4, reason, at });

/**
 * A tensor `[batch, heads, length, width]` without the copies of its heads: made from fewer by repeating each in place, and
 * moved since, perhaps with keys of zeros about. Undefined where it was not.
 */
export function withoutCopies(b: Build, value: Value): Value | undefined {
  if (value.node.op === "pad") {
    const attrs = attrsOf(value.node, "pad");
    const inner = attrs.axis === 2 ? withoutCopies(b, value.node.operands[0]!) : undefined;
    return inner && b.pad(inner, attrs);
  }
  const moves: Node[] = [];
  let current = value;
  while (current.node.op === "reshape" || current.node.op === "transpose") {
    moves.push(current.node);
    current = current.node.operands[0]!;
  }
  if (current.node.op !== "broadcast") return undefined;
  const [wide, source] = [current.type.shape, current.node.operands[0]!];
  const narrow = source.type.shape;
  const copied = wide.flatMap((dim, axis) => (dim === narrow[axis] ? [] : [axis]));
  if (narrow.length !== wide.length || copied.length !== 1 || narrow[copied[0]!] !== 1) return undefined;
  const labels = wide.map((_, axis) => String(axis));
  const sizes = new Map(labels.map((label, axis) => [label, wide[axis]!] as const));
  const copies = String(copied[0]);
  const groups = movedUp(
    labels.map((label) => [label]),
    moves,
    sizes,
  );
  if (groups?.[1]?.at(-1) !== copies) return undefined;
  const kept = groups.map((group) => group.filter((label) => label !== copies));
  const bare = b.reshape(source, { shape: narrow.filter((_, axis) => axis !== copied[0]) });
  return arrange(
    b,
    bare,
    labels.filter((label) => label !== copies),
    kept,
    sizes,
  );
}

/** Keys and values that repeat their heads for groups of query heads: `attention` shares them by itself. */
export const groupedHeads: Matcher = {
  name: "attention-grouped-heads",
  formula: "attention(q, repeat(k), repeat(v)) = attention(q, k, v) with fewer key heads",
  roots: ["attention", "attentionWithWeights"],
  refuses: ["only one of keys and values repeats its heads"],
  match(root, { arena }) {
    const [q, k, v, ...extras] = root.operands as [Value, Value, Value];
    const keys = withoutCopies(arena.build, k);
    const values = withoutCopies(arena.build, v);
    if (!keys && !values) return undefined;
    if (!keys || !values || keys.type.shape[1] !== values.type.shape[1])
      return refuse(root.results[0]!, "only one of keys and values repeats its heads");
    const node = arena.node(root.op, [q, keys, values, ...extras], Object.fromEntries(root.attrs));
    return { values: node.results, covered: [root] };
  },
};

const sideBySide = "its heads do not lie side by side";
const single = "a single head lies as it is";

/** Whether a tensor's heads can be had in front of its widths without moving elements, or by relabelling a product. */
const isFree = (value: Value): boolean =>
  isSwap(value.node) || value.type.shape[1] === 1 || value.node.op === "contract";

const resultIsFree = (value: Value, { uses }: FuseContext): boolean =>
  value.type.shape[1] === 1 ||
  (!uses.outputs.has(value) &&
    (uses.users.get(value) ?? []).every(({ node }) => isSwap(node) || node.op === "contract"));

/** [batch, heads, length, width] as [batch, length, heads·width]. */
function pack(b: Build, value: Value): Value {
  const [batch, heads, length, width] = value.type.shape as [Dim, Dim, Dim, Dim];
  return b.reshape(b.transpose(value, { perm: swapped }), { shape: [batch, length, mul(heads, width)] });
}

function unpack(b: Build, packed: Value, shape: readonly Dim[]): Value {
  const [batch, heads, length, width] = shape as [Dim, Dim, Dim, Dim];
  return b.transpose(b.reshape(packed, { shape: [batch, length, heads, width] }), { perm: swapped });
}

/** Attention whose heads come from one matrix and go into one: no movement is left where kernels take them packed. */
export const packedHeads: Matcher = {
  name: "attention-packed-heads",
  formula: "merge(attention(split(q), split(k), split(v))) = packedAttention(q, k, v)",
  roots: ["attention"],
  refuses: [single, sideBySide, "the number of heads is no integer", "the target has no kernel for packed heads"],
  match(root, cx) {
    if (!cx.target.choices.packAttention || hasFormulas(root)) return undefined;
    const at = root.results[0]!;
    if (!cx.target.kernels.has("packedAttention")) return refuse(at, "the target has no kernel for packed heads");
    const [q, k, v, ...extras] = root.operands as [Value, Value, Value];
    const heads = q.type.shape[1];
    const kvHeads = k.type.shape[1];
    if (typeof heads !== "number" || typeof kvHeads !== "number")
      return refuse(at, "the number of heads is no integer");
    // Nothing is to be gained, and the runtime takes the width of rank 3 for 0 where it cannot infer it, as after a slice.
    if (heads === 1) return refuse(at, single);
    const free = [q, k, v].filter(isFree).length + (resultIsFree(at, cx) ? 1 : 0);
    if (free < 3) return refuse(at, sideBySide);
    const b = cx.arena.build;
    const packed = cx.arena.node("packedAttention", [pack(b, q), pack(b, k), pack(b, v), ...extras], {
      ...Object.fromEntries(root.attrs),
      heads,
      kvHeads,
    }).results[0]!;
    cx.arena.inherit(at, packed);
    return { values: [unpack(b, packed, at.type.shape)], covered: [root] };
  },
};
