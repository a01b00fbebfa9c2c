import { attention, model } from "qkv";
import { queriesKeysValues } from "./inputs.ts";

/**
 * Block diffusion, in training: `length` noised tokens, then the same tokens clean, in blocks of `block`.
 *
 * mask = same block and same kind; or q noised, k clean, and q in a later block; or both clean and q in no earlier block.
 *
 * Arriola et al., "Block Diffusion" (arXiv:2503.09573), §3.1.
 */
export default model("block-diffusion", { heads: 8, d: 64, length: 2048, block: 16 }, ({ length, block, ...sizes }) => {
  const { q, k, v } = queriesKeysValues(sizes);
  const o = attention(q, k, v, {
    mask: ({ q, k }) => {
      const [qNoised, kNoised] = [q < length, k < length];
      const [qBlock, kBlock] = [Math.floor((q % length) / block), Math.floor((k % length) / block)];
      if (qNoised) return kNoised ? qBlock === kBlock : qBlock > kBlock;
      return !kNoised && qBlock >= kBlock;
    },
  });
  return { o };
});
