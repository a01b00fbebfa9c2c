import { expect, test } from "vitest";
import { foreignLoad } from "../../../src/backends/ort/foreign-load.ts";
import { randomInputs } from "../../../src/backends/ort/inputs.ts";
import { measure, quantile } from "../../../src/backends/ort/measure.ts";
import { openSession } from "../../../src/backends/ort/session.ts";
import { tinyModel } from "./support/tiny-onnx.ts";

/** `products` matrix products of n × n, and one number out. */
const products = (n: number, count: number): Uint8Array =>
  tinyModel({
    inputs: [{ name: "x", dtype: "f32", shape: [n, n] }],
    outputs: [{ name: "y", dtype: "f32", shape: [1, 1] }],
    nodes: [
      ...Array.from({ length: count }, (_, i) => ({
        op: "MatMul",
        inputs: [i === 0 ? "x" : `p${i}`, "x"],
        outputs: [`p${i + 1}`],
      })),
      { op: "ReduceMax", inputs: [`p${count}`], outputs: ["y"] },
    ],
  });

const quick = { rounds: 3, minMs: 5, warmupMs: 5, restMs: 0 };

test("times variants in the order given, whatever order they ran in", async () => {
  const feeds = randomInputs([{ name: "x", dtype: "f32", dims: [64, 64] }], 0);
  const sessions = await Promise.all([1, 100].map((count) => openSession(products(64, count), { threads: 1 })));
  const seen: [number, number][] = [];
  const variants = sessions.map((session, i) => ({ name: `${i}`, session, feeds }));
  const [short, long] = await measure(variants, { ...quick, onProgress: (done, total) => seen.push([done, total]) });
  // A hundred times the work: an order of magnitude is safe on any machine.
  expect(long!.median).toBeGreaterThan(5 * short!.median);
  for (const { median, p10, p90, n } of [short!, long!]) {
    expect(p10).toBeLessThanOrEqual(p90);
    expect(median).toBeGreaterThan(0);
    expect(n).toBeGreaterThanOrEqual(3);
  }
  expect(seen.at(0)).toEqual([1, 6]);
  for (const [done, total] of seen) expect(done).toBeLessThanOrEqual(total);
  await Promise.all(sessions.map((session) => session.close()));
});

test("a spent budget stops after the first round", async () => {
  const session = await openSession(products(4, 1));
  const feeds = randomInputs([{ name: "x", dtype: "f32", dims: [4, 4] }], 0);
  let turns = 0;
  await measure([{ name: "a", session, feeds }], { ...quick, budgetMs: 0, onProgress: () => turns++ });
  expect(turns).toBe(1);
  await expect(measure([{ name: "a", session, feeds: new Map() }], quick)).rejects.toMatchObject({ code: "QKV442" });
  await session.close();
});

test("nothing to time", async () => expect(await measure([])).toEqual([]));

test.each([{ rounds: 0 }, { rounds: 1.5 }, { minMs: -1 }, { warmupMs: Number.NaN }, { budgetMs: -1 }, { restMs: -1 }])(
  "bad option %j",
  async (options) => {
    await expect(measure([], options)).rejects.toMatchObject({ code: "QKV451" });
  },
);

test.each([
  [[5], 0.9, 5],
  [[3, 1, 2], 0.5, 2],
  [[1, 2, 3, 4], 0.5, 2.5],
  [[0, 10], 0.1, 1],
])("quantile of %j at %d", (values, fraction, expected) => expect(quantile(values, fraction)).toBeCloseTo(expected));

test("foreign load is a count of processors", () => {
  const load = foreignLoad()();
  expect(load).toBeGreaterThanOrEqual(0);
  expect(Number.isFinite(load)).toBe(true);
});
