import bart from "../../../models/bart.ts";
import bert from "../../../models/bert.ts";
import marian from "../../../models/marian.ts";
import modernbert from "../../../models/modernbert.ts";
import t5 from "../../../models/t5.ts";
import vit from "../../../models/vit.ts";
import whisper from "../../../models/whisper.ts";
import type { Built } from "../../../src/dsl/model.ts";

const own = { encoder: true, decoder: true, head: true };
const pair = { d: 12, layers: 1, decoderLayers: 2, heads: 3, decoderHeads: 2, ffn: 10, decoderFfn: 14, vocab: 13 };
const sequences = { ...pair, positions: 70 };
const encoder = { d: 15, layers: 1, heads: 3, ffn: 10 };

/** Encoders and encoder-decoders in sizes a test can afford, odd and unequal ones, with what their fixtures lack. */
export const tiny: Readonly<Record<string, () => Built>> = {
  bert: () => bert.build({ ...encoder, vocab: 13, positions: 70, activation: "quick_gelu", pooler: true }),
  modernbert: () =>
    modernbert.build({
      ...{ layerTypes: ["full_attention", "sliding_attention"], d: 18, heads: 3, ffn: 7, vocab: 13, reach: 3 },
      ...{ normBias: true, attentionBias: true, ffnBias: true },
    }),
  "vit, an image that is no whole number of patches": () =>
    vit.build({ ...encoder, image: 17, patch: 5, channels: 2, activation: "gelu_new", qkvBias: false }),
  "t5, gated": () =>
    t5.build({
      ...{ d: 12, layers: 2, decoderLayers: 1, heads: 3, headWidth: 5, ffn: 10, vocab: 13, buckets: 9, furthest: 20 },
      ...{ gated: true, activation: "silu", tied: false, scaled: false },
    }),
  bart: () => bart.build(sequences),
  "bart, norms first": () => bart.build({ ...sequences, normFirst: true, tables: own, logitsBias: false }),
  marian: () =>
    marian.build({ ...sequences, decoderVocab: 17, tables: { ...own, head: false }, embeddingScale: Math.sqrt(12) }),
  whisper: () => whisper.build({ ...pair, mels: 4, sourcePositions: 9, targetPositions: 70 }),
};

/** What is odd about the weights of the fixtures. */
export const encoderWarnings = {
  bert: [/2 tensors .* are not used/],
  bart: [/"final_logits_bias": 97 values are zero/],
};
