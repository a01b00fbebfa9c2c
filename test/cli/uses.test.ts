import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseTensors, readTensors } from "../../src/backends/ort/tensor-files.ts";
import { Arena } from "../../src/ir/arena.ts";
import { parseGraph } from "../../src/ir/parse.ts";
import type { VerifyReport } from "../../src/verify-report.ts";
import {
  buildTimeout,
  built,
  checkout,
  expectMistake,
  main,
  qkv,
  qkvAlone,
  qkvRight,
  temporaryFolder,
} from "./support/command.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const linear = "models/linear-attention.ts";

beforeAll(built, buildTimeout);

describe("run", () => {
  test("prints outputs as JSON, the same each time", async () => {
    const first = await qkvRight(["run", linear, "--dims", "seq=3"]);
    expect(parseTensors(first, "stdout").get("o")!.dims).toEqual([64, 3]);
    expect(await qkvRight(["run", linear, "--dims", "seq=3"])).toBe(first);
    expect((await qkvAlone(["run", linear, "--dims", "seq=3"])).stdout).toBe(first);
    expect(await qkvRight(["run", linear, "--dims", "seq=3", "--seed", "1"])).not.toBe(first);
  });

  test("without --dims it takes defaults", async () => {
    await qkvRight(["run", linear, "--outputs", at("default.safetensors")]);
    expect(readTensors(at("default.safetensors")).get("o")!.dims).toEqual([64, 128]);
  });

  test("runs every case of a file, but for those that lack an input", async () => {
    const x = (columns: number) => ({ dtype: "f32", dims: [64, columns], data: new Array(64 * columns).fill(columns) });
    writeFileSync(at("cases.json"), JSON.stringify({ "one.x": x(1), "other.y": x(5), "two.x": x(2) }));
    const { stdout, stderr } = await qkv(["run", linear, "--inputs", at("cases.json")]);
    const outputs = parseTensors(stdout, "stdout");
    expect([...outputs].map(([name, { dims }]) => [name, dims])).toEqual([
      ["one.o", [64, 1]],
      ["two.o", [64, 2]],
    ]);
    expect(stderr).toContain('the case "other" lacks x: left out');
  });

  test.each(["json", "safetensors"])("reads and writes .%s", async (extension) => {
    const x = { dtype: "f32", dims: [64, 2], data: Array.from({ length: 128 }, (_, i) => i / 128) };
    writeFileSync(at("in.json"), JSON.stringify({ x }));
    await qkvRight(["run", linear, "--inputs", at("in.json"), "--outputs", at(`out.${extension}`)]);
    await qkvRight(["run", linear, "--inputs", at("in.json"), "--outputs", at(`naive.${extension}`), "--naive"]);
    const [out, naive] = [readTensors(at(`out.${extension}`)), readTensors(at(`naive.${extension}`))];
    expect(out.get("o")!.dims).toEqual([64, 2]);
    const [a, b] = [out.get("o")!.data, naive.get("o")!.data];
    for (let i = 0; i < a.length; i++) expect(Number(a[i])).toBeCloseTo(Number(b[i]), 4);
  });
});

describe("print", () => {
  test.each(["linear-attention", "self-attention", "multi-head", "mla", "positional"])(
    "%s as text that reads back",
    async (name) => {
      const text = await qkvRight(["print", `models/${name}.ts`]);
      expect(text).toMatch(/^graph @/);
      expect(() => parseGraph(text, new Arena())).not.toThrow();
    },
  );

  test("--after a pass, and all", async () => {
    const all = await qkvRight(["print", linear, "--after", "all"]);
    expect(all).toContain("contract(");
    expect(await qkvRight(["print", linear, "--after", "canonicalise"])).toContain("contract(");
  });

  test("--dot is a Graphviz graph", async () => {
    expect(await qkvRight(["print", linear, "--dot"])).toMatch(/^digraph [\s\S]*\}\n$/);
  });
});

describe("explain", () => {
  test("says what fired, both formulas and the crossover", async () => {
    const text = await qkvRight(["explain", linear]);
    expect(text).toMatch(/^reassociate: /m);
    expect(text).toContain("seq^2");
    expect(text).toMatch(/cheaper where seq > \d+/);
  });

  test("one pass only, and JSON", async () => {
    expect(await qkvRight(["explain", linear, "reassociate"])).not.toMatch(/^canonicalise:/m);
    const reports = JSON.parse(await qkvRight(["explain", linear, "reassociate", "--json"]));
    expect(reports.map(({ name }: { name: string }) => name)).toEqual(reports.map(() => "reassociate"));
  });
});

describe("verify", () => {
  test.each(["linear-attention", "multi-head", "positional"])("%s is right after every pass", async (name) => {
    const report = JSON.parse(
      await qkvRight(["verify", `models/${name}.ts`, "--set", "d=32", "--json"]),
    ) as VerifyReport;
    expect(report.guilty).toBeUndefined();
    const inRuntime = report.runs.filter(({ stages }) =>
      stages.some(({ stage }) => stage === "ONNX Runtime, disabled"),
    );
    expect(inRuntime.length).toBeGreaterThan(0);
    // Where there is nothing along an axis passes alone are tried.
    expect(inRuntime.filter(({ dims }) => Object.values(dims).includes(0))).toEqual([]);
    for (const { stages } of report.runs) expect(stages.every(({ equal }) => equal)).toBe(true);
  });

  test("as a table", async () => {
    expect(await qkvRight(["verify", linear, "--dims", "seq=5"])).toMatch(/ONNX Runtime, all .* yes/);
  });
});

test("doctor --json tells what runs here", async () => {
  const { code, stdout } = await qkvAlone(["doctor", "--json"]);
  expect(code).toBe(0);
  const report = JSON.parse(stdout);
  expect(report.providers).toContainEqual(expect.objectContaining({ name: "cpu", usable: true }));
});

describe("model files elsewhere", () => {
  const own = (name: string, body: string) => {
    writeFileSync(at(name), body);
    return at(name);
  };

  test("import qkv from any folder", async () => {
    mkdirSync(at("deep/er"), { recursive: true });
    copyFileSync(join(checkout, linear), at("deep/er/mine.ts"));
    expect(await qkvRight(["print", "mine.ts"], { cwd: at("deep/er") })).toContain('graph @"linear-attention"');
  });

  test("import what lies beside them", async () => {
    own("width.ts", "export const width: number = 16;\n");
    const model = own(
      "beside.ts",
      'import { input, model } from "qkv";\nimport { width } from "./width.ts";\nexport default model("m", {}, () => ({ y: input("x", "f32", ["n", width]).mul(2) }));\n',
    );
    expect(await qkvRight(["print", model])).toContain("f32[n, 16]");
  });

  test("values have the author's names", async () => {
    const text = await qkvRight(["print", linear]);
    for (const name of ["q", "k", "v", "scores", "o"]) expect(text).toContain(`%${name}: f32`);
  });

  test("a shape mistake has file, line, column and the source", async () => {
    const model = own(
      "shape.ts",
      'import { input, matmul, model, param } from "qkv";\n\nexport default model("m", {}, () => {\n  const x: any = input("x", "f32", ["n", 64]);\n  const y = matmul(x, param("w", [32, 8]));\n  return { y };\n});\n',
    );
    const outcome = await qkv(["print", model]);
    expectMistake(outcome, /^QKV1\d\d$/);
    expect(outcome.stderr).toMatch(/shape\.ts:5:\d+/);
    expect(outcome.stderr).toMatch(/5 \| {3}const y = matmul\(x, param\("w", \[32, 8\]\)\);/);
    expect(outcome.stderr).toMatch(/\^{2,}/);
    expect(outcome.stderr).toMatch(/64[\s\S]*32/);
  });

  test("a type mistake has file, line, column and the source", async () => {
    const model = own(
      "type.ts",
      'import { input, model } from "qkv";\n\nexport default model("m", {}, () => ({\n  y: input("x", "f33", ["n"]),\n}));\n',
    );
    const outcome = await qkv(["print", model]);
    expectMistake(outcome, /^QKV1\d\d$/);
    expect(outcome.stderr).toMatch(/type\.ts:4:\d+/);
    expect(outcome.stderr).toContain("f33");
  });

  test("a type mistake that builds all the same is told by the type checker, unless it is not asked", async () => {
    const model = own(
      "typed.ts",
      'import { input, model } from "qkv";\n\nconst width: string = 3;\nexport default model("m", {}, () => ({\n  y: input("x", "f32", ["n", Number(width)]),\n}));\n',
    );
    const outcome = await qkv(["print", model], { types: true });
    expectMistake(outcome, "QKV136");
    expect(outcome.stderr).toMatch(/typed\.ts:3:7/);
    expect(await qkvRight(["print", model])).toContain("f32[n, 3]");
  });

  test("mask functions are drawn, as text and as pictures", async () => {
    const model = own(
      "local.ts",
      'import { attention, input, model } from "qkv";\n\nexport default model("local", { window: 8 }, ({ window }) => {\n  const q = input("q", "f32", ["batch", 2, "seq", 4]);\n  return { y: attention(q, q, q, { mask: ({ q, k }) => k <= q && q - k < window }) };\n});\n',
    );
    const png = join(dirname(model), "mask.png");
    const drawn = await qkvRight(["print", model, "--mask", "--mask-block", "8", "--dims", "seq=32", "--png", png]);
    expect(drawn).toContain("k <= q && q - k < 8");
    expect(drawn).toMatch(/^▒▒·+$/m);
    expect(drawn).toMatch(/0 full, 7 partial, 9 empty/);
    expect([...readFileSync(png).subarray(1, 4)]).toEqual([..."PNG"].map((c) => c.charCodeAt(0)));
    expect(drawn).toContain("causal · at most 7 back");
    expectMistake(await qkv(["print", linear, "--mask"]), "QKV510");
    expectMistake(await qkv(["print", model, "--mask", "--mask-block", "0"]), "QKV248");
    expectMistake(await qkv(["print", model, "--mask", "--mask-head", "2"]), "QKV510");
  });

  test("a syntax error has its place", async () => {
    const outcome = await qkv(["print", own("syntax.ts", 'import { model } from "qkv";\nexport default model(;\n')]);
    expectMistake(outcome, "QKV131");
    expect(outcome.stderr).toMatch(/syntax\.ts:2:22/);
  });

  test("what its code throws has its place", async () => {
    const outcome = await qkv(["print", own("throws.ts", 'const x = 1;\nthrow new Error("no " + x);\n')]);
    expectMistake(outcome, "QKV134");
    expect(outcome.stderr).toMatch(/throws\.ts:2:7/);
  });
});

test("a reader that stops early is no failure", async () => {
  const child = spawn(process.execPath, [main, "run", linear, "--dims", "seq=3000", "--no-types"], {
    cwd: checkout,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  child.stdout.once("data", () => child.stdout.destroy());
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("demo embeds the sentences given", async () => {
  const {
    code,
    stdout: text,
    stderr,
  } = await qkvAlone(["demo", "a cat", "a kitten", "the stock market", "-o", at("demo.onnx")]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const tables = [...text.matchAll(/^cosine, (naive|optimised) /gm)].map(([, name]) => name);
  expect(tables).toEqual(["naive", "optimised"]);
  for (const name of ["naive", "ort", "optimised"]) expect(text).toMatch(new RegExp(`^${name} .* yes$`, "m"));
  expect(readFileSync(at("demo.onnx")).byteLength).toBeGreaterThan(1000);
  expect(text).toMatch(/wrote .*demo\.onnx/);
});
