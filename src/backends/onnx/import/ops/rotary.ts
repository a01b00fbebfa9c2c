import { type Dim, isStatic } from "../../../../ir/dim.ts";
import type { Value } from "../../../../ir/graph.ts";
import type { Conversion, NodeContext } from "../node.ts";
import { unmodelled } from "../unmodelled.ts";
import { joinHeads, splitHeads } from "./attention.ts";

interface Angles {
  readonly cos: Value;
  readonly sin: Value;
  /** Numbers of rows of cos and sin, [batch, length]; undefined where cos and sin are [batch, length, width / 2]. */
  readonly positions: Value | undefined;
  /** Heads of an x that is [batch, length, heads · width]; 0 where the width of a head is that of the angles. */
  readonly heads: number;
}

/** x turned by its angles: its first elements, as many as there are angles for, in each head. */
function rotated(cx: NodeContext, x: Value, { cos, sin, positions, heads }: Angles): Value {
  const turned = 2 * staticSize(cos.type.shape.at(-1)!);
  if (x.type.shape.length === 3) {
    const count = heads || staticSize(x.type.shape[2]!) / turned;
    return joinHeads(cx, rotated(cx, splitHeads(cx, x, count), { cos, sin, positions, heads }));
  }
  const [rows, columns] = [cos, sin].map((table) => {
    const own = positions ? cx.b.gather(table, positions, { axis: 0 }) : table;
    const [batch, length, half] = own.type.shape as [Dim, Dim, Dim];
    if (batch !== 1) cx.same(batch, x.type.shape[0]!);
    cx.same(length, x.type.shape[2]!);
    return cx.b.reshape(own, { shape: [batch, 1, length, half] });
  }) as [Value, Value];
  const interleaved = cx.flag("interleaved", false);
  const width = x.type.shape[3]!;
  if (width === turned) return cx.b.rope(x, rows, columns, { interleaved });
  const [first, rest] = [
    cx.b.slice(x, { axis: 3, start: 0, end: turned }),
    cx.b.slice(x, { axis: 3, start: turned, end: width }),
  ];
  return cx.b.concat(cx.b.rope(first, rows, columns, { interleaved }), rest, { axis: 3 });
}

const staticSize = (dim: Dim): number => (isStatic(dim) ? dim : unmodelled("widths are known at run time only"));

/** As many of the angles as are used. */
const cut = (cx: NodeContext, table: Value): Value => {
  const half = cx.int("rotary_embedding_dim", 0) / 2;
  const axis = table.type.shape.length - 1;
  return half === 0 || table.type.shape[axis] === half ? table : cx.b.slice(table, { axis, start: 0, end: half });
};

const standard: Conversion = (cx) =>
  rotated(cx, cx.value(0), {
    cos: cut(cx, cx.value(1)),
    sin: cut(cx, cx.value(2)),
    positions: cx.has(3) ? cx.value(3) : undefined,
    heads: cx.int("num_heads", 0),
  });

/** Positions may be one number, that of the first token of each sequence. */
const contrib: Conversion = (cx) => {
  if (cx.float("scale", 1) !== 1 || cx.flag("is_packed_batching", false))
    return unmodelled("it scales, or packs sequences into one");
  const [x, given] = [cx.value(0), cx.value(1)];
  const length = x.type.shape.at(-2)!;
  const positions =
    given.type.shape.length === 2
      ? given
      : cx.b.reshape(cx.b.add(cx.b.iota({ size: length }), given), { shape: [1, length] });
  return rotated(cx, x, {
    cos: cut(cx, cx.value(2)),
    sin: cut(cx, cx.value(3)),
    positions,
    heads: cx.int("num_heads", 0),
  });
};

/** Rotary positions of the standard domain. */
export const rotaryConversions: Readonly<Record<string, Conversion>> = { RotaryEmbedding: standard };

/** The same in `com.microsoft`. */
export const contribRotary: Readonly<Record<string, Conversion>> = { RotaryEmbedding: contrib };
