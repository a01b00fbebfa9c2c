import { type Config, type DimLike, gather, input, layerNorm, model, param, scope, slice, type Tensor } from "qkv";
import {
  decoderLayers,
  encoderLayers,
  hasHead,
  ownTables,
  readOut,
  sizesOf,
  tokenTables,
} from "./parts/encoder-decoder.ts";
import { paddingMask } from "./parts/padding.ts";

/**
 * BART, an encoder and a decoder with learned positions, trained to restore text.
 * Lewis et al., "BART: Denoising Sequence-to-Sequence Pre-training" (arXiv:1910.13461).
 *
 * `normFirst` is mBART (Liu et al., arXiv:2001.08210): norms before each part, and one after each stack. `tables` are the
 * tables of tokens that are not shared. Parameters are named as in Hugging Face's checkpoints.
 */
const defaults = {
  layers: 12,
  decoderLayers: 12,
  d: 1024,
  heads: 16,
  decoderHeads: 16,
  ffn: 4096,
  decoderFfn: 4096,
  activation: "gelu",
  vocab: 50265,
  positions: 1024,
  embeddingScale: 1,
  normFirst: false,
  tables: { encoder: false, decoder: false, head: false },
  head: true,
  logitsBias: true,
};

export default model(
  "bart",
  defaults,
  (settings) => {
    const { d, vocab, positions, normFirst } = settings;
    const inputIds = input("input_ids", "i64", ["batch", "seq"]);
    const mask = paddingMask();
    const decoderIds = input("decoder_input_ids", "i64", ["batch", "target"]);
    const tables = tokenTables(settings.tables, vocab, vocab, d);

    /** Tokens with their positions. The first two rows of the table are not positions. */
    function embed(table: Tensor, ids: Tensor, length: DimLike): Tensor {
      const rows = param("embed_positions.weight", [positions + 2, d]);
      const places = slice(rows, { axis: 0, start: 2, end: `${length} + 2` });
      return layerNorm(gather(table, ids).mul(settings.embeddingScale).add(places), { name: "layernorm_embedding" });
    }
    const finish = (x: Tensor) => (normFirst ? layerNorm(x, { name: "layer_norm" }) : x);

    const kind = { normFirst, keyBias: true };
    const encoded = scope("model.encoder", () =>
      finish(encoderLayers(embed(tables.encoder, inputIds, "seq"), settings, kind, mask)),
    );
    const decoded = scope("model.decoder", () =>
      finish(decoderLayers(embed(tables.decoder, decoderIds, "target"), encoded, settings, kind, mask)),
    );
    return settings.head ? readOut(decoded, tables.head, settings.logitsBias) : { last_hidden_state: decoded };
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "bart", "mbart");
  const head = hasHead(
    config,
    ["BartForConditionalGeneration", "MBartForConditionalGeneration"],
    "BartModel",
    "MBartModel",
  );
  const sizes = sizesOf(config, defaults);
  return {
    ...sizes,
    positions: config.natural("max_position_embeddings", defaults.positions),
    embeddingScale: config.flag("scale_embedding", false) ? Math.sqrt(sizes.d) : 1,
    normFirst: config.stores("encoder.layer_norm.weight"),
    tables: ownTables(config),
    head,
    logitsBias: config.stores("final_logits_bias"),
  };
}
