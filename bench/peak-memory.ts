import { encodeModel } from "../src/backends/onnx/encode.ts";
import { compareOutputs } from "../src/backends/ort/compare-outputs.ts";
import { peakMemory } from "../src/backends/ort/memory.ts";
import { type OptimizationLevel, openSession } from "../src/backends/ort/session.ts";
import { type Compiled, compile } from "../src/compile.ts";
import type { Settings } from "../src/dsl/model.ts";
import { completeDims, randomFeeds } from "../src/feeds.ts";
import type { HostTensor } from "../src/ir/tensor.ts";
import { type Cell, column, type Measurement } from "./measurement.ts";
import { modelFile } from "./three-way.ts";

interface Case {
  readonly name: string;
  readonly path: string;
  readonly settings: Settings;
}

const cases: readonly Case[] = [
  { name: "multi-head, 8 heads of 64", path: "models/multi-head.ts", settings: {} },
  { name: "multi-head, causal", path: "models/multi-head.ts", settings: { causal: true } },
  { name: "encoder, 2 layers, d 512", path: "models/encoder.ts", settings: {} },
];

/** Attention that never holds its scores needs memory in proportion to the length, not to its square. */
export const peakMemoryOfAttention: Measurement = {
  name: "peak-memory",
  doc: "Growth of the process while one long sequence runs, each variant in a process of its own.",
  async run(report) {
    const seq = report.quick ? 1024 : 4096;
    const rows: Cell[][] = [];
    for (const { name, path, settings } of cases) {
      report.progress(name);
      const built = (await modelFile(path)).build(settings);
      const dims = completeDims(built.graph, new Map([["seq", seq]]));
      const feeds = randomFeeds(built.graph, dims, 0);
      const naive = bytesOf(await compile(built, { hints: dims, naive: true }));
      const optimised = bytesOf(await compile(built, { hints: dims }));
      const { equal, maxRelError } = compareOutputs(
        await runOnce(naive, feeds, "disabled"),
        await runOnce(optimised, feeds),
      );
      const peaks: number[] = [];
      for (const [bytes, level] of [
        [naive, "disabled"],
        [naive, "all"],
        [optimised, "all"],
      ] as const)
        peaks.push((await peakMemory(bytes, feeds, { level })).peakBytes);
      const [first, ort, ours] = peaks as [number, number, number];
      const ratio = (peak: number) => (equal ? peak / ours : null);
      rows.push([name, first, ort, ours, ratio(first), ratio(ort), maxRelError, equal ? "yes" : "NO"]);
    }
    report.table({
      title: `peak memory at seq ${seq}`,
      columns: [
        column("case", "text"),
        column("naive", "bytes"),
        column("ort", "bytes"),
        column("optimised", "bytes"),
        column("naive ÷ optimised", "ratio"),
        column("ort ÷ optimised", "ratio"),
        column("largest relative difference from naive", "error"),
        column("equal", "text"),
      ],
      rows,
    });
  },
};

const bytesOf = (compiled: Compiled) => encodeModel(compiled.onnx(), { externalDataLimit: 2 ** 30 }).model;

async function runOnce(
  model: Uint8Array,
  feeds: ReadonlyMap<string, HostTensor>,
  level: OptimizationLevel = "all",
): Promise<ReadonlyMap<string, HostTensor>> {
  const session = await openSession(model, { level });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}
