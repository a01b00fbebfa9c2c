import {
  type Config,
  gather,
  input,
  linear,
  type MultiHeadOptions,
  model,
  multiHeadAttention,
  param,
  rmsNorm,
  type ScoreFunction,
  scope,
  type Tensor,
} from "qkv";
import { activate, activations } from "./parts/activations.ts";
import { hasHead, readOut } from "./parts/encoder-decoder.ts";
import { paddingMask } from "./parts/padding.ts";

/**
 * T5, an encoder and a decoder without positions in their tokens: what is learned for the distance of query and key is
 * added to the scores, which are not scaled. RMS norms come first; feed-forward parts may be gated.
 * Raffel et al., "Exploring the Limits of Transfer Learning" (arXiv:1910.10683), §2.1; gates: Shazeer (arXiv:2002.05202).
 *
 * `scaled` divides what is projected to logits by √d, `tied` projects by the table of tokens.
 * Parameters are named as in Hugging Face's checkpoints.
 */
const defaults = {
  layers: 6,
  decoderLayers: 6,
  d: 512,
  heads: 8,
  headWidth: 64,
  ffn: 2048,
  activation: "relu",
  gated: false,
  vocab: 32128,
  buckets: 32,
  furthest: 128,
  epsilon: 1e-6,
  head: true,
  tied: true,
  scaled: true,
};

/** mT5, whose logits are never scaled: Xue et al., "mT5" (arXiv:2010.11934). */
const multilingual = { ...defaults, layers: 8, heads: 6, ffn: 1024, vocab: 250_112, gated: true, scaled: false };

export default model(
  "t5",
  defaults,
  (settings) => {
    const { d, heads, headWidth, ffn, activation, gated, vocab, buckets, furthest, epsilon } = settings;
    const inputIds = input("input_ids", "i64", ["batch", "seq"]);
    const mask = paddingMask();
    const decoderIds = input("decoder_input_ids", "i64", ["batch", "target"]);
    const table = param("shared.weight", [vocab, d]);

    const norm = (x: Tensor, name: string) => rmsNorm(x, { name, epsilon });
    const attend = (x: Tensor, options: Partial<MultiHeadOptions>) =>
      multiHeadAttention(x, { heads, headWidth, scale: 1, biases: false, names, ...options });

    function feedForward(x: Tensor): Tensor {
      const project = (name: string) => linear(x, ffn, { name: `DenseReluDense.${name}`, bias: false });
      const wide = activate(project(gated ? "wi_0" : "wi"), activation);
      return linear(gated ? wide.mul(project("wi_1")) : wide, d, { name: "DenseReluDense.wo", bias: false });
    }

    /** The parts of a layer, one after another, each added to what it reads. */
    const block = (x: Tensor, layer: number, ...parts: readonly ((normed: Tensor) => Tensor)[]) =>
      parts.reduce((y, part, i) => scope(`block.${layer}.layer.${i}`, () => y.add(part(norm(y, "layer_norm")))), x);

    /** What layers of one stack add to their scores. */
    function distances(causal: boolean): ScoreFunction {
      const bias = param("block.0.layer.0.SelfAttention.relative_attention_bias.weight", [buckets, heads]);
      const side = causal ? buckets : Math.floor(buckets / 2);
      const bucketOf = Array.from({ length: furthest + 1 }, (_, n) => bucket(n, side, furthest));
      return (s, { h, q, k }) => {
        const distance = bucketOf[Math.min(Math.abs(k - q), furthest)]!;
        return s + bias[k > q && !causal ? side + distance : distance]![h]!;
      };
    }

    const encoded = scope("encoder", () => {
      const score = distances(false);
      let x: Tensor = gather(table, inputIds);
      for (let layer = 0; layer < settings.layers; layer++)
        x = block(x, layer, (y) => attend(y, { name: "SelfAttention", mask, score }), feedForward);
      return norm(x, "final_layer_norm");
    });

    const decoded = scope("decoder", () => {
      const score = distances(true);
      let x: Tensor = gather(table, decoderIds);
      for (let layer = 0; layer < settings.decoderLayers; layer++)
        x = block(
          x,
          layer,
          (y) => attend(y, { name: "SelfAttention", causal: true, score }),
          (y) => attend(y, { name: "EncDecAttention", context: encoded, mask }),
          feedForward,
        );
      return norm(x, "final_layer_norm");
    });

    if (!settings.head) return { last_hidden_state: decoded };
    const last = settings.scaled ? decoded.mul(1 / Math.sqrt(d)) : decoded;
    return readOut(last, settings.tied ? table : param("lm_head.weight", [vocab, d]));
  },
  fromConfig,
);

function fromConfig(config: Config) {
  const own = config.choice("model_type", ["t5", "mt5"], "t5") === "mt5" ? multilingual : defaults;
  const head = hasHead(
    config,
    ["T5ForConditionalGeneration", "T5WithLMHeadModel", "MT5ForConditionalGeneration"],
    "T5Model",
    "MT5Model",
  );
  config.only("is_encoder_decoder", true);
  const feedForward = config.choice("feed_forward_proj", feedForwards, own.gated ? "gated-gelu" : "relu");
  const layers = config.natural(["num_layers", "num_hidden_layers"], own.layers);
  return {
    layers,
    decoderLayers: config.natural("num_decoder_layers", layers),
    d: config.natural(["d_model", "hidden_size"], own.d),
    heads: config.natural(["num_heads", "num_attention_heads"], own.heads),
    headWidth: config.natural(["d_kv", "head_dim"], own.headWidth),
    ffn: config.natural("d_ff", own.ffn),
    // The first gated models were trained with the approximation, whatever they say.
    activation: config.choice(
      "dense_act_fn",
      activations,
      feedForward === "gated-gelu" ? "gelu_new" : feedForward.replace(/^gated-/, ""),
    ),
    gated: config.flag("is_gated_act", feedForward.startsWith("gated-")),
    vocab: config.natural("vocab_size", own.vocab),
    buckets: config.natural("relative_attention_num_buckets", own.buckets),
    furthest: config.natural("relative_attention_max_distance", own.furthest),
    epsilon: config.number("layer_norm_epsilon", own.epsilon),
    // Older configurations say it by the tie.
    scaled: own.scaled && config.flag("scale_decoder_outputs", config.flag("tie_word_embeddings", true)),
    head,
    tied: !config.stores("lm_head.weight"),
  };
}

const feedForwards = [...activations, ...activations.map((name) => `gated-${name}`)];
const names = { q: "q", k: "k", v: "v", o: "o" };

/**
 * The bucket of n positions away: half of them hold one distance each, the others are wider the further away, as far as
 * `furthest`. In float32, as the models were trained.
 */
export function bucket(n: number, buckets: number, furthest: number): number {
  const exact = Math.floor(buckets / 2);
  if (n < exact) return n;
  const octaves = Math.fround(Math.log(Math.fround(n / exact))) / Math.fround(Math.log(furthest / exact));
  return Math.min(exact + Math.trunc(Math.fround(Math.fround(octaves) * (buckets - exact))), buckets - 1);
}
