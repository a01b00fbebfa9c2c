import { measure } from "../src/backends/ort/measure.ts";
import { peakMemory } from "../src/backends/ort/memory.ts";
import { openSession } from "../src/backends/ort/session.ts";
import { compile, type Declared } from "../src/compile.ts";
import { randomFeeds } from "../src/feeds.ts";
import {
  type AttentionOptions,
  attention,
  heads as headsOf,
  input,
  type MaskFunction,
  merge,
  model,
  type ScoreFunction,
} from "../src/index.ts";
import { againstDense, bytesOf } from "./against-dense.ts";
import { type Cell, column, type Measurement, type Report } from "./measurement.ts";

const [heads, width] = [8, 64];

/** Inputs and outputs: heads × seq × width, or seq × (heads · width) that is split into heads and merged again. */
type Layout = "heads" | "tokens";

interface Case {
  readonly name: string;
  readonly seq: number;
  readonly options: AttentionOptions;
  /** Default: heads. */
  readonly layout?: Layout;
  readonly target?: "onnx" | "ort-cpu";
  /** How many times faster than dense without the runtime's optimiser is asked for. */
  readonly asked?: number;
}

const causal: MaskFunction = ({ q, k }) => k <= q;
const alibi: ScoreFunction = (s, { h, q, k }) => s + (k - q) * 2 ** -(h + 1);
const window =
  (size: number): MaskFunction =>
  ({ q, k }) =>
    k <= q && q - k < size;
const around =
  (reach: number): MaskFunction =>
  ({ q, k }) =>
    Math.abs(q - k) <= reach;
const longformer =
  (reach: number, globals: number): MaskFunction =>
  ({ q, k }) =>
    Math.abs(q - k) <= reach || q < globals || k < globals;
const documents = (count: number, length: number): MaskFunction => {
  const document = Array.from({ length: count * length }, (_, i) => Math.floor(i / length));
  return ({ q, k }) => document[q] === document[k];
};
const cap = 50;

const cases: readonly Case[] = [
  ...(
    [
      [128, 1.4],
      [1024, 1.45],
      [4096, 2.2],
    ] as const
  ).flatMap(([seq, asked]) =>
    (["heads", "tokens"] as const).map((layout) => ({
      ...{ name: layout === "heads" ? "causal" : "causal, split into heads", seq, asked, layout },
      options: { mask: causal },
    })),
  ),
  ...(
    [
      [1024, 4],
      [2048, 7],
      [4096, 16],
    ] as const
  ).map(([seq, asked]) => ({
    ...{ name: "window 128", seq, asked },
    options: { mask: window(128) },
  })),
  { name: "window 256", seq: 4096, asked: 10, options: { mask: window(256) } },
  { name: "both sides, 128 each", seq: 4096, asked: 10, options: { mask: around(128) }, target: "onnx" },
  { name: "both sides, 128 each", seq: 4096, asked: 10, options: { mask: around(128) } },
  {
    ...{ name: "soft-cap, causal", seq: 2048, asked: 2.4 },
    options: { mask: causal, score: (s) => cap * Math.tanh(s / cap) },
  },
  ...[1024, 2048].map((seq) => ({ name: "ALiBi, causal", seq, options: { mask: causal, score: alibi } })),
  { name: "4 documents of 256", seq: 1024, asked: 4, options: { mask: documents(4, 256) } },
  { name: "8 documents of 256", seq: 2048, asked: 8, options: { mask: documents(8, 256) } },
  { name: "Longformer, 128 each side, 16 global", seq: 4096, asked: 6, options: { mask: longformer(128, 16) } },
  { name: "Longformer, 256 each side, 16 global", seq: 4096, options: { mask: longformer(256, 16) } },
  { name: "causal linear", seq: 4096, asked: 16, options: { mask: causal, normaliser: "none", scale: 1 } },
];

const declare = (options: AttentionOptions, layout: Layout = "heads"): Declared =>
  model("attention", {}, () => {
    const [q, k, v] = ["q", "k", "v"].map((name) =>
      layout === "heads"
        ? input(name, "f32", [1, heads, "seq", width])
        : headsOf(input(name, "f32", [1, "seq", heads * width]), heads),
    );
    const seen = attention(q!, k!, v!, options);
    return { o: layout === "heads" ? seen : merge(seen) };
  }).build();

/** The lowerings of masks and scores against dense attention, and what was asked of them. */
export const attentionVariants: Measurement = {
  name: "attention-variants",
  doc: `Masks and scores as functions, ${heads} heads of ${width}, batch 1, against the dense graph.`,
  async run(report) {
    await speeds(report);
    await growth(report);
  },
};

async function speeds(report: Report): Promise<void> {
  const rows: Cell[][] = [];
  const chosen = cases.filter(({ seq }) => !report.quick || seq <= 1024);
  for (const [i, { name, seq, options, layout, asked, target = "ort-cpu" }] of chosen.entries()) {
    report.progress(`${i + 1} of ${chosen.length}: ${name} at ${seq}`);
    const timing = report.quick ? { rounds: 3, minMs: 30 } : { budgetMs: 60_000 };
    const found = await againstDense(declare(options, layout), new Map([["seq", seq]]), { target }, timing);
    const met = asked === undefined || found.overDisabled === null ? "-" : found.overDisabled >= asked ? "yes" : "NO";
    rows.push([
      ...[name, target, seq, found.disabled.median, found.all.median, found.optimised.median],
      ...[found.overDisabled, asked ?? null, met, found.overAll, found.maxRelError, found.rules.join(", ")],
    ]);
  }
  report.table({
    title: "times against dense",
    columns: [
      ...[column("mask and score", "text"), column("target", "text"), column("seq", "count")],
      ...[column("dense", "ms"), column("dense, all", "ms"), column("ours", "ms")],
      ...[column("dense ÷ ours", "ratio"), column("asked", "ratio"), column("met", "text")],
      ...[column("dense, all ÷ ours", "ratio"), column("largest relative error", "error"), column("rules", "text")],
    ],
    rows,
  });
}

/** With a fixed window, time and memory are to grow with the length, not with its square: no dense graph beside it. */
async function growth(report: Report): Promise<void> {
  const rows: Cell[][] = [];
  const declared = declare({ mask: window(256) });
  let before: readonly [ms: number, bytes: number] | undefined;
  for (const seq of report.quick ? [1024, 2048] : [4096, 8192, 16_384, 32_768]) {
    report.progress(`window 256 at ${seq}`);
    const hints = new Map([["seq", seq]]);
    const bytes = bytesOf(await compile(declared, { hints }));
    const feeds = randomFeeds(declared.graph, hints, 0);
    const session = await openSession(bytes, { level: "all" });
    const [time] = await measure([{ name: "ours", session, feeds }], { budgetMs: 20_000 }).finally(session.close);
    const { peakBytes } = await peakMemory(bytes, feeds, { level: "all" });
    const { median } = time!;
    rows.push([seq, median, before ? median / before[0] : null, peakBytes, before ? peakBytes / before[1] : null]);
    before = [median, peakBytes];
  }
  report.table({
    title: "window 256 over the length: 2.00× for each doubling is asked",
    columns: [
      ...[column("seq", "count"), column("ours", "ms"), column("× the time before", "ratio")],
      ...[column("peak memory", "bytes"), column("× the memory before", "ratio")],
    ],
    rows,
  });
}
