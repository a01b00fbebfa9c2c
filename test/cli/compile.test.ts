import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { simplify } from "onnxsim";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeModel } from "../../src/backends/onnx/decode.ts";
import { compareOutputs } from "../../src/backends/ort/compare-outputs.ts";
import { type OptimizationLevel, openSession } from "../../src/backends/ort/session.ts";
import { writeSafetensors } from "../../src/backends/weights/safetensors-write.ts";
import { fromNumbers, type HostTensor } from "../../src/ir/tensor.ts";
import { buildTimeout, built, qkv, qkvAlone, qkvRight, temporaryFolder } from "./support/command.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const linear = "models/linear-attention.ts";
const levels: readonly OptimizationLevel[] = ["disabled", "basic", "extended", "all"];

beforeAll(built, buildTimeout);

const compileTo = async (name: string, args: readonly string[]): Promise<Uint8Array> => {
  await qkvRight(["compile", ...args, "-o", at(name)]);
  return readFileSync(at(name));
};

const x = (n: number) =>
  new Map([
    [
      "x",
      fromNumbers(
        "f32",
        [64, n],
        Float64Array.from({ length: 64 * n }, (_, i) => Math.sin(i)),
      ),
    ],
  ]);

async function run(model: Uint8Array, feeds: ReadonlyMap<string, HostTensor>, level: OptimizationLevel = "all") {
  const session = await openSession(model, { level });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

test("twice gives the same bytes, whatever the process, and another seed others", async () => {
  const first = await compileTo("first.onnx", [linear]);
  expect(await compileTo("second.onnx", [linear])).toEqual(first);
  expect((await qkvAlone(["compile", linear, "-o", at("alone.onnx")])).code).toBe(0);
  expect(readFileSync(at("alone.onnx"))).toEqual(first);
  expect(await compileTo("zero.onnx", [linear, "--seed", "0"])).toEqual(first);
  expect(await compileTo("other.onnx", [linear, "--seed", "1"])).not.toEqual(first);
});

test("over a file that is there", async () => {
  await compileTo("over.onnx", [linear, "--seed", "1"]);
  expect(await compileTo("over.onnx", [linear])).toEqual(await compileTo("fresh.onnx", [linear]));
});

test("--json says what was done", async () => {
  const report = JSON.parse(await qkvRight(["compile", linear, "-o", at("told.onnx"), "--json"]));
  expect(report).toEqual({
    model: "linear-attention",
    target: "ort-cpu",
    opset: expect.any(Number),
    files: [at("told.onnx")],
    bytes: readFileSync(at("told.onnx")).byteLength,
    nodes: decodeModel(readFileSync(at("told.onnx"))).graph.nodes.length,
    passes: expect.arrayContaining([expect.objectContaining({ name: "canonicalise" })]),
  });
});

test("--naive keeps what was declared, and both give the same", async () => {
  const naive = await compileTo("naive.onnx", [linear, "--naive"]);
  expect(decodeModel(naive).graph.nodes.map(({ opType }) => opType)).toEqual(new Array(5).fill("Einsum"));
  const optimised = await compileTo("optimised.onnx", [linear]);
  expect(decodeModel(optimised).graph.nodes.map(({ opType }) => opType)).not.toContain("Einsum");
  expect(compareOutputs(await run(naive, x(17)), await run(optimised, x(17))).equal).toBe(true);
});

test("--dims freezes dims in the file; without, their names stay", async () => {
  const dims = async (args: readonly string[]) =>
    decodeModel(await compileTo("dims.onnx", [linear, ...args])).graph.inputs[0];
  expect(await dims([])).toMatchObject({ shape: [64, "seq"] });
  expect(await dims(["--dims", "seq=7"])).toMatchObject({ shape: [64, 7] });
});

test("the author's names and the producer are in the file", async () => {
  const { graph, producerName, metadata } = decodeModel(await compileTo("named.onnx", [linear, "--naive"]));
  expect(graph.nodes.flatMap(({ outputs }) => outputs)).toEqual(["v", "k", "q", "scores", "o"]);
  expect(producerName).toBe("qkv");
  expect(metadata.get("qkv.source")).toBe("linear-attention.ts");
});

test("--dispatch emits both forms behind If", async () => {
  const model = await compileTo("dispatch.onnx", [linear, "--dispatch"]);
  expect(decodeModel(model).graph.nodes.map(({ opType }) => opType)).toContain("If");
  const plain = await compileTo("plain.onnx", [linear, "--naive"]);
  for (const n of [1, 33, 65, 300]) {
    const expected = await run(plain, x(n), "disabled");
    for (const level of levels) expect(compareOutputs(expected, await run(model, x(n), level)).equal).toBe(true);
  }
});

test("--print-after all prints every pass to stderr", async () => {
  const { code, stderr } = await qkv(["compile", linear, "-o", at("printed.onnx"), "--print-after", "all"]);
  expect(code).toBe(0);
  const { passes } = JSON.parse(await qkvRight(["compile", linear, "-o", at("printed.onnx"), "--json"]));
  expect([...stderr.matchAll(/^\/\/ after (.+)$/gm)].map(([, name]) => name)).toEqual(
    passes.map(({ name }: { name: string }) => name),
  );
  const one = await qkv(["compile", linear, "-o", at("printed.onnx"), "--print-after", "canonicalise"]);
  expect(one.stderr).toContain("// after canonicalise\ngraph @");
  expect(one.stderr).not.toContain("// after legalise");
});

test("--set takes lists", async () => {
  const set = ["--set", "heads=2,offsets=[0,3],d=4"];
  const { stdout } = await qkv(["print", "models/variants/documents.ts", ...set]);
  expect(stdout).toContain("f32[batch, 2, seq, 4]");
  const nested = await qkv(["print", linear, "--set", "d=[[1,2],[3,4]]"]);
  expect(nested.stderr).toContain("QKV118");
});

test("--weights and --set", async () => {
  const weights = new Map(
    ["wq", "wk", "wv"].map((name, i) => [name, fromNumbers("f32", [8, 8], new Float64Array(64).fill((i + 1) / 8))]),
  );
  writeSafetensors(at("weights.safetensors"), weights);
  const model = await compileTo("weights.onnx", [linear, "--weights", at("weights.safetensors"), "--set", "d=8"]);
  const ones = fromNumbers("f32", [8, 3], new Float64Array(24).fill(1));
  // Every entry of q, k and v is 1, 2 and 3; scores are 8·1·2, outputs 3 · 16 over 3 tokens.
  const { data } = (await run(model, new Map([["x", ones]]))).get("o")!;
  expect([...(data as Float32Array)]).toEqual(new Array(24).fill(144));
});

test("weights above the limit go to a second file that loads", async () => {
  await compileTo("large.onnx", ["models/encoder.ts", "--set", "layers=8,vocab=17", "--no-check"]);
  expect(readdirSync(folder)).toContain("large.onnx.data");
  const session = await openSession(at("large.onnx"));
  await session.close();
});

describe("standard ONNX", () => {
  test.each([17, 18, 19, 20, 21, 22, 23, 24])(
    "operator set %i: no custom ops, all levels agree, the checker accepts it",
    async (opset) => {
      for (const [name, feeds] of [
        [
          "multi-head",
          new Map([
            [
              "x",
              fromNumbers(
                "f32",
                [2, 17, 64],
                Float64Array.from({ length: 2176 }, (_, i) => Math.cos(i)),
              ),
            ],
          ]),
        ],
        [
          "encoder",
          new Map([
            [
              "ids",
              fromNumbers(
                "i64",
                [2, 9],
                Float64Array.from({ length: 18 }, (_, i) => i % 17),
              ),
            ],
          ]),
        ],
      ] as const) {
        const set = name === "encoder" ? "layers=1,d=32,heads=4,ffn=48,vocab=17" : "d=64";
        const args = [`models/${name}.ts`, "--set", set, "--target", "onnx", "--opset", String(opset)];
        const model = await compileTo(`${name}-${opset}.onnx`, args);
        const { opsetImports, graph } = decodeModel(model);
        expect(opsetImports).toEqual([{ domain: "", version: opset }]);
        expect(graph.nodes.map(({ domain }) => domain ?? "")).toEqual(graph.nodes.map(() => ""));
        const naive = await compileTo(`${name}-naive.onnx`, [
          `models/${name}.ts`,
          "--set",
          set,
          "--naive",
          "--no-check",
        ]);
        const expected = await run(naive, feeds, "disabled");
        for (const level of levels)
          expect({ name, level, equal: compareOutputs(expected, await run(model, feeds, level)).equal }).toEqual({
            name,
            level,
            equal: true,
          });
        expect((await simplify(model)).model.length).toBeGreaterThan(0);
      }
    },
  );
});

test("nothing but the file is left", async () => {
  const before = readdirSync(folder);
  await compileTo("only.onnx", [linear]);
  expect(readdirSync(folder).toSorted()).toEqual([...new Set([...before, "only.onnx"])].toSorted());
});
