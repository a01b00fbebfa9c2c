import {
  broadcastTo,
  type Config,
  concat,
  einsum,
  input,
  layerNorm,
  linear,
  model,
  multiHeadAttention,
  param,
  rearrange,
  scope,
  slice,
  type Tensor,
} from "qkv";
import { activate, activations } from "./parts/activations.ts";

/**
 * ViT, the vision transformer: an image is cut into patches, each projected to a token, behind one learned token that
 * stands for the whole image. Norms come before attention and feed-forward part.
 * Dosovitskiy et al., "An Image is Worth 16x16 Words" (arXiv:2010.11929).
 *
 * A convolution whose stride is its kernel is a product over patches. Parameters are named as in Hugging Face's
 * checkpoints.
 */
const defaults = {
  layers: 12,
  d: 768,
  heads: 12,
  ffn: 3072,
  activation: "gelu",
  image: 224,
  patch: 16,
  channels: 3,
  epsilon: 1e-12,
  qkvBias: true,
};

export default model(
  "vit",
  defaults,
  (settings) => {
    const { layers, d, heads, ffn, activation, image, patch, channels, epsilon, qkvBias } = settings;
    // Patches on a side; what is left of the image is not seen.
    const side = Math.floor(image / patch);
    const pixels = input("pixel_values", "f32", ["batch", channels, image, image]);

    let hidden: Tensor = scope("embeddings", () => {
      const rows = slice(pixels, { axis: 2, end: side * patch });
      const whole = slice(rows, { axis: 3, end: side * patch });
      const patches = rearrange(whole, "b c (h y) (w x) -> b (h w) c y x", { y: patch, x: patch });
      const kernel = param("patch_embeddings.projection.weight", [d, channels, patch, patch]);
      const tokens = einsum("b n c y x, d c y x -> b n d", patches, kernel).add(
        param("patch_embeddings.projection.bias", [d], { init: "zeros" }),
      );
      const first = broadcastTo(param("cls_token", [1, 1, d]), ["batch", 1, d]);
      return concat([first, tokens], 1).add(param("position_embeddings", [1, side ** 2 + 1, d]));
    });

    const names = { q: "attention.query", k: "attention.key", v: "attention.value", o: "output.dense" };
    const biases = { q: qkvBias, k: qkvBias, v: qkvBias };
    for (let layer = 0; layer < layers; layer++)
      hidden = scope(`encoder.layer.${layer}`, () => {
        const before = layerNorm(hidden, { name: "layernorm_before", epsilon });
        const middle = hidden.add(multiHeadAttention(before, { heads, name: "attention", names, biases }));
        const after = layerNorm(middle, { name: "layernorm_after", epsilon });
        const wide = activate(linear(after, ffn, { name: "intermediate.dense" }), activation);
        return middle.add(linear(wide, d, { name: "output.dense" }));
      });
    return { last_hidden_state: layerNorm(hidden, { name: "layernorm", epsilon }) };
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "vit");
  return {
    layers: config.natural("num_hidden_layers", defaults.layers),
    d: config.natural("hidden_size", defaults.d),
    heads: config.natural("num_attention_heads", defaults.heads),
    ffn: config.natural("intermediate_size", defaults.ffn),
    activation: config.choice("hidden_act", activations, defaults.activation),
    image: config.side("image_size", defaults.image),
    patch: config.side("patch_size", defaults.patch),
    channels: config.natural("num_channels", defaults.channels),
    epsilon: config.number("layer_norm_eps", defaults.epsilon),
    qkvBias: config.flag("qkv_bias", defaults.qkvBias),
  };
}
