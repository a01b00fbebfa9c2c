import { encodeModel } from "../src/backends/onnx/encode.ts";
import { quantile } from "../src/backends/ort/measure.ts";
import { type Buildable, type CompileOptions, compile } from "../src/compile.ts";
import { Arena, graphOf } from "../src/ir/arena.ts";
import { symbol } from "../src/ir/dim.ts";
import { nodesOf } from "../src/ir/graph.ts";
import type { PassStep } from "../src/passes/instruments.ts";
import { type Cell, column, type Measurement, type Report } from "./measurement.ts";
import { modelFile } from "./three-way.ts";

interface Stages {
  readonly declare: number;
  readonly passes: number;
  readonly lower: number;
  readonly encode: number;
  readonly steps: readonly PassStep[];
  readonly declaredNodes: number;
  readonly onnxNodes: number;
  readonly bytes: number;
}

const total = ({ declare, passes, lower, encode }: Stages) => declare + passes + lower + encode;

/** Time from declaration to bytes. */
export const compileTime: Measurement = {
  name: "compile-time",
  doc: "Declaring, all passes, lowering and encoding: a 12-layer encoder, then models of up to 100,000 nodes.",
  async run(report) {
    await encoderOf12(report);
    await growth(report);
  },
};

async function stagesOf(model: Buildable, options: CompileOptions): Promise<Stages> {
  const t0 = performance.now();
  const declared = model.build(options.settings);
  const t1 = performance.now();
  const compiled = await compile(declared, options);
  const t2 = performance.now();
  const onnx = compiled.onnx();
  const t3 = performance.now();
  const { model: bytes } = encodeModel(onnx, { externalDataLimit: 2 ** 30 });
  const t4 = performance.now();
  return {
    declare: t1 - t0,
    passes: t2 - t1,
    lower: t3 - t2,
    encode: t4 - t3,
    steps: compiled.steps,
    declaredNodes: nodesOf(declared.graph).length,
    onnxNodes: onnx.graph.nodes.length,
    bytes: bytes.byteLength,
  };
}

async function encoderOf12(report: Report): Promise<void> {
  const encoder = await modelFile("models/encoder.ts");
  const repeats = report.quick ? 5 : 25;
  const rows: Cell[][] = [];
  let last: Stages | undefined;
  for (const d of [64, 512]) {
    // Random weights are drawn while lowering: at width 64 they weigh nothing, at 512 they are nearly all of the time.
    const options = { settings: { layers: 12, d, heads: d / 16, ffn: 4 * d } };
    const samples: Stages[] = [];
    for (let i = 0; i < (d === 64 ? repeats : 2); i++) {
      report.progress(`12 layers of ${d}: ${i + 1}`);
      samples.push(await stagesOf(encoder, options));
    }
    const warm = samples.slice(1);
    const median = (of: (stages: Stages) => number) => quantile(warm.map(of), 0.5);
    rows.push([
      `12 layers, d ${d}`,
      last ? null : total(samples[0]!),
      median(({ declare }) => declare),
      median(({ passes }) => passes),
      median(({ lower }) => lower),
      median(({ encode }) => encode),
      median(total),
      warm[0]!.declaredNodes,
      warm[0]!.onnxNodes,
      warm[0]!.bytes,
    ]);
    last ??= warm.at(-1)!;
  }
  report.table({
    title: "12-layer encoder, ort-cpu (medians, warm; lowering includes drawing random weights)",
    columns: [
      column("case", "text"),
      column("first", "ms"),
      column("declare", "ms"),
      column("passes", "ms"),
      column("lower", "ms"),
      column("encode", "ms"),
      column("total", "ms"),
      column("nodes declared", "count"),
      column("nodes written", "count"),
      column("file", "bytes"),
    ],
    rows,
  });
  report.table({
    title: "passes of the last warm compile, d 64",
    columns: [column("pass", "text"), column("time", "ms"), column("nodes before", "count"), column("after", "count")],
    rows: last!.steps.map(({ pass, milliseconds, before, after }) => [
      pass.name,
      milliseconds,
      nodesOf(before).length,
      nodesOf(after).length,
    ]),
  });
}

/** A long chain of elementwise ops: depth without width. */
const chain = (length: number): Buildable => ({
  build() {
    const arena = new Arena();
    const { build } = arena;
    const x = build.input({ name: "x", dtype: "f32", shape: [symbol("n")] });
    let y = x;
    for (let i = 0; i < length; i++) y = i % 2 === 0 ? build.tanh(y) : build.add(y, x);
    return { graph: graphOf("chain", [x], [["y", y]]), arena };
  },
});

async function growth(report: Report): Promise<void> {
  const encoder = await modelFile("models/encoder.ts");
  const small = { d: 8, heads: 2, ffn: 16, vocab: 16 };
  const nodesWith = (layers: number) => nodesOf(encoder.build({ ...small, layers }).graph).length;
  const perLayer = nodesWith(3) - nodesWith(2);
  const sizes = report.quick ? [1000, 10_000] : [1000, 3000, 10_000, 30_000, 100_000];
  const shapes = [
    (n: number) => ({
      name: "encoder layers, d 8",
      model: encoder,
      options: { settings: { ...small, layers: Math.round(n / perLayer) } },
    }),
    (n: number) => ({ name: "chain", model: chain(n), options: {} }),
  ];
  for (const shape of shapes) {
    const rows: Cell[][] = [];
    for (const n of sizes) {
      const { name, model, options } = shape(n);
      report.progress(`${name}: ${n} nodes`);
      const stages = await stagesOf(model, options);
      const { declaredNodes: nodes, declare, passes, lower, encode } = stages;
      rows.push([nodes, declare, passes, lower, encode, total(stages), (1000 * total(stages)) / nodes]);
    }
    report.table({
      title: `growth: ${shape(1000).name}`,
      columns: [
        column("nodes", "count"),
        column("declare", "ms"),
        column("passes", "ms"),
        column("lower", "ms"),
        column("encode", "ms"),
        column("total", "ms"),
        column("ms per 1,000 nodes", "ms"),
      ],
      rows,
    });
  }
}
