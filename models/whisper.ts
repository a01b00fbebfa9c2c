import {
  type Config,
  einsum,
  gather,
  gelu,
  input,
  stack as joined,
  layerNorm,
  learnedPositions,
  model,
  pad,
  param,
  rearrange,
  scope,
  slice,
  type Tensor,
} from "qkv";
import { decoderLayers, encoderLayers, hasHead, readOut, sizesOf } from "./parts/encoder-decoder.ts";

/**
 * Whisper, which writes down speech: two convolutions over a log-mel spectrogram, the second of which halves its length,
 * an encoder, and a decoder of text. Norms come before each part, and one after each stack.
 * Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (arXiv:2212.04356).
 *
 * Convolutions are products. Parameters are named as in Hugging Face's checkpoints.
 */
const defaults = {
  layers: 4,
  decoderLayers: 4,
  d: 384,
  heads: 6,
  decoderHeads: 6,
  ffn: 1536,
  decoderFfn: 1536,
  activation: "gelu",
  vocab: 51865,
  mels: 80,
  sourcePositions: 1500,
  targetPositions: 448,
  head: true,
  tied: true,
};

export default model(
  "whisper",
  defaults,
  (settings) => {
    const { d, vocab, mels, sourcePositions, targetPositions } = settings;
    const features = input("input_features", "f32", ["batch", mels, 2 * sourcePositions]);
    const decoderIds = input("decoder_input_ids", "i64", ["batch", "target"]);
    const norm = (x: Tensor) => layerNorm(x, { name: "layer_norm" });
    const kind = { normFirst: true, keyBias: false };

    const encoded = scope("model.encoder", () => {
      const sound = gelu(convolution(rearrange(features, "b c t -> b t c"), d, "conv1", 1));
      const shorter = gelu(convolution(sound, d, "conv2", 2));
      const places = learnedPositions(sourcePositions, d, { name: "embed_positions", max: sourcePositions });
      return norm(encoderLayers(shorter.add(places), settings, kind));
    });

    const table = param("model.decoder.embed_tokens.weight", [vocab, d]);
    const decoded = scope("model.decoder", () => {
      const places = learnedPositions("target", d, { name: "embed_positions", max: targetPositions });
      return norm(decoderLayers(gather(table, decoderIds).add(places), encoded, settings, kind));
    });
    if (!settings.head) return { last_hidden_state: decoded };
    return readOut(decoded, settings.tied ? table : param("proj_out.weight", [vocab, d]));
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "whisper");
  const head = hasHead(config, ["WhisperForConditionalGeneration"], "WhisperModel");
  return {
    ...sizesOf(config, defaults),
    mels: config.natural("num_mel_bins", defaults.mels),
    sourcePositions: config.natural("max_source_positions", defaults.sourcePositions),
    targetPositions: config.natural("max_target_positions", defaults.targetPositions),
    head,
    tied: !config.stores("proj_out.weight"),
  };
}

/**
 * A convolution of kernel 3, padded by 1: x [batch, time, channels], of which `stride` divides the time, gives
 * [batch, time / stride, d].
 */
function convolution(x: Tensor, d: number, name: string, stride: number): Tensor {
  const [, time, channels] = x.shape as readonly [unknown, number, number];
  const padded = pad(x, { axis: 1, low: 1, high: 1 });
  const taps = [0, 1, 2].map((tap) => {
    const from = slice(padded, { axis: 1, start: tap, end: tap + time });
    return slice(rearrange(from, "b (t s) c -> b t (s c)", { s: stride }), { axis: 2, end: channels });
  });
  const weight = param(`${name}.weight`, [d, channels, 3]);
  return einsum("b t k c, o c k -> b t o", joined(taps, 2), weight).add(param(`${name}.bias`, [d], { init: "zeros" }));
}
