import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { buildTimeout, built, expectMistake, qkv, qkvRight, temporaryFolder } from "./support/command.ts";

beforeAll(built, buildTimeout);
const folder = temporaryFolder();

test("an ONNX file becomes a model that compiles to the same, once", { timeout: 180_000 }, async () => {
  const [onnx, source] = [join(folder, "small.onnx"), join(folder, "small.ts")];
  const settings = ["--set", "layers=2,d=16,heads=2,ffn=32,vocab=40"];
  await qkvRight(["compile", "models/encoder.ts", "-o", onnx, "--naive", ...settings]);
  const said = JSON.parse(await qkvRight(["import", onnx, "-o", source, "--json"]));
  expect(said).toMatchObject({ model: "small", checked: true, opaque: [], equal: [] });
  expect(said.files).toEqual([source, join(folder, "small.safetensors")]);
  const text = readFileSync(source, "utf8");
  for (const word of ["attention(", "for (let i = 0; i < layers; i++)", "layerNorm(", "linear("])
    expect(text).toContain(word);
  const reports = JSON.parse(await qkvRight(["explain", onnx, "--json"]));
  expect(reports[0]).toEqual({ name: "import", rules: { fired: {}, refused: {} }, equal: [], opaque: [] });
  for (const { rules } of reports) expect(rules).toMatchObject({ fired: {}, refused: {} });

  const again = join(folder, "again.onnx");
  const weights = join(folder, "small.safetensors");
  await qkvRight(["compile", source, "-o", again, "--weights", weights], { types: true });
  expect(existsSync(again)).toBe(true);

  const before = readFileSync(source, "utf8");
  expectMistake(await qkv(["import", onnx, "-o", source]), "QKV501");
  expect(readFileSync(source, "utf8")).toBe(before);
  await qkvRight(["import", onnx, "-o", source, "--force", "--no-check"]);
  expect(readFileSync(source, "utf8")).toBe(before);
});

test("what cannot be read or written leaves nothing behind", async () => {
  const bad = join(folder, "bad.onnx");
  writeFileSync(bad, "no model");
  const present = readdirSync(folder);
  expectMistake(await qkv(["import", bad, "-o", join(folder, "bad.ts")]), "QKV401");
  expectMistake(await qkv(["import", bad, "-o", join(folder, "bad.onnx")]), "QKV501");
  expectMistake(await qkv(["import", join(folder, "none.onnx"), "-o", join(folder, "none.ts")]), /QKV4\d\d/);
  expectMistake(await qkv(["import", "models/minilm.ts", "-o", join(folder, "model.ts")]), "QKV501");
  expect(readdirSync(folder)).toEqual(present);
});
