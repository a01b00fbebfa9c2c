import { describe, expect, test } from "vitest";
import bart from "../../models/bart.ts";
import bert from "../../models/bert.ts";
import marian from "../../models/marian.ts";
import modernbert from "../../models/modernbert.ts";
import t5 from "../../models/t5.ts";
import vit from "../../models/vit.ts";
import whisper from "../../models/whisper.ts";
import { paramsOf } from "../../src/compile.ts";
import type { Built, Model } from "../../src/dsl/model.ts";
import { attrsOf } from "../../src/ir/arena.ts";
import { everyNode } from "../../src/ir/cost.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { showIndex } from "../../src/ir/index-expr/show.ts";

type Config = Readonly<Record<string, unknown>>;
const models = { bert, modernbert, vit, t5, bart, marian, whisper };

const small: Readonly<Record<keyof typeof models, Config>> = {
  bert: { num_hidden_layers: 1, hidden_size: 6, num_attention_heads: 3, intermediate_size: 5, vocab_size: 7 },
  modernbert: { num_hidden_layers: 4, hidden_size: 8, num_attention_heads: 2, intermediate_size: 5, vocab_size: 7 },
  vit: {
    num_hidden_layers: 1,
    hidden_size: 6,
    num_attention_heads: 3,
    intermediate_size: 5,
    image_size: 8,
    patch_size: 4,
  },
  t5: { num_layers: 1, num_decoder_layers: 1, d_model: 6, num_heads: 3, d_kv: 5, d_ff: 7, vocab_size: 7 },
  bart: {
    encoder_layers: 1,
    decoder_layers: 1,
    d_model: 8,
    encoder_attention_heads: 2,
    decoder_attention_heads: 4,
    vocab_size: 7,
  },
  marian: {
    encoder_layers: 1,
    decoder_layers: 1,
    d_model: 8,
    encoder_attention_heads: 2,
    decoder_attention_heads: 4,
    vocab_size: 7,
  },
  whisper: { encoder_layers: 1, decoder_layers: 1, d_model: 8, encoder_attention_heads: 2, decoder_attention_heads: 4 },
};

/** The model as a checkpoint with this configuration and these tensors has it. */
const built = (name: keyof typeof models, config: Config, stored: readonly string[] = []): Built =>
  (models[name] as Pick<Model, "build">).build(
    {},
    { checkpoint: { source: "here", config: { ...small[name], ...config }, names: () => stored } },
  );
const shapes = ({ graph }: Built) =>
  Object.fromEntries(paramsOf(graph).map(({ name, dims }) => [name, dims.join("×")]));
const approximations = ({ graph }: Built) =>
  everyNode(graph).flatMap((node) => (node.op === "gelu" ? [attrsOf(node, "gelu").approximate] : []));
/** For each attention, whether its mask depends on how far query and key are apart. */
const local = ({ masks = [] }: Built) => masks.map(({ formula }) => showIndex(formula).includes("Math.abs"));

function refusal(build: () => unknown): string {
  try {
    build();
  } catch (error) {
    if (error instanceof QkvError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "nothing was refused";
}

describe("what a model has no part for is refused by the name of its key", () => {
  test.each([
    ["bert", { hidden_act: "golu" }, /^QKV438 .*"hidden_act" is "golu"/],
    ["bert", { position_embedding_type: "relative_key" }, /^QKV438 .*"position_embedding_type" is "relative_key"/],
    ["bert", { is_decoder: true }, /^QKV438 .*"is_decoder" is true/],
    ["bert", { model_type: "roberta" }, /^QKV438 .*"model_type" is "roberta"/],
    ["bert", { hidden_size: "48" }, /^QKV433 .*"hidden_size" is "48"; it must be a whole number/],
    ["modernbert", { hidden_activation: 3 }, /^QKV433 .*"hidden_activation" is 3/],
    ["modernbert", { layer_types: ["linear_attention"] }, /^QKV438 .*"layer_types" is "linear_attention"/],
    [
      "modernbert",
      { rope_parameters: { full_attention: { rope_type: "longrope" } } },
      /^QKV438 .*"rope_parameters.full_attention.rope_type"/,
    ],
    ["modernbert", { rope_parameters: { rope_theta: 5e4 } }, /^QKV438 .*"rope_parameters.rope_theta" is 50000/],
    ["vit", { image_size: [8, 12] }, /^QKV438 .*"image_size" is \[8, 12\], which/],
    ["vit", { patch_size: [4, 2] }, /^QKV438 .*"patch_size" is \[4, 2\], which/],
    ["vit", { image_size: [8] }, /^QKV433 .*"image_size" is \[8\]; it must be a whole number, or a list of two/],
    ["t5", { feed_forward_proj: "gated-golu" }, /^QKV438 .*"feed_forward_proj" is "gated-golu"/],
    [
      "t5",
      { architectures: ["T5EncoderModel"], is_encoder_decoder: false },
      /^QKV438 .*"architectures" is "T5EncoderM/,
    ],
    ["t5", { architectures: ["T5ForSequenceClassification"] }, /^QKV438 .*"architectures" is "T5ForSequenceClass/],
    ["bart", { architectures: ["BartForSequenceClassification"] }, /^QKV438 .*"architectures" is "BartForSequence/],
    ["bart", { architectures: ["BartForCausalLM"] }, /^QKV438 .*"architectures" is "BartForCausalLM"/],
    ["marian", { architectures: ["MarianForCausalLM"] }, /^QKV438 .*"architectures" is "MarianForCausalLM"/],
    ["whisper", { architectures: ["WhisperForAudioClassification"] }, /^QKV438 .*"architectures" is "WhisperForAudio/],
    ["t5", { is_encoder_decoder: false }, /^QKV438 .*"is_encoder_decoder" is false/],
    ["t5", { model_type: "umt5" }, /^QKV438 .*"model_type" is "umt5"/],
    ["bart", { activation_function: "swoosh" }, /^QKV438 .*"activation_function" is "swoosh"/],
    ["marian", { model_type: "bart" }, /^QKV438 .*"model_type" is "bart"/],
    ["whisper", { model_type: "moonshine" }, /^QKV438 .*"model_type" is "moonshine"/],
  ] as const)("%s %j", (name, config, message) => {
    expect(refusal(() => built(name, config))).toMatch(message);
  });
});

describe("what configurations say in several ways", () => {
  test("ModernBERT's layers: a period, or each by name", () => {
    const names = ["full_attention", "sliding_attention", "full_attention", "sliding_attention"];
    expect(local(built("modernbert", {}))).toEqual([false, true, true, false]);
    expect(local(built("modernbert", { global_attn_every_n_layers: 2 }))).toEqual([false, true, false, true]);
    expect(local(built("modernbert", { layer_types: names }))).toEqual([false, true, false, true]);
  });

  test("ViT's squares: a side, or both", () => {
    expect(shapes(built("vit", { image_size: [8, 8], patch_size: [4, 4] }))).toEqual(shapes(built("vit", {})));
  });

  test("sizes of encoder-decoders, under the names of their encoder's or those that all configurations know", () => {
    const common = { hidden_size: 12, num_attention_heads: 6, num_hidden_layers: 2 };
    for (const name of ["bart", "marian", "whisper"] as const) {
      const own = { d_model: 12, encoder_attention_heads: 6, encoder_layers: 2 };
      expect(shapes(built(name, common))).toEqual(shapes(built(name, own)));
    }
    const own = { d_model: 12, num_heads: 6, num_layers: 2, d_kv: 4 };
    expect(shapes(built("t5", { ...common, head_dim: 4 }))).toEqual(shapes(built("t5", own)));
  });

  test("T5's feed-forward part", () => {
    const gated = built("t5", { feed_forward_proj: "gated-gelu" });
    expect(shapes(gated)["encoder.block.0.layer.1.DenseReluDense.wi_1.weight"]).toBe("7×6");
    expect(approximations(gated)).toEqual(["tanh", "tanh"]);
    const exact = built("t5", { feed_forward_proj: "gated-gelu", dense_act_fn: "gelu" });
    expect(approximations(exact)).toEqual(["none", "none"]);
    expect(shapes(built("t5", { feed_forward_proj: "relu" }))["encoder.block.0.layer.1.DenseReluDense.wi.weight"]).toBe(
      "7×6",
    );
  });

  test("T5's logits are scaled as is said, or where tables are tied; those of mT5 never", () => {
    const products = (config: Config) =>
      everyNode(built("t5", { feed_forward_proj: "relu", ...config }).graph).filter(({ op }) => op === "mul").length;
    const scaled = products({});
    expect(products({ tie_word_embeddings: false })).toBe(scaled - 1);
    expect(products({ tie_word_embeddings: false, scale_decoder_outputs: true })).toBe(scaled);
    expect(products({ scale_decoder_outputs: false })).toBe(scaled - 1);
    expect(products({ model_type: "mt5", tie_word_embeddings: true })).toBe(scaled - 1);
  });

  test("T5's sizes are those of the model it is", () => {
    const published = (config: Config) =>
      shapes(t5.build({}, { checkpoint: { source: "here", config, names: () => [] } }));
    expect(published({})["encoder.block.5.layer.1.DenseReluDense.wi.weight"]).toBe("2048×512");
    const multilingual = published({ model_type: "mt5" });
    expect(multilingual["encoder.block.7.layer.1.DenseReluDense.wi_1.weight"]).toBe("1024×512");
    expect(multilingual["shared.weight"]).toBe("250112×512");
    expect(multilingual["decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]).toBe("32×6");
  });
});

test.each([
  ["t5", "T5Model", "T5ForConditionalGeneration"],
  ["t5", "MT5Model", "MT5ForConditionalGeneration"],
  ["bart", "BartModel", "BartForConditionalGeneration"],
  ["bart", "MBartModel", "MBartForConditionalGeneration"],
  ["marian", "MarianModel", "MarianMTModel"],
  ["whisper", "WhisperModel", "WhisperForConditionalGeneration"],
] as const)("%s: a %s gives its last hidden state, a %s logits", (name, plain, withHead) => {
  const outputs = (architecture: string) => {
    const stored = ["final_logits_bias", "lm_head.weight", "proj_out.weight"];
    const model = built(name, { architectures: [architecture] }, stored);
    const params = Object.keys(shapes(model)).filter((param) => stored.includes(param));
    return [model.graph.outputs.map((output) => output.name), params.length > 0];
  };
  expect(outputs(plain)).toEqual([["last_hidden_state"], false]);
  expect(outputs(withHead)).toEqual([["logits"], true]);
});

describe("tables are shared but for those a checkpoint stores", () => {
  test("T5", () => {
    expect(shapes(built("t5", {}))).not.toHaveProperty(["lm_head.weight"]);
    expect(shapes(built("t5", {}, ["lm_head.weight"]))["lm_head.weight"]).toBe("7×6");
  });

  test("Marian with a vocabulary for each side", () => {
    const stored = ["model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "final_logits_bias"];
    const own = shapes(built("marian", { decoder_vocab_size: 9 }, stored));
    expect(own["model.encoder.embed_tokens.weight"]).toBe("7×8");
    expect(own["model.decoder.embed_tokens.weight"]).toBe("9×8");
    expect(own.final_logits_bias).toBe("1×9");
    expect(own).not.toHaveProperty(["model.shared.weight"]);
    expect(shapes(built("marian", {}))["model.shared.weight"]).toBe("7×8");
  });

  test("BART and mBART", () => {
    const plain = shapes(built("bart", {}));
    expect(plain["model.shared.weight"]).toBe("7×8");
    expect(plain).not.toHaveProperty(["model.encoder.layer_norm.weight"]);
    const first = shapes(built("bart", { model_type: "mbart" }, ["model.encoder.layer_norm.weight", "lm_head.weight"]));
    expect(first["model.decoder.layer_norm.weight"]).toBe("8");
    expect(first["lm_head.weight"]).toBe("7×8");
  });

  test("Whisper", () => {
    expect(shapes(built("whisper", {}))).not.toHaveProperty(["proj_out.weight"]);
    expect(shapes(built("whisper", {}, ["proj_out.weight"]))["proj_out.weight"]).toBe("51865×8");
  });
});

test("optional inputs are declared where runs give them", () => {
  const inputs = (...given: readonly string[]) =>
    bert.build({ layers: 0 }, { inputs: new Set(given) }).graph.inputs.map(({ node }) => attrsOf(node, "input").name);
  expect(inputs("input_ids")).toEqual(["input_ids"]);
  expect(inputs("input_ids", "attention_mask", "token_type_ids")).toEqual([
    "input_ids",
    "attention_mask",
    "token_type_ids",
  ]);
});
