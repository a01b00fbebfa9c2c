import type { Command } from "commander";
import { compile } from "../compile.ts";
import { fail } from "../ir/diagnostics.ts";
import { nearestOf } from "../ir/nearest-name.ts";
import { printGraph } from "../ir/print.ts";
import { toDot } from "../ir/topology.ts";
import { dimsOf, type ModelFlags, openModel, withModelFlags } from "./common.ts";
import { parseNatural } from "./options.ts";
import { drawMasks } from "./print-mask.ts";

interface Flags extends ModelFlags {
  readonly after?: string;
  readonly dot?: boolean;
  readonly mask?: boolean;
  readonly maskBlock?: string;
  readonly maskHead?: string;
  readonly maskBatch?: string;
  readonly svg?: string;
  readonly png?: string;
}

export function addPrint(program: Command): void {
  withModelFlags(program.command("print"))
    .summary("show a model's graph as text")
    .description("Prints the graph as declared, or after a pass.")
    .option("--after <pass>", "the graph as the last run of this pass left it; `all` for the end")
    .option("--dot", "as a Graphviz graph")
    .option("--mask", "the mask functions of its attentions, drawn in blocks")
    .option("--mask-block <n>", "queries and keys a block is long; 16, or 128 from 65,536 positions")
    .option("--mask-head <n>", "the head drawn where heads differ, from 0")
    .option("--mask-batch <n>", "the batch entry drawn where these differ, from 0")
    .option("--svg <file>", "write the first mask as an SVG picture")
    .option("--png <file>", "write the first mask as a PNG picture")
    .addHelpText(
      "after",
      `
Examples:
  qkv print models/linear-attention.ts
  qkv print models/linear-attention.ts --after reassociate
  qkv print models/multi-head.ts --after all --dot | dot -Tsvg > graph.svg
  qkv print models/variants/local.ts --mask --dims seq=1024 --png mask.png`,
    )
    .action(run);
}

async function run(path: string, flags: Flags): Promise<void> {
  const { declared, options } = await openModel(path, flags);
  if (flags.mask || flags.svg !== undefined || flags.png !== undefined) {
    const { maskBlock, maskHead, maskBatch, svg, png } = flags;
    const masks = {
      dims: dimsOf(flags, declared),
      ...(maskBlock !== undefined && { block: parseNatural("--mask-block", maskBlock) }),
      ...(maskHead !== undefined && { head: parseNatural("--mask-head", maskHead) }),
      ...(maskBatch !== undefined && { batch: parseNatural("--mask-batch", maskBatch) }),
      ...(svg !== undefined && { svg }),
      ...(png !== undefined && { png }),
    };
    return void process.stdout.write(drawMasks(declared, masks));
  }
  const compiled = await compile(declared, { ...options, dims: dimsOf(flags, declared) });
  const write = (graph: typeof compiled.graph) =>
    void process.stdout.write(
      `${(flags.dot ? toDot(graph, compiled.arena) : printGraph(graph, compiled)).trimEnd()}\n`,
    );
  if (flags.after === undefined) return write(flags.naive ? compiled.graph : compiled.declared);
  if (flags.after === "all") return write(compiled.graph);
  const step = compiled.steps.findLast(({ pass }) => pass.name === flags.after);
  const names = [...new Set(compiled.steps.map(({ pass }) => pass.name))];
  if (!step) fail("QKV301", `the pass "${flags.after}" did not run`, { help: nearestOf(flags.after, names) });
  write(step.after);
}
