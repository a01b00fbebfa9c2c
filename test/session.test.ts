import { describe, expect, test } from "vitest";
import { checkAgainst } from "../src/check.ts";
import { compile } from "../src/compile.ts";
import { einsum, input, matmul, model, param, softmax } from "../src/dsl/index.ts";
import { graphOf } from "../src/ir/arena.ts";
import { QkvError } from "../src/ir/diagnostics.ts";
import { hostTensor } from "../src/ir/tensor.ts";
import type { Pass } from "../src/passes/pass.ts";
import { checkRunnable, runModel, session } from "../src/session.ts";

const scores = model("scores", () => {
  const x = input("x", "f32", ["seq", 3]);
  return { y: softmax(einsum("i d, j d -> i j", x, matmul(x, param("w", [3, 3])))) };
});
const rows = (length: number) => new Map([["x", hostTensor("f32", [length, 3], new Float32Array(3 * length).fill(1))]]);

const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run();
  } catch (error) {
    return error instanceof QkvError ? error.code : String(error);
  }
  return "nothing was thrown";
};

test("a session runs a compiled model again and again", async () => {
  const open = await session(await compile(scores));
  try {
    for (const length of [1, 17, 33]) {
      const y = (await open.run(rows(length))).get("y")!;
      expect(y.dims).toEqual([length, length]);
      // All rows of x are equal, so all keys weigh alike.
      expect(y.data[0]).toBeCloseTo(1 / length, 6);
    }
  } finally {
    await open.close();
  }
});

describe("inputs without elements", () => {
  test("are refused where the runtime's Einsum would end the process", async () => {
    const naive = await compile(scores, { naive: true });
    expect(await codeOf(() => runModel(naive.onnx(), rows(0)))).toBe("QKV509");
    expect(await codeOf(() => checkRunnable(naive.onnx(), rows(1)))).toBe("nothing was thrown");
  });
  test("run where there is none", async () => {
    const { onnx } = await compile(scores);
    expect((await runModel(onnx(), rows(0))).get("y")!.dims).toEqual([0, 0]);
  });
});

describe("the check before a file is written", () => {
  const naive = () => compile(scores, { naive: true });
  test("passes what gives equal outputs", async () => {
    expect(await checkAgainst(await naive(), await compile(scores))).toBe(true);
  });
  test("refuses what does not", async () => {
    const doubling: Pass = {
      name: "doubling",
      doc: "Wrong on purpose.",
      run: (graph, { arena }) =>
        graphOf(
          graph.name,
          graph.inputs,
          graph.outputs.map(({ name, value }) => [name, arena.build.add(value, value)]),
        ),
    };
    expect(await codeOf(async () => checkAgainst(await naive(), await compile(scores, { passes: [doubling] })))).toBe(
      "QKV506",
    );
  });
});
