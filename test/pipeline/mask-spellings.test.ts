import { expect, it } from "vitest";
import { encodeModel } from "../../src/backends/onnx/encode.ts";
import { type OptimizationLevel, openSession } from "../../src/backends/ort/session.ts";
import { type CompileOptions, compile } from "../../src/compile.ts";
import { randomFeeds } from "../../src/feeds.ts";
import { Arena } from "../../src/ir/arena.ts";
import { toFloat64 } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";
import { spelled } from "../support/mask-spellings.ts";

/** How many spellings are tried; all that `QKV_SPELLINGS` says in a long run. */
const count = Number(process.env.QKV_SPELLINGS ?? 40);
const lowest = -3.4028234663852886e38;
/** As `transformers` fills, and as people do. */
const fills = [lowest, lowest, Number.NEGATIVE_INFINITY, -1e9, -1e4];
const sizes = [
  { B: 1, S: 1, P: 2, T: 3 },
  { B: 3, S: 5, P: 3, T: 7 },
].map((each) => new Map(Object.entries(each)));
/** Of a score less 10⁴ a thousandth is left. */
const tolerance = 5e-3;
const levels: readonly OptimizationLevel[] = ["disabled", "all"];

/** Where the first is no number, as in rows that see nothing under minus infinity, anything may be. */
const apart = (expected: Float64Array, actual: Float64Array): number =>
  expected.reduce((worst, x, i) => (Number.isNaN(x) ? worst : Math.max(worst, Math.abs(x - actual[i]!) || 0)), 0);

it("the runtime gives rows that see nothing what masks in every spelling do", async () => {
  const wrong: string[] = [];
  for (let seed = 0; seed < count; seed++) {
    const model = (options: CompileOptions) => {
      const arena = new Arena();
      return compile({ arena, ...spelled(arena, seed, fills) }, { opset: 23, ...options });
    };
    const naive = await model({ naive: true });
    const runs = sizes.map((each, i) => randomFeeds(naive.declared, each, 10 * seed + i, "masked"));
    // In float32: of a score less 10⁹ little is left there.
    const expected = await Promise.all(runs.map((feeds) => runModel(naive.onnx(), feeds, { level: "disabled" })));
    for (const target of ["ort-cpu", "onnx"])
      for (const level of levels) {
        const session = await openSession(encodeModel((await model({ target })).onnx()).model, { level, threads: 1 });
        for (const [i, feeds] of runs.entries()) {
          const [want, got] = [expected[i]!, await session.run(feeds)].map((outputs) => toFloat64(outputs.get("o")!));
          const by = apart(want!, got!);
          if (by > tolerance)
            wrong.push(`seed ${seed}, ${target}, ${level}: ${spelled(new Arena(), seed, fills).text}: ${by}`);
        }
        await session.close();
      }
  }
  expect(wrong).toEqual([]);
});
