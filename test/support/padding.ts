import { expect } from "vitest";
import { compareOutputs } from "../../src/backends/ort/compare-outputs.ts";
import type { Compiled } from "../../src/compile.ts";
import { symbol } from "../../src/ir/dim.ts";
import { fromNumbers, type HostTensor, toFloat64 } from "../../src/ir/tensor.ts";
import type { Pass } from "../../src/passes/pass.ts";
import { knownAtPadding, paddingMaskOf } from "../../src/passes/unpad/padding.ts";
import { regionOf } from "../../src/passes/unpad/region.ts";
import { rewrite } from "../../src/passes/unpad/rewrite.ts";
import { realPositions } from "../../src/real-positions.ts";
import { runFile, runModel } from "../../src/session.ts";

export const vocabulary = 50;

/** Token ids below `vocabulary`, segments and masks, 1 where the text has an x. */
export function paddedFeeds(names: readonly string[], masks: readonly string[]): Map<string, HostTensor> {
  const dims = [masks.length, masks[0]!.length];
  const marks = [...masks.join("")].map((mark) => (mark === "x" ? 1 : 0));
  const all: Readonly<Record<string, readonly number[]>> = {
    input_ids: marks.map((_, i) => (i * 7) % vocabulary),
    attention_mask: marks,
    token_type_ids: marks.map((_, i) => i % 2),
  };
  return new Map(names.map((name) => [name, fromNumbers("i64", dims, all[name]!)]));
}

/** One token and none; padding last; padding first, holes, nothing and everything real; odd sizes. */
export const paddedBatches: readonly (readonly string[])[] = [
  ["x"],
  ["-"],
  ["xxxxxxxxxxxxxxxxx", "xxx--------------", "x----------------"],
  ["---xx", "x-x-x", "-----", "-x---", "xxxxx"],
  [`${"x".repeat(31)}--`, "-".repeat(33), "x".repeat(33)],
];

/** Outputs are the file's at real positions, and zero at padding. */
export async function expectRealPositions(
  file: string,
  compiled: Compiled,
  feeds: ReadonlyMap<string, HostTensor>,
): Promise<void> {
  const actual = await runModel(compiled.onnx(), feeds);
  const real = realPositions(compiled, feeds);
  const { equal, maxAbsError } = compareOutputs(real(await runFile(file, feeds)), real(actual));
  expect(equal, `off by ${maxAbsError}`).toBe(true);
  const hidden = toFloat64(actual.get("last_hidden_state")!);
  const marks = toFloat64(feeds.get("attention_mask")!);
  const width = hidden.length / marks.length;
  expect(hidden.every((value, i) => marks[Math.floor(i / width)] !== 0 || value === 0)).toBe(true);
}

/** `unpad` for models so small that it would leave them alone. */
const always: Pass = {
  name: "always",
  doc: "Real tokens only, whatever it costs to move them.",
  run(graph, { arena }) {
    const mask = paddingMaskOf(graph.inputs.find((value) => value.node.attrs.get("name") === "attention_mask")!)!;
    const region = regionOf(graph, mask, knownAtPadding(graph, mask.source));
    if (!region || "reason" in region) throw new Error(region?.reason ?? "no projection");
    return rewrite(graph, region, symbol("tokens"), arena);
  },
};

export const withUnpadAlways = ["canonicalise", "fuse-attention", "project", always, "fuse-norm", "fuse-activation"];
