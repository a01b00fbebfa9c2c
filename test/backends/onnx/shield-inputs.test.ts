import { simplify } from "onnxsim";
import { describe, expect, test } from "vitest";
import { encodeModel } from "../../../src/backends/onnx/encode.ts";
import { shieldInputs } from "../../../src/backends/onnx/shield-inputs.ts";
import { openSession } from "../../../src/backends/ort/session.ts";
import { compile } from "../../../src/compile.ts";
import { input, matmul, model, param } from "../../../src/dsl/index.ts";
import { hostTensor } from "../../../src/ir/tensor.ts";

const products = (count: number) =>
  model(`products-${count}`, () => {
    const x = input("x", "f32", ["seq", 4]);
    return Object.fromEntries(Array.from({ length: count }, (_, i) => [`y${i}`, matmul(x, param(`w${i}`, [4, 3]))]));
  });
const opsOf = ({ graph }: Awaited<ReturnType<typeof made>>) => graph.nodes.map(({ opType }) => opType);
const made = async (count: number) => (await compile(products(count), { naive: true })).onnx();

describe("products of one graph input", () => {
  test("read a copy of it where there are three", async () => {
    const model = await made(3);
    const shielded = shieldInputs(model);
    expect(opsOf(shielded)).toEqual(["Identity", ...opsOf(model)]);
    const feeds = new Map([
      [
        "x",
        hostTensor(
          "f32",
          [2, 4],
          Float32Array.from({ length: 8 }, (_, i) => i),
        ),
      ],
    ]);
    const outputs = [];
    for (const each of [model, shielded]) {
      const session = await openSession(encodeModel(each).model, { level: "disabled" });
      outputs.push(await session.run(feeds));
      await session.close();
    }
    expect(outputs[1]).toEqual(outputs[0]);
  });

  test("read it directly where there are two", async () => {
    const model = await made(2);
    expect(shieldInputs(model)).toBe(model);
  });

  test("pass the checker and its optimiser for the standard target", async () => {
    const { onnx } = await compile(products(3), { target: "onnx" });
    expect((await simplify(encodeModel(onnx()).model)).model.length).toBeGreaterThan(0);
  });
});
