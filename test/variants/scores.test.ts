import { describe } from "vitest";
import alibi from "../../models/variants/alibi.ts";
import softCap from "../../models/variants/soft-cap.ts";
import { checkVariant, heads, type Variant } from "./support/variant.ts";

const causal = (_b: number, _h: number, q: number, k: number) => q >= k;

/** Every score modification against the same formula written again. */
const variants: Readonly<Record<string, Variant>> = {
  alibi: {
    model: alibi,
    written: () => ({
      mask: causal,
      score: (s, _b, h, q, k) => s - (q - k) / [2 ** (8 / heads), 2 ** (16 / heads)][h]!,
    }),
  },

  "soft-cap": {
    model: softCap,
    settings: { cap: 1.5 },
    written: () => ({
      mask: causal,
      score: (s) => 1.5 * ((Math.exp(s / 0.75) - 1) / (Math.exp(s / 0.75) + 1)),
    }),
  },
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));
