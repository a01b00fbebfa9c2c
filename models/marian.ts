import {
  type Config,
  cast,
  type DimLike,
  gather,
  input,
  model,
  param,
  rearrange,
  scope,
  sinusoidal,
  slice,
  type Tensor,
} from "qkv";
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
 * Marian, the translator: the encoder and decoder of the first transformer, with sinusoidal positions.
 * Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762); Junczys-Dowmunt et al., "Marian" (arXiv:1804.00344).
 *
 * `tables` are the tables of tokens that are not shared: source and target may have vocabularies of their own. Positions
 * are computed, or read where a checkpoint stores them. Parameters are named as in Hugging Face's checkpoints.
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
  vocab: 58101,
  decoderVocab: 58101,
  positions: 1024,
  storedPositions: false,
  embeddingScale: 1,
  tables: { encoder: false, decoder: false, head: false },
  head: true,
  logitsBias: true,
};

export default model(
  "marian",
  defaults,
  (settings) => {
    const { d, vocab, decoderVocab, positions } = settings;
    const inputIds = input("input_ids", "i64", ["batch", "seq"]);
    const mask = paddingMask();
    const decoderIds = input("decoder_input_ids", "i64", ["batch", "target"]);
    const tables = tokenTables(settings.tables, vocab, decoderVocab, d);

    // In double precision, as the models were trained; all sines stand before all cosines, one fewer in an odd width.
    const even = d + (d % 2);
    const waves = cast(sinusoidal(positions, even, { dtype: "f64", base: 10_000 ** (even / d) }), "f32");
    const computed = slice(rearrange(waves, "p (i wave) -> p (wave i)", { wave: 2 }), { axis: 1, end: d });

    function embed(table: Tensor, ids: Tensor, length: DimLike): Tensor {
      const places = settings.storedPositions ? param("embed_positions.weight", [positions, d]) : computed;
      return gather(table, ids)
        .mul(settings.embeddingScale)
        .add(slice(places, { axis: 0, end: length }));
    }

    const kind = { normFirst: false, keyBias: true };
    const encoded = scope("model.encoder", () =>
      encoderLayers(embed(tables.encoder, inputIds, "seq"), settings, kind, mask),
    );
    const decoded = scope("model.decoder", () =>
      decoderLayers(embed(tables.decoder, decoderIds, "target"), encoded, settings, kind, mask),
    );
    return settings.head ? readOut(decoded, tables.head, settings.logitsBias) : { last_hidden_state: decoded };
  },
  fromConfig,
);

function fromConfig(config: Config) {
  config.only("model_type", "marian");
  const head = hasHead(config, ["MarianMTModel"], "MarianModel");
  config.only("static_position_embeddings", true);
  const sizes = sizesOf(config, defaults);
  return {
    ...sizes,
    decoderVocab: config.natural("decoder_vocab_size", sizes.vocab),
    positions: config.natural("max_position_embeddings", defaults.positions),
    storedPositions: config.stores("encoder.embed_positions.weight") && config.stores("decoder.embed_positions.weight"),
    embeddingScale: config.flag("scale_embedding", false) ? Math.sqrt(sizes.d) : 1,
    tables: ownTables(config),
    head,
    logitsBias: config.stores("final_logits_bias"),
  };
}
