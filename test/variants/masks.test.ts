import { describe } from "vitest";
import causal from "../../models/variants/causal.ts";
import dilatedSlidingWindow from "../../models/variants/dilated-sliding-window.ts";
import documents from "../../models/variants/documents.ts";
import local from "../../models/variants/local.ts";
import longformer from "../../models/variants/longformer.ts";
import slidingWindow from "../../models/variants/sliding-window.ts";
import { checkVariant, type Variant } from "./support/variant.ts";

/** Every mask of the catalogue against the same mask written again, as loops and comparisons. */
const variants: Readonly<Record<string, Variant>> = {
  causal: { model: causal, written: () => ({ mask: (_b, _h, q, k) => q >= k }) },

  "sliding-window": {
    model: slidingWindow,
    settings: { window: 5 },
    written: () => ({ mask: (_b, _h, q, k) => [0, 1, 2, 3, 4, 5].some((back) => k + back === q) }),
  },

  local: {
    model: local,
    settings: { reach: 4 },
    written: () => ({ mask: (_b, _h, q, k) => k >= q - 4 && k <= q + 4 }),
  },

  "dilated-sliding-window": {
    model: dilatedSlidingWindow,
    settings: { reach: 7, dilation: 3 },
    written: () => ({ mask: (_b, _h, q, k) => [-6, -3, 0, 3, 6].includes(k - q) }),
  },

  longformer: {
    model: longformer,
    settings: { reach: 3, globals: 2 },
    written: () => ({ mask: (_b, _h, q, k) => q <= 1 || k <= 1 || (k >= q - 3 && k <= q + 3) }),
  },

  documents: {
    model: documents,
    settings: { offsets: [0, 9, 10, 40] },
    written: () => {
      const of = (i: number) => (i < 9 ? 0 : i < 10 ? 1 : i < 40 ? 2 : 3);
      return { mask: (_b, _h, q, k) => of(q) === of(k) && k <= q };
    },
  },
};

describe.each(Object.entries(variants))("%s", (_, variant) => checkVariant(variant));
