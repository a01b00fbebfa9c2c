import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * BigBird: blocks of tokens that see their neighbours, a few blocks drawn at random, and global blocks at the start.
 *
 * mask = |⌊q / block⌋ - ⌊k / block⌋| <= reach, or either block is one of the first `globals`, or ⌊k / block⌋ is one of
 * the `random` blocks drawn for ⌊q / block⌋. They are drawn for `blocks` blocks from `seed`; rows beyond repeat.
 *
 * Zaheer et al., "Big Bird: Transformers for Longer Sequences" (arXiv:2007.14062), §2 and appendix D.
 */
const defaults = { heads: 8, d: 64, block: 64, reach: 1, globals: 1, random: 2, blocks: 64, seed: 1 };

export default model("bigbird", defaults, ({ heads, d, block, reach, globals, random, blocks, seed }) => {
  const { q, k, v } = queriesKeysValues({ heads, d });
  const drawn = drawBlocks(blocks, random, seed, (row, other) => Math.abs(row - other) <= reach || other < globals);
  const turns = Array.from({ length: random }, (_, i) => i);
  const o = attention(q, k, v, {
    mask: ({ q, k }) => {
      const [row, column] = [Math.floor(q / block), Math.floor(k / block)];
      if (Math.abs(row - column) <= reach || row < globals || column < globals) return true;
      return turns.some((i) => drawn[row % blocks]![i] === column);
    },
  });
  return { o };
});

/** For every block `count` different others that are not `seen` anyway; -1 where there are no more. */
function drawBlocks(
  blocks: number,
  count: number,
  seed: number,
  seen: (row: number, other: number) => boolean,
): readonly (readonly number[])[] {
  let state = seed;
  // Lehmer's generator with the multiplier of Park and Miller: 1 … 2³¹ - 2.
  const next = (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  return Array.from({ length: blocks }, (_, row) => {
    const left = Array.from({ length: blocks }, (_, other) => other).filter((other) => !seen(row, other));
    return Array.from({ length: count }, () => (left.length > 0 ? left.splice(next(left.length), 1)[0]! : -1));
  });
}
