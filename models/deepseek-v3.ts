import {
  attention,
  broadcastTo,
  type Config,
  concat,
  expandDims,
  heads,
  linear,
  merge,
  model,
  rmsNorm,
  scope,
  slice,
  split,
  type Tensor,
} from "qkv";
import { embed, gatedFeedForward, past, readOut, type Tokens, tokenInputs } from "./parts/decoder.ts";
import { activationOf, headOf } from "./parts/decoder-config.ts";
import { mixtureOfExperts } from "./parts/mixture.ts";
import { type Rotary, ropeOf, rotaryOf, turn, yarnScale } from "./parts/rotary.ts";

/**
 * DeepSeek-V3: keys and values of all heads are expanded from one latent per token, of which the part that carries
 * positions is shared by the heads; after the first layers, feed-forward is a mixture of experts. DeepSeek-AI,
 * "DeepSeek-V3" (arXiv:2412.19437).
 */
const defaults = {
  layers: 2,
  d: 64,
  heads: 4,
  /** Of a head's keys without positions, with positions, and of its values. */
  width: 16,
  ropeWidth: 8,
  valueWidth: 16,
  rank: 16,
  /** 0 where queries are projected at once. */
  queryRank: 24,
  ffn: 128,
  vocab: 1000,
  epsilon: 1e-6,
  activation: "silu",
  attentionBias: false,
  head: true,
  tied: false,
  /** Pairs that turn are neighbours. */
  interleaved: true,
  /** Multiplies 1/√(width + ropeWidth). */
  scoreScale: 1,
  rotary: { type: "default", theta: 10_000 } as Rotary,
  /** Layers before the first mixture of experts. */
  denseLayers: 1,
  experts: 8,
  expertsPerToken: 2,
  groups: 4,
  groupsPerToken: 2,
  sharedExperts: 1,
  expertWidth: 32,
  normalised: true,
  routedScale: 2.5,
};

type Sizes = typeof defaults;

export default model(
  "deepseek-v3",
  defaults,
  (settings) => {
    const { layers, epsilon } = settings;
    const tokens = tokenInputs();
    const { rows, table } = embed(tokens.ids, settings.vocab, settings.d, "embed_tokens");

    let x: Tensor = rows;
    for (let layer = 0; layer < layers; layer++)
      x = scope(`layers.${layer}`, () => {
        const before = rmsNorm(x, { name: "input_layernorm", epsilon });
        const middle = x.add(scope("self_attn", () => latentAttention(before, tokens, settings)));
        const between = rmsNorm(middle, { name: "post_attention_layernorm", epsilon });
        const fed = scope("mlp", () =>
          layer < settings.denseLayers ? gatedFeedForward(between, settings) : mixtureOfExperts(between, settings),
        );
        return middle.add(fed);
      });
    return readOut(rmsNorm(x, { name: "norm", epsilon }), table, settings);
  },
  fromConfig,
);

/** Multi-head latent attention (arXiv:2405.04434, §2.1). Norms of the latents have an epsilon of their own. */
function latentAttention(x: Tensor, { mask, positions }: Tokens, sizes: Sizes): Tensor {
  const { heads: n, width, ropeWidth, valueWidth, rank, attentionBias: bias, rotary, interleaved } = sizes;
  const normed = (latent: Tensor, name: string) => rmsNorm(latent, { name, epsilon: 1e-6 });

  const query = heads(queries(x, sizes, normed), n);
  const [qContent, qPlace] = split(query, [width, ropeWidth], 3);
  const q = concat([qContent!, turn(qPlace!, rotary, positions, interleaved)], 3);

  const compressed = linear(x, rank + ropeWidth, { name: "kv_a_proj_with_mqa", bias });
  const latent = normed(slice(compressed, { axis: 2, end: rank }), "kv_a_layernorm");
  const kPlace = turn(expandDims(slice(compressed, { axis: 2, start: rank }), 1), rotary, positions, interleaved);
  const expanded = heads(linear(latent, n * (width + valueWidth), { name: "kv_b_proj", bias: false }), n);
  const [kContent, v] = split(expanded, [width, valueWidth], 3);
  const k = concat([kContent!, broadcastTo(kPlace, ["batch", n, "seq", ropeWidth])], 3);

  const scale = sizes.scoreScale / Math.sqrt(width + ropeWidth);
  const seen = attention(q, k, v!, { scale, mask: past(mask) });
  return linear(merge(seen), sizes.d, { name: "o_proj", bias });
}

/** Queries of all heads, [batch, seq, heads · (width + ropeWidth)], through a latent of their own where there is one. */
function queries(x: Tensor, sizes: Sizes, normed: (latent: Tensor, name: string) => Tensor): Tensor {
  const out = sizes.heads * (sizes.width + sizes.ropeWidth);
  if (sizes.queryRank === 0) return linear(x, out, { name: "q_proj", bias: false });
  const latent = linear(x, sizes.queryRank, { name: "q_a_proj", bias: sizes.attentionBias });
  return linear(normed(latent, "q_a_layernorm"), out, { name: "q_b_proj", bias: false });
}

function fromConfig(config: Config) {
  config.only("model_type", "deepseek_v3");
  const heads = config.natural("num_attention_heads", 128);
  config.only("num_key_value_heads", heads);
  const rotary = rotaryOf(config, 10_000, config.natural("max_position_embeddings", 4096));
  return {
    layers: config.natural("num_hidden_layers", 61),
    d: config.natural("hidden_size", 7168),
    heads,
    width: config.natural("qk_nope_head_dim", 128),
    ropeWidth: config.natural("qk_rope_head_dim", 64),
    valueWidth: config.natural("v_head_dim", 128),
    rank: config.natural("kv_lora_rank", 512),
    queryRank: config.isNull("q_lora_rank") ? 0 : config.natural("q_lora_rank", 1536),
    ffn: config.natural("intermediate_size", 18_432),
    vocab: config.natural("vocab_size", 129_280),
    epsilon: config.number("rms_norm_eps", 1e-6),
    activation: activationOf(config, "hidden_act", "silu"),
    attentionBias: config.flag("attention_bias", false),
    ...headOf(config, "DeepseekV3ForCausalLM", "DeepseekV3Model", false),
    interleaved: config.flag("rope_interleave", true),
    scoreScale: scoreScaleOf(config, rotary),
    rotary,
    denseLayers: config.natural("first_k_dense_replace", 3),
    experts: config.natural(["n_routed_experts", "num_local_experts"], 256),
    expertsPerToken: config.natural("num_experts_per_tok", 8),
    groups: config.natural("n_group", 8),
    groupsPerToken: config.natural("topk_group", 4),
    sharedExperts: config.natural("n_shared_experts", 1),
    expertWidth: config.natural("moe_intermediate_size", 2048),
    normalised: config.flag("norm_topk_prob", true),
    routedScale: config.number("routed_scaling_factor", 2.5),
  };
}

/** A stretched text makes attention sharper where the configuration says so (arXiv:2309.00071, §3.4). */
function scoreScaleOf(config: Config, rotary: Rotary): number {
  if (rotary.type === "default") return 1;
  const all = ropeOf(config);
  const m = all.number("mscale_all_dim", 0);
  return m === 0 ? 1 : yarnScale(rotary.factor, m) ** 2;
}
