import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readModel } from "../../src/backends/onnx/decode.ts";
import { importModel } from "../../src/backends/onnx/import/import.ts";
import { memoryStore } from "../../src/backends/weights/store.ts";
import { checkAgainst } from "../../src/check.ts";
import { compile } from "../../src/compile.ts";
import { loadModel } from "../../src/dsl/load.ts";
import { isModel } from "../../src/dsl/model.ts";
import { sameGraph } from "../../src/ir/equal.ts";
import { recover } from "../../src/recover.ts";
import { withTemporaryFile } from "../../src/temporary-file.ts";
import { normalForm } from "../backends/typescript/support/normal-form.ts";
import { rebuild } from "../backends/typescript/support/rebuild.ts";
import { sharedFixtures } from "../import/support.ts";

const models = fileURLToPath(new URL("../../models/", import.meta.url));
const declared = ["", "variants/"].flatMap((folder) =>
  readdirSync(models + folder)
    .filter((name) => name.endsWith(".ts"))
    .map((name) => folder + name),
);

describe("every declared model comes back, node for node", () => {
  test.each(declared)("%s", async (file) => {
    const { default: model } = (await import(models + file)) as { default?: unknown };
    if (!isModel(model)) return;
    const before = model.build();
    const { built, tensors } = await rebuild(before);
    expect(sameGraph(normalForm(before.graph), normalForm(built.graph, tensors))).toBe(true);
  });
});

const folder = sharedFixtures("exports");
const exported = folder ? readdirSync(folder).filter((name) => name.endsWith(".onnx")) : [];

describe.skipIf(!folder)("exported models as source give the outputs of their files", () => {
  test.each(exported)("%s", async (name) => {
    const file = `${folder}/${name}`;
    const model = importModel(readModel(file));
    const { source, tensors } = await recover(model, name, `Imported from ${name}.`);
    const built = await withTemporaryFile("model.ts", source, async (path) => (await loadModel(path)).build());
    const again = await compile(built, { naive: true, weights: memoryStore(tensors) });
    expect(await checkAgainst(await compile(model, { naive: true }), again, { file })).toBe(true);
  });
});
