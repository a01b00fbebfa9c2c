import { expect, test } from "vitest";
import { compile } from "../../src/compile.ts";
import { constant, input, model, onnx, onnxResults, type Tensor } from "../../src/index.ts";
import { QkvError } from "../../src/ir/diagnostics.ts";
import { fromNumbers } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";

const f32 = { dtype: "f32", shape: ["n"], opset: 21 } as const;

const declared = model("m", () => {
  const x = input("x", "f32", ["n"]);
  const mapped = onnx("Selu", [x], { ...f32, attributes: { alpha: { float: 2 }, gamma: 0.5 } });
  const least = onnx("Clip", [mapped, null, constant(0.5)], f32);
  const [bytes, scale, zero] = onnxResults("DynamicQuantizeLinear", [x], {
    results: [
      { dtype: "u8", shape: ["n"] },
      { dtype: "f32", shape: [] },
      { dtype: "u8", shape: [] },
    ],
    opset: 21,
  });
  const [values, counts] = onnxResults("Unique", [x], {
    results: [
      { dtype: "f32", shape: ["found"] },
      { dtype: "i64", shape: ["found"] },
    ],
    opset: 21,
    attributes: { sorted: 0 },
  });
  const back = onnx("DequantizeLinear", [bytes, scale, zero], f32);
  return { mapped, least, back, values, counts };
});

test("operators of ONNX are run by the runtime as they are", async () => {
  const x = fromNumbers("f32", [3], [-1, 2, -1]);
  for (const naive of [true, false]) {
    const { onnx: file } = await compile(declared.build(), { naive });
    const feeds = new Map([["x", x]]);
    const out = await runModel(file(), feeds);
    const numbers = (name: string) => Array.from(out.get(name)!.data as ArrayLike<number | bigint>, Number);
    const selu = -Math.expm1(1) / Math.E;
    expect(numbers("mapped").map((value, i) => value - [selu, 1, selu][i]!)).toEqual(
      Array(3).fill(expect.closeTo(0, 6)),
    );
    expect(numbers("least")).toEqual(numbers("mapped").map((value) => Math.min(value, 0.5)));
    expect(numbers("back")).toEqual([-1, 2, -1].map((value) => expect.closeTo(value, 1)));
    expect(numbers("values")).toEqual([-1, 2]);
    expect(numbers("counts")).toEqual([0, 1]);
  }
});

const refusal = (body: (x: Tensor) => unknown): unknown => {
  try {
    model("m", () => ({ y: body(input("x", "f32", ["n"])) as Tensor })).build();
  } catch (error) {
    return error instanceof QkvError ? error.code : error;
  }
  return "none";
};

test.each<[string, string, (x: Tensor) => unknown]>([
  ["none", "what is right", (x) => onnx("Selu", [x], f32)],
  ["QKV106", "operands that are no list", (x) => onnx("Selu", x as never, f32)],
  ["QKV106", "an operand that is no tensor", (x) => onnx("Selu", [x, 1 as never], f32)],
  ["QKV102", "an operator without a name", (x) => onnx("", [x], f32)],
  ["QKV101", "no version", (x) => onnx("Selu", [x], { dtype: "f32", shape: ["n"] } as never)],
  ["QKV109", "an element type there is not", (x) => onnx("Selu", [x], { ...f32, dtype: "f31" as never })],
  ["QKV120", "a shape that is no list", (x) => onnx("Selu", [x], { ...f32, shape: "n" as never })],
  ["QKV120", "no results", (x) => onnxResults("Selu", [x], { results: [], opset: 21 })],
  ["QKV120", "attributes that are no record", (x) => onnx("Selu", [x], { ...f32, attributes: [] as never })],
  ["QKV120", "an attribute of no kind", (x) => onnx("Selu", [x], { ...f32, attributes: { alpha: true as never } })],
  ["QKV120", "a mixed list", (x) => onnx("Selu", [x], { ...f32, attributes: { alpha: [1, "a"] as never } })],
  ["QKV120", "an option there is not", (x) => onnx("Selu", [x], { ...f32, version: 1 } as never)],
])("%s: %s", (code, _, body) => expect(refusal(body)).toBe(code));
