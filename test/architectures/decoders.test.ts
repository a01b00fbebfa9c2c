import { describe, expect, test } from "vitest";
import deepseekV3 from "../../models/deepseek-v3.ts";
import gemma2 from "../../models/gemma2.ts";
import gemma3 from "../../models/gemma3.ts";
import gpt2 from "../../models/gpt2.ts";
import llama from "../../models/llama.ts";
import mistral from "../../models/mistral.ts";
import { frequencies, layerRotaryOf, type Rotary, rotaryOf } from "../../models/parts/rotary.ts";
import qwen3 from "../../models/qwen3.ts";
import { configOf } from "../../src/dsl/config.ts";
import type { Model } from "../../src/dsl/model.ts";
import { attrsOf } from "../../src/ir/arena.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { nodesOf } from "../../src/ir/graph.ts";
import { checkAtDefaults, describeFixture } from "./support/fixture.ts";

const decoders = { gpt2, llama, mistral, qwen3, gemma2, gemma3, deepseek_v3: deepseekV3 } as const;

for (const [name, model] of Object.entries(decoders)) describeFixture(name, model);

test.each(Object.entries(decoders))("%s gives compiled what it gives as declared, padded too", async (_, model) => {
  await checkAtDefaults(
    model,
    ["attention_mask", "position_ids"],
    [
      [1, 1],
      [2, 15],
    ],
  );
});

const build = (model: Pick<Model, "build">, config: Record<string, unknown>, names: readonly string[] = []) =>
  model.build({}, { checkpoint: { source: "folder", config, names: () => names } });

const paramsOf = (model: Pick<Model, "build">, config: Record<string, unknown>, names?: readonly string[]) =>
  new Map(
    nodesOf(build(model, config, names).graph)
      .filter(({ op }) => op === "param")
      .map((node) => [attrsOf(node, "param").name, attrsOf(node, "param").shape] as const),
  );

/** A Llama of one layer whose heads are odd in number. */
const small = { model_type: "llama", hidden_size: 20, num_attention_heads: 5, num_hidden_layers: 1, vocab_size: 7 };

describe("what a configuration leaves out", () => {
  test("follows from what it says", () => {
    const params = paramsOf(llama, { ...small, intermediate_size: 9 });
    expect(params.get("layers.0.self_attn.k_proj.weight")).toEqual([20, 20]);
    expect(params.get("lm_head.weight")).toEqual([7, 20]);
    expect(params.has("layers.0.self_attn.q_proj.bias")).toBe(false);
  });

  test("is otherwise what it is in the first model published", () => {
    const params = paramsOf(qwen3, { ...small, model_type: "qwen3", num_key_value_heads: 1 });
    expect(params.get("layers.0.self_attn.q_proj.weight")).toEqual([5 * 128, 20]);
    expect(params.get("layers.0.mlp.up_proj.weight")).toEqual([22_016, 20]);
    expect(paramsOf(gpt2, { n_layer: 1 }).get("wpe.weight")).toEqual([1024, 768]);
  });

  test("may stand under the names that all of transformers' configurations know", () => {
    const { hidden_size, num_attention_heads, num_hidden_layers, vocab_size } = small;
    const common = { hidden_size, num_attention_heads, num_hidden_layers, vocab_size, max_position_embeddings: 9 };
    const own = { n_embd: 20, n_head: 5, n_layer: 1, vocab_size, n_positions: 9 };
    expect(paramsOf(gpt2, common)).toEqual(paramsOf(gpt2, own));
  });

  test("null is as many key heads as heads", () => {
    const params = paramsOf(mistral, { ...small, model_type: "mistral", num_key_value_heads: null });
    expect(params.get("layers.0.self_attn.k_proj.weight")).toEqual([20, 20]);
  });
});

test("Mistral has no biases, whatever its configuration says", () => {
  const biased = (model: Pick<Model, "build">, type: string) =>
    paramsOf(model, { ...small, model_type: type, num_key_value_heads: 1, attention_bias: true }).has(
      "layers.0.self_attn.q_proj.bias",
    );
  expect([biased(llama, "llama"), biased(qwen3, "qwen3"), biased(mistral, "mistral")]).toEqual([true, true, false]);
});

test("ties hold where no output layer is stored", () => {
  const tied = { ...small, tie_word_embeddings: true };
  expect(paramsOf(llama, tied).has("lm_head.weight")).toBe(false);
  expect(paramsOf(llama, tied, ["lm_head.weight"]).has("lm_head.weight")).toBe(true);
});

test("a checkpoint without an output layer gives its last hidden state", () => {
  const { graph } = build(llama, { ...small, architectures: ["LlamaModel"] });
  expect(graph.outputs.map(({ name }) => name)).toEqual(["last_hidden_state"]);
});

describe("what a model has no part for is refused", () => {
  const refused: readonly (readonly [Pick<Model, "build">, Record<string, unknown>, string])[] = [
    [llama, { model_type: "mistral" }, '"model_type" is "mistral"'],
    [llama, { ...small, architectures: ["LlamaForSequenceClassification"] }, '"architectures" is "LlamaForSequence'],
    [llama, { ...small, hidden_act: "xielu" }, '"hidden_act" is "xielu"'],
    [llama, { ...small, rope_scaling: { type: "dynamic", factor: 2 } }, '"rope_scaling.type" is "dynamic"'],
    [llama, { ...small, rope_parameters: { rope_type: "longrope" } }, '"rope_parameters.rope_type" is "longrope"'],
    [
      llama,
      { ...small, rope_parameters: { partial_rotary_factor: 0.5 } },
      '"rope_parameters.partial_rotary_factor" is 0.5',
    ],
    [
      gemma3,
      { rope_parameters: { rope_type: "linear", factor: 2 } },
      '"rope_parameters.rope_type" is "linear", which the model has no part for',
    ],
    [gemma3, { rope_parameters: { rope_theta: 5e4 } }, '"rope_parameters.rope_theta" is 50000'],
    [gpt2, { add_cross_attention: true }, '"add_cross_attention" is true'],
    [gemma3, { model_type: "gemma3" }, '"model_type" is "gemma3"'],
    [gemma3, { use_bidirectional_attention: true }, '"use_bidirectional_attention" is true'],
    [gemma2, { layer_types: ["chunked_attention"] }, '"layer_types" is "chunked_attention"'],
    [deepseekV3, { num_attention_heads: 4, num_key_value_heads: 2 }, '"num_key_value_heads" is 2'],
  ];
  test.each(refused)("%#", (model, config, message) => {
    expect(() => build(model, config)).toThrow(
      expect.objectContaining({ code: "QKV438", message: expect.stringContaining(message) }),
    );
  });

  test("and so are values that are none", () => {
    for (const config of [{ num_hidden_layers: "two" }, { rms_norm_eps: null, vocab_size: 1.5 }])
      expect(() => build(llama, { ...small, ...config })).toThrow(expect.objectContaining({ code: "QKV433" }));
    expect(() => build(llama, { ...small, rope_scaling: { rope_type: "linear" } })).toThrow(
      /"rope_scaling.factor" is missing/,
    );
    expect(() => llama.build({ activation: "constructor" })).toThrow(QkvError);
  });
});

describe("where rotary positions are spelled in two places", () => {
  const read = (config: Record<string, unknown>) => configOf({ source: "folder", config, names: () => [] })!;
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16 };

  test("rope_scaling counts before rope_parameters", () => {
    const config = { rope_parameters: { rope_theta: 7 }, rope_scaling: { rope_type: "linear", factor: 4 } };
    expect(rotaryOf(read(config), 10, 128)).toEqual({ type: "linear", theta: 10, factor: 4 });
    expect(rotaryOf(read({ ...config, rope_theta: 9 }), 10, 128)).toMatchObject({ theta: 9 });
    expect(rotaryOf(read({ ...config, rope_scaling: null }), 10, 128)).toEqual({ type: "default", theta: 7 });
  });

  test("the length of the training at the top counts before the one inside", () => {
    const lengthOf = (config: Record<string, unknown>) => rotaryOf(read(config), 10, 128);
    expect(lengthOf({ rope_scaling: yarn, original_max_position_embeddings: 64 })).toMatchObject({ trainedLength: 64 });
    expect(lengthOf({ rope_parameters: yarn })).toMatchObject({ trainedLength: 16 });
    expect(lengthOf({ rope_scaling: { rope_type: "yarn", factor: 4 } })).toMatchObject({ trainedLength: 128 });
  });

  test("layers have their own, and are stretched by rope_scaling where they are of its kind", () => {
    const config = read({
      rope_parameters: { full_attention: { ...yarn, rope_theta: 7 } },
      original_max_position_embeddings: 64,
    });
    expect(layerRotaryOf(config, "full_attention", 10, 128)).toMatchObject({
      type: "yarn",
      theta: 7,
      trainedLength: 16,
    });
    expect(layerRotaryOf(config, "sliding_attention", 10, 128)).toEqual({ type: "default", theta: 10 });
    const scaled = read({ rope_scaling: { rope_type: "linear", factor: 4 } });
    expect(layerRotaryOf(scaled, "full_attention", 10, 128)).toEqual({ type: "linear", theta: 10, factor: 4 });
    expect(layerRotaryOf(scaled, "sliding_attention", 10, 128, false)).toEqual({ type: "default", theta: 10 });
  });
});

describe("frequencies", () => {
  const theta = 10_000;
  const plain = frequencies({ type: "default", theta }, 8);

  test("fall from 1 by the same factor", () => {
    expect(plain).toEqual([1, 0.1, 0.01, 0.001].map((f) => expect.closeTo(f, 12)));
  });

  test.each<[string, Rotary, readonly number[]]>([
    ["linear", { type: "linear", theta, factor: 4 }, [0.25, 0.025, 0.0025, 0.000_25]],
    // 1024 tokens hold 163, 16.3, 1.63 and 0.163 turns: kept from 4 on, divided below 1, mixed by 0.2099 between.
    [
      "llama3",
      { type: "llama3", theta, factor: 8, lowFrequency: 1, highFrequency: 4, trainedLength: 1024 },
      [1, 0.1, 0.01 * (0.209_916 + (1 - 0.209_916) / 8), 0.001 / 8],
    ],
    // Pairs turn 32 times in 1024 tokens at 0.707 and once at 2.21: kept up to 0, divided from 3 on.
    [
      "yarn",
      { type: "yarn", theta, factor: 4, fast: 32, slow: 1, trainedLength: 1024, truncate: true, magnitude: 1 },
      [1, 0.1 * (2 / 3 + 1 / 12), 0.01 * (1 / 3 + 1 / 6), 0.001 / 4],
    ],
  ])("%s", (_, rotary, expected) => {
    frequencies(rotary, 8).forEach((f, i) => expect(f / expected[i]!).toBeCloseTo(1, 5));
  });
});
