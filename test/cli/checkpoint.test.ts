import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import llama from "../../models/llama.ts";
import { readTensors, writeTensors } from "../../src/backends/ort/tensor-files.ts";
import { openCheckpoint } from "../../src/backends/weights/checkpoint.ts";
import { randomWeights } from "../../src/backends/weights/random-weights.ts";
import { writeSafetensors } from "../../src/backends/weights/safetensors-write.ts";
import { compile, paramsOf } from "../../src/compile.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { session } from "../../src/session.ts";
import { buildTimeout, built, qkvRight, temporaryFolder } from "./support/command.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const config = {
  model_type: "llama",
  vocab_size: 5,
  hidden_size: 6,
  intermediate_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 3,
  tie_word_embeddings: true,
};

beforeAll(built, buildTimeout);

test("a checkpoint gives settings and weights, the inputs given which of them the model has", async () => {
  const { graph } = llama.build({}, { checkpoint: { source: "", config, names: () => [] } });
  const params = paramsOf(graph);
  const weights = randomWeights(params, 3);
  mkdirSync(at("llama"));
  writeFileSync(at("llama/config.json"), JSON.stringify(config));
  writeSafetensors(
    at("llama/model.safetensors"),
    new Map(params.map(({ name }) => [`model.${name}`, weights.read(name)])),
  );

  const feeds = new Map([
    ["input_ids", fromNumbers("i64", [2, 3], [0, 1, 2, 3, 4, 0])],
    ["attention_mask", fromNumbers("i64", [2, 3], [1, 1, 0, 1, 1, 1])],
  ]);
  writeTensors(at("in.safetensors"), feeds);
  const args = ["run", "models/llama.ts", "--weights", at("llama"), "--inputs", at("in.safetensors")];
  await qkvRight([...args, "--outputs", at("out.safetensors")]);

  const inputs = new Set(feeds.keys());
  const open = await session(await compile(llama, { weights: openCheckpoint(at("llama")), inputs }));
  expect(readTensors(at("out.safetensors"))).toEqual(await open.run(feeds));

  const only = (...names: string[]) => names.map((name) => [name, feeds.get(name)!] as const);
  const named = (prefix: string, ...names: string[]) =>
    only(...names).map(([name, tensor]) => [`${prefix}.${name}`, tensor] as const);
  const all = new Map([...named("bare", "input_ids"), ...named("masked", "input_ids", "attention_mask")]);
  writeTensors(at("cases.safetensors"), all);
  await qkvRight([...args.slice(0, -1), at("cases.safetensors"), "--outputs", at("cases-out.safetensors")]);
  const outputs = readTensors(at("cases-out.safetensors"));

  // No case has all of the optional inputs.
  const positions = [["placed.position_ids", fromNumbers("i64", [2, 3], [0, 1, 2, 0, 1, 2])] as const];
  writeTensors(at("differ.safetensors"), new Map([...named("placed", "input_ids"), ...positions, ...all]));
  await qkvRight([...args.slice(0, -1), at("differ.safetensors"), "--outputs", at("differ-out.safetensors")]);
  const differing = readTensors(at("differ-out.safetensors"));
  expect([...differing.keys()].sort()).toEqual(["bare.logits", "masked.logits", "placed.logits"]);
  for (const [name, tensor] of outputs) expect(differing.get(name)).toEqual(tensor);
  expect(outputs.get("masked.logits")).toEqual((await open.run(feeds)).get("logits"));
  await open.close();
  const bare = await session(
    await compile(llama, { weights: openCheckpoint(at("llama")), inputs: new Set(["input_ids"]) }),
  );
  expect(outputs.get("bare.logits")).toEqual((await bare.run(new Map(only("input_ids")))).get("logits"));
  await bare.close();
});
