import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSession, runtimeMessage, type SessionOptions } from "../../../src/backends/ort/session.ts";
import { dtypes } from "../../../src/ir/dtype.ts";
import { fromNumbers, type HostTensor } from "../../../src/ir/tensor.ts";
import { tinyModel, unary } from "./support/tiny-onnx.ts";

const feeds = (...entries: [string, HostTensor][]): Map<string, HostTensor> => new Map(entries);
const f32 = (...values: number[]) => fromNumbers("f32", [values.length], values);

async function runOnce(model: Uint8Array, inputs: ReadonlyMap<string, HostTensor>, options?: SessionOptions) {
  const session = await openSession(model, options);
  try {
    const bound = session.bind(inputs);
    for (let i = 0; i < 3; i++) await bound.run();
    return await session.run(inputs);
  } finally {
    await session.close();
  }
}

const sum = tinyModel({
  inputs: [
    { name: "a", dtype: "f32", shape: ["n", 3] },
    { name: "b", dtype: "f32", shape: ["n", 3] },
  ],
  outputs: [{ name: "c", dtype: "f32", shape: ["n", 3] }],
  nodes: [{ op: "Add", inputs: ["a", "b"], outputs: ["c"] }],
});
const row = (n: number, dtype: "f32" | "f64" = "f32") => fromNumbers(dtype, [n, 3], new Float64Array(3 * n));

test.each(dtypes.filter((dtype) => dtype !== "bf16"))("%s goes in and out unchanged", async (dtype) => {
  const values = dtype === "bool" ? [0, 1, 1] : dtype === "u8" ? [0, 7, 255] : [-2, 0, 100];
  const x = fromNumbers(dtype, [3], values);
  const outputs = await runOnce(unary("Identity", dtype, ["n"]), feeds(["x", x]));
  expect(outputs).toEqual(new Map([["y", x]]));
});

test.each([[[]], [[0]], [[2, 0, 3]], [[1, 15, 17]]])("dims %j", async (dims) => {
  const x = fromNumbers("f32", dims, new Float64Array(dims.reduce((a: number, b) => a * b, 1)).fill(1.5));
  const outputs = await runOnce(
    unary(
      "Identity",
      "f32",
      dims.map((_, axis) => `d${axis}`),
    ),
    feeds(["x", x]),
  );
  expect(outputs.get("y")).toEqual(x);
});

test("64-bit integers keep every bit", async () => {
  const data = BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n);
  const outputs = await runOnce(unary("Identity", "i64", [3]), feeds(["x", { dtype: "i64", dims: [3], data }]));
  expect(outputs.get("y")?.data).toEqual(data);
});

test("describes inputs and outputs", async () => {
  const session = await openSession(sum);
  expect(session.inputs[0]).toEqual({ name: "a", dtype: "f32", shape: ["n", 3] });
  expect(session.outputs).toEqual([{ name: "c", dtype: "f32", shape: ["n", 3] }]);
  await session.close();
  await session.close();
  expect(() => session.bind(feeds(["a", row(1)], ["b", row(1)]))).toThrow(expect.objectContaining({ code: "QKV901" }));
});

test.each(["constructor", "toString", "hasOwnProperty", "__defineGetter__", "10", "a b", "名"])(
  "a tensor named %j",
  async (name) => {
    const model = tinyModel({
      inputs: [{ name, dtype: "f32", shape: [2] }],
      outputs: [{ name: `valueOf${name}`, dtype: "f32", shape: [2] }],
      nodes: [{ op: "Neg", inputs: [name], outputs: [`valueOf${name}`] }],
    });
    const outputs = await runOnce(model, feeds([name, f32(1, 2)]));
    expect(outputs.get(`valueOf${name}`)).toEqual(f32(-1, -2));
    await expect(runOnce(model, feeds())).rejects.toMatchObject({ code: "QKV442" });
  },
);

test.each(["constructor", "toString", "valueOf"])("an output named %s", async (name) => {
  const model = tinyModel({
    inputs: [{ name: "x", dtype: "f32", shape: [2] }],
    outputs: [{ name, dtype: "f32", shape: [2] }],
    nodes: [{ op: "Neg", inputs: ["x"], outputs: [name] }],
  });
  expect(await runOnce(model, feeds(["x", f32(1, 2)]))).toEqual(new Map([[name, f32(-1, -2)]]));
});

test.each([
  ["input", "__proto__", "y"],
  ["output", "x", "__proto__"],
])("an %s named __proto__ is refused", async (role, input, output) => {
  const model = tinyModel({
    inputs: [{ name: input, dtype: "f32", shape: [2] }],
    outputs: [{ name: output, dtype: "f32", shape: [2] }],
    nodes: [{ op: "Neg", inputs: [input], outputs: [output] }],
  });
  await expect(openSession(model)).rejects.toMatchObject({ code: "QKV445", message: expect.stringContaining(role) });
});

test.each([
  ["missing", feeds(["a", row(1)]), "input `b` is missing: expected f32[n, 3]"],
  ["extra", feeds(["a", row(1)], ["b", row(1)], ["c", row(1)]), "input `c` is not one of the model's"],
  ["prototype", feeds(["a", row(1)], ["b", row(1)], ["__proto__", row(1)]), "input `__proto__` is not one"],
  ["dtype", feeds(["a", row(1)], ["b", row(1, "f64")]), "input `b`: expected f32[n, 3], given f64[1, 3]"],
  ["rank", feeds(["a", row(1)], ["b", f32(1)]), "input `b`: expected f32[n, 3], given f32[1]"],
  ["symbol", feeds(["a", row(1)], ["b", row(2)]), "input `b`: dimension n is 2, but 1 in `a`"],
  ["size", feeds(["a", row(1)], ["b", { ...row(2), dims: [1, 6] }]), "given f32[1, 6]"],
  ["length", feeds(["a", row(1)], ["b", { ...row(1), dims: [2, 3] }]), "f32[2, 3] with 3 elements"],
  ["negative", feeds(["a", row(1)], ["b", { ...row(1), dims: [-1, 3] }]), "given f32[-1, 3]"],
])("wrong inputs: %s", async (_, inputs, message) => {
  const failure = { code: "QKV442", message: expect.stringContaining(message) };
  await expect(runOnce(sum, inputs)).rejects.toMatchObject(failure);
});

test("several wrong inputs are one error", async () => {
  const session = await openSession(sum);
  await expect(session.run(feeds(["z", row(1)]))).rejects.toMatchObject({
    details: {
      notes: [
        "input `b` is missing: expected f32[n, 3]",
        "input `z` is not one of the model's",
        "the model takes a: f32[n, 3], b: f32[n, 3]",
      ],
    },
  });
  await session.close();
});

test("only the wanted outputs come back", async () => {
  const model = tinyModel({
    inputs: [{ name: "x", dtype: "f32", shape: ["n"] }],
    outputs: [
      { name: "neg", dtype: "f32", shape: ["n"] },
      { name: "abs", dtype: "f32", shape: ["n"] },
    ],
    nodes: [
      { op: "Neg", inputs: ["x"], outputs: ["neg"] },
      { op: "Abs", inputs: ["x"], outputs: ["abs"] },
    ],
  });
  const session = await openSession(model);
  const x = feeds(["x", f32(-1)]);
  expect(await session.run(x, ["abs"])).toEqual(new Map([["abs", f32(1)]]));
  await expect(session.run(x, ["sign"])).rejects.toMatchObject({ code: "QKV442" });
  await expect(session.run(x, [])).rejects.toMatchObject({ code: "QKV442" });
  await session.close();
});

test.each([
  ["nothing", new Uint8Array(0)],
  ["noise", Uint8Array.of(1, 2, 3)],
  ["cut short", sum.subarray(0, sum.length - 9)],
  ["an unknown op", unary("NoSuchOp", "f32", [1])],
  ["an unknown file", "/no/such/file.onnx"],
])("refuses %s", async (_, model) => {
  await expect(openSession(model)).rejects.toMatchObject({ code: "QKV441" });
});

test("refuses element types the binding cannot carry", async () => {
  const model = unary("Identity", "bf16", [1]);
  await expect(openSession(model)).rejects.toMatchObject({ code: "QKV444", message: expect.stringContaining("bf16") });
  const given = fromNumbers("bf16", [1], [1]);
  await expect(runOnce(unary("Neg", "f32", [1]), feeds(["x", given]))).rejects.toMatchObject({ code: "QKV442" });
});

test("a failure while running has the runtime's words and no source paths", async () => {
  const model = tinyModel({
    inputs: [{ name: "x", dtype: "i64", shape: ["n"] }],
    outputs: [{ name: "y", dtype: "f32", shape: ["m"] }],
    nodes: [{ op: "ConstantOfShape", inputs: ["x"], outputs: ["y"], name: "huge" }],
  });
  const huge = fromNumbers("i64", [1], [2 ** 46]);
  const error = await runOnce(model, feeds(["x", huge])).catch((caught) => caught);
  expect(error).toMatchObject({
    code: "QKV454",
    message: expect.stringMatching(/^there is no memory for \d+ bytes .*huge/),
  });
  expect(error.message).not.toMatch(/onnxruntime_src|\n/);
});

test("control characters of a model never reach the terminal", () => {
  expect(runtimeMessage(new Error("bad\u001b[31m\nname\u0007"))).toBe("bad [31m name");
});

test.each(["disabled", "basic", "extended", "all"] as const)("level %s", async (level) => {
  const inputs = feeds(["a", row(2)], ["b", row(2)]);
  const options = { level, threads: 1, spinning: false, disabledOptimizers: ["MatMulAddFusion", "GeluFusion"] };
  expect((await runOnce(sum, inputs, options)).get("c")).toEqual(row(2));
});

test.each([0, -1, 1.5, Number.NaN])("%d threads are refused", async (threads) => {
  await expect(openSession(sum, { threads })).rejects.toMatchObject({ code: "QKV451" });
});

test("a model file loads by its path", async () => {
  const folder = mkdtempSync(join(tmpdir(), "qkv-test-"));
  try {
    writeFileSync(join(folder, "sum.onnx"), sum);
    const session = await openSession(join(folder, "sum.onnx"));
    expect((await session.run(feeds(["a", row(1)], ["b", row(1)]))).get("c")).toEqual(row(1));
    await session.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
