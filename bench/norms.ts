import { encodeModel } from "../src/backends/onnx/encode.ts";
import type { OnnxNode } from "../src/backends/onnx/schema.ts";
import { type Latency, measure } from "../src/backends/ort/measure.ts";
import { openSession, type Session } from "../src/backends/ort/session.ts";
import { graph, info, modelOf, node, numbers, tensor } from "../test/import/support.ts";
import { type Cell, column, type Measurement } from "./measurement.ts";

const sizes = [
  [16, 64],
  [128, 64],
  [16, 512],
  [128, 512],
  [1024, 512],
] as const;

/** Layer norm and root-mean-square norm of a sum: in one kernel, and in two. */
const kinds: readonly (readonly [name: string, one: OnnxNode, two: OnnxNode])[] = [
  [
    "layer norm",
    node("SkipLayerNormalization", ["x", "y", "scale", "bias"], ["o", "", "", "sum"], {}, "com.microsoft"),
    node("LayerNormalization", ["sum", "scale", "bias"], ["o"]),
  ],
  [
    "root-mean-square norm",
    node("SkipSimplifiedLayerNormalization", ["x", "y", "scale"], ["o", "", "", "sum"], {}, "com.microsoft"),
    node("RMSNormalization", ["sum", "scale"], ["o"]),
  ],
];

function session(nodes: readonly OnnxNode[], rows: number, width: number): Promise<Session> {
  const of = (name: string) => info(name, "f32", [1, rows, width]);
  const stored = ["scale", "bias"].map((name) => tensor(name, "f32", [width], Array(width).fill(1)));
  const whole = graph(nodes, ["x", "y"].map(of), ["o", "sum"].map(of), stored);
  return openSession(encodeModel(modelOf(whole, 23)).model, { threads: 1 });
}

/** Why no norm of a sum is left to a kernel that adds first (src/backends/onnx/lower/norm.ts). */
export const norms: Measurement = {
  name: "norms",
  doc: "A sum and its norm, in one kernel of the runtime and in two, one thread.",
  async run(report) {
    const rows: Cell[][] = [];
    for (const [name, one, two] of kinds)
      for (const [count, width] of report.quick ? sizes.slice(0, 1) : sizes) {
        report.progress(`${name}, ${count} rows of ${width}`);
        const feeds = new Map(["x", "y"].map((input) => [input, numbers("f32", [1, count, width])]));
        const open = [
          await session([one], count, width),
          await session([node("Sum", ["x", "y"], ["sum"]), two], count, width),
        ];
        try {
          const variants = open.map((each, i) => ({ name: String(i), session: each, feeds }));
          const [single, both] = (await measure(variants)) as [Latency, Latency];
          rows.push([name, count, width, single.median, both.median, single.median / both.median]);
        } finally {
          for (const each of open) await each.close();
        }
      }
    report.table({
      title: "norms of sums",
      columns: [
        ...[column("norm", "text"), column("rows", "count"), column("width", "count")],
        ...[column("one kernel", "ms"), column("two", "ms"), column("ratio", "ratio")],
      ],
      rows,
    });
  },
};
