import { everyNode } from "../../ir/cost.ts";
import { fail } from "../../ir/diagnostics.ts";
import type { Graph } from "../../ir/graph.ts";
import type { Target } from "../../passes/target.ts";
import { opsetRange } from "./opsets.ts";
import { graphOfText } from "./proto-text.ts";
import type { OnnxGraph } from "./schema.ts";

const reductions = [
  "ReduceL1",
  "ReduceL2",
  "ReduceLogSum",
  "ReduceLogSumExp",
  "ReduceMax",
  "ReduceMean",
  "ReduceMin",
  "ReduceProd",
  "ReduceSumSquare",
];

/**
 * Versions of the standard operator set, from 7 on, at which an operator changed so that a node of an earlier version is
 * no node of a later one: an attribute became an operand, or means another thing. Additions are none.
 *
 * DequantizeLinear is the same; but from 21 on ONNX Runtime 1.30's optimiser puts a QuantizeLinear beside it that it then
 * refuses to load (microsoft/onnxruntime#25526). Where `com.microsoft` may be used, its operator of that name is.
 */
const changes: ReadonlyMap<string, readonly number[]> = new Map<string, readonly number[]>([
  ["BatchNormalization", [9, 14]],
  ["Clip", [11]],
  ["DequantizeLinear", [21]],
  ["DFT", [20]],
  ["Dropout", [12]],
  ["GridSample", [20]],
  ["GroupNormalization", [21]],
  ["Hardmax", [13]],
  ["LogSoftmax", [13]],
  ["Pad", [11]],
  ["ReduceSum", [13]],
  ["Resize", [11]],
  ["Scan", [9]],
  ["Slice", [10]],
  ["Softmax", [13]],
  ["Split", [13]],
  ["Squeeze", [13]],
  ["TopK", [10]],
  ["Unsqueeze", [13]],
  ["Upsample", [9, 10]],
  ...reductions.map((name): [string, readonly number[]] => [name, [18]]),
]);

/** Versions operators came with that are newer than the least one written. */
const introduced: ReadonlyMap<string, number> = new Map([
  ...["BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"].map((name): [string, number] => [name, 18]),
  ["CenterCropPad", 18],
  ["Col2Im", 18],
  ["GroupNormalization", 18],
  ["Mish", 18],
  ["DeformConv", 19],
  ["AffineGrid", 20],
  ["Gelu", 20],
  ["ImageDecoder", 20],
  ["RegexFullMatch", 20],
  ["StringConcat", 20],
  ["StringSplit", 20],
  ["Attention", 23],
  ["RMSNormalization", 23],
  ["RotaryEmbedding", 23],
  ["Swish", 24],
  ["TensorScatter", 24],
  ["BitCast", 26],
  ["CumProd", 26],
  ["CausalConvWithState", 27],
  ["LinearAttention", 27],
]);

const [least, most] = [opsetRange.first, opsetRange.last];

/** Written in `com.microsoft` where that may be used and its own domain will not do; see `changes`. */
const inContrib = "DequantizeLinear";

/** The domain to write an operator of a version in. */
export const writtenDomain = (
  opType: string,
  domain: string,
  version: number,
  target: Pick<Target, "opset" | "contrib">,
): string =>
  domain === "" && opType === inContrib && version < 21 && target.opset >= 21 && target.contrib
    ? "com.microsoft"
    : domain;

/** Whether a node of one version is the same node of another. */
function isCarried({ opType, version: from }: Use, to: number, contrib: boolean): boolean {
  if (contrib && opType === inContrib) return true;
  if ((introduced.get(opType) ?? least) > to) return false;
  const [low, high] = [Math.min(from, to), Math.max(from, to)];
  return !(changes.get(opType) ?? []).some((version) => version > low && version <= high);
}

interface Use {
  readonly opType: string;
  readonly version: number;
}

/** Standard operators that `opaque` nodes hold, with the version each is of. */
function taken(graph: Graph): readonly Use[] {
  const uses = new Map<string, Use>();
  for (const node of everyNode(graph)) {
    if (node.op !== "opaque") continue;
    const code = graphOfText(String(node.attrs.get("code")));
    const version = Number(code.metadata?.get("") ?? 0);
    for (const opType of standardOperators(code)) uses.set(`${opType} ${version}`, { opType, version });
  }
  return [...uses.values()];
}

function standardOperators(graph: OnnxGraph): readonly string[] {
  return graph.nodes.flatMap(({ opType, domain, attributes }) => [
    ...(domain === "" ? [opType] : []),
    ...[...attributes.values()].flatMap(({ kind, value }) => (kind === "graph" ? standardOperators(value) : [])),
  ]);
}

/**
 * The version of the standard operators at which those a graph took over from a file mean what they meant there: the
 * greatest up to `wanted`, else the least above it. Throws QKV466 where there is none from 17 to 26.
 */
export function carriedOpset(graph: Graph, wanted: number, contrib: boolean): number {
  const uses = taken(graph);
  if (uses.length === 0) return wanted;
  const below = Array.from({ length: wanted - least + 1 }, (_, i) => wanted - i);
  const above = Array.from({ length: most - wanted }, (_, i) => wanted + 1 + i);
  for (const opset of [...below, ...above]) if (uses.every((use) => isCarried(use, opset, contrib))) return opset;
  const stuck = uses.find((use) => !isCarried(use, least, contrib)) ?? uses[0]!;
  return fail(
    "QKV466",
    `${stuck.opType} of opset ${stuck.version} means another thing at opset ${least} to ${most}, or is not there`,
    {
      help: "convert the file to opset 17 or later first",
    },
  );
}
