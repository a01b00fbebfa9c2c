import { writeFileSync } from "node:fs";
import { maskPng, maskSvg, maskText } from "../backends/report/mask-picture.ts";
import type { Declared } from "../compile.ts";
import { completeDims } from "../feeds.ts";
import { fail } from "../ir/diagnostics.ts";
import { evaluate } from "../ir/dim.ts";
import { blockStructure } from "../ir/index-analysis/structure.ts";
import { showIndex } from "../ir/index-expr/show.ts";

export interface MaskOptions {
  readonly dims: ReadonlyMap<string, number>;
  /** Queries and keys a block is long. */
  readonly block: number;
  readonly svg?: string;
  readonly png?: string;
}

/**
 * The mask functions of a model's attentions as text, each formula once: blocks that are full, partial and empty, for
 * the first batch entry and head. Throws QKV510 where the model has none or a picture cannot be written.
 */
export function drawMasks(declared: Declared, { dims, block, svg, png }: MaskOptions): string {
  const sizes = completeDims(declared.graph, dims);
  const drawn = new Map<string, string>();
  for (const { formula, lengths, scope } of declared.masks ?? []) {
    const { B, H, Q, K } = lengths;
    const counts = { B: evaluate(B, sizes), H: evaluate(H, sizes), Q: evaluate(Q, sizes), K: evaluate(K, sizes) };
    const text = `${showIndex(formula)}\n${counts.Q} queries, ${counts.K} keys, blocks of ${block}`;
    if (drawn.has(text)) continue;
    const structure = blockStructure(formula, counts, block);
    if (drawn.size === 0) {
      if (svg !== undefined) write(svg, maskSvg(structure, showIndex(formula)));
      if (png !== undefined) write(png, maskPng(structure));
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

function write(path: string, content: string | Uint8Array): void {
  try {
    writeFileSync(path, content);
  } catch (error) {
    fail("QKV510", `cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
