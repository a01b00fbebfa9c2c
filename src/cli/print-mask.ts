import { maskPng, maskSvg, maskText } from "../backends/report/mask-picture.ts";
import { factsLine } from "../backends/report/mask-words.ts";
import type { Declared } from "../compile.ts";
import { completeDims } from "../feeds.ts";
import { fail } from "../ir/diagnostics.ts";
import { evaluate } from "../ir/dim.ts";
import { type MaskFacts, maskFacts } from "../ir/index-analysis/facts.ts";
import { blockStructure, type StructureOptions } from "../ir/index-analysis/structure.ts";
import { showIndex } from "../ir/index-expr/show.ts";
import { writeWhole } from "./write-whole.ts";

export interface MaskOptions {
  readonly dims: ReadonlyMap<string, number>;
  /** Queries and keys a block is long; by the length where not given. */
  readonly block?: number;
  /** The query head and batch entry drawn where these differ; the first where not given. */
  readonly head?: number;
  readonly batch?: number;
  readonly svg?: string;
  readonly png?: string;
}

/** Lengths from which on blocks are as kernels have them, not such as can be made out one by one. */
const long = 2 ** 16;

/**
 * The mask functions of a model's attentions as text, each formula once: what is known of it, and its blocks that are
 * full, partial and empty. Throws QKV510 where the model has none, a head or batch there is not is asked for, QKV507 where a
 * picture cannot be written.
 */
export function drawMasks(declared: Declared, options: MaskOptions): string {
  const sizes = completeDims(declared.graph, options.dims);
  const drawn = new Map<string, string>();
  for (const { formula, lengths, scope } of declared.masks ?? []) {
    const { B, H, Q, K } = lengths;
    const counts = { B: evaluate(B, sizes), H: evaluate(H, sizes), Q: evaluate(Q, sizes), K: evaluate(K, sizes) };
    const block = options.block ?? (Math.max(counts.Q, counts.K) < long ? 16 : 128);
    const facts = maskFacts(formula, counts);
    const { slice, name } = sliceOf(facts, counts, options);
    const title = showIndex(formula);
    const known = `${factsLine(facts, counts)}${name}`;
    const text = `${title}\n${known}\n${counts.Q} queries, ${counts.K} keys, blocks of ${block}`;
    if (drawn.has(text)) continue;
    const structure = blockStructure(formula, counts, block, slice);
    if (drawn.size === 0) {
      const caption = { title, facts: [known] };
      if (options.svg !== undefined) writeWhole(options.svg, maskSvg(structure, caption));
      if (options.png !== undefined) writeWhole(options.png, maskPng(structure, caption));
    }
    const head = scope === "" ? text : `${scope}: ${text}`;
    const picture = maskText(structure, process.stdout.columns ?? 80).trimEnd();
    drawn.set(text, `${head}\n${picture}\n`);
  }
  if (drawn.size === 0)
    fail("QKV510", `@${declared.graph.name} has no attention with a mask function`, {
      help: "give attention a mask such as ({ q, k }) => k <= q && q - k < 256",
    });
  return [...drawn.values()].join("\n");
}

/** The head and batch entry to draw, where they differ. */
function sliceOf(
  { dependsOn }: MaskFacts,
  { B, H }: { readonly B: number; readonly H: number },
  { head = 0, batch = 0 }: MaskOptions,
): { readonly slice: StructureOptions; readonly name: string } {
  if (head >= H) fail("QKV510", `there is no head ${head}: the mask has ${H}, counted from 0`);
  if (batch >= B) fail("QKV510", `there is no batch entry ${batch}: there are ${B}, counted from 0`);
  const slice = {
    ...(dependsOn.h && { h: [head, head] as const }),
    ...(dependsOn.b && { b: [batch, batch] as const }),
  };
  const names = [...(dependsOn.h ? [`head ${head} of ${H}`] : []), ...(dependsOn.b ? [`batch ${batch} of ${B}`] : [])];
  return { slice, name: names.length > 0 ? `; drawn: ${names.join(", ")}` : "" };
}
