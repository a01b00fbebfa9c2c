import type { Command } from "commander";
import { compile } from "../compile.ts";
import { fail } from "../ir/diagnostics.ts";
import { printGraph } from "../ir/print.ts";
import { toDot } from "../ir/topology.ts";
import { dimsOf, type ModelFlags, openModel, withModelFlags } from "./common.ts";

interface Flags extends ModelFlags {
  readonly after?: string;
  readonly dot?: boolean;
}

export function addPrint(program: Command): void {
  withModelFlags(program.command("print"))
    .summary("show a model's graph as text")
    .description("Prints the graph as declared, or after a pass.")
    .option("--after <pass>", "the graph as the last run of this pass left it; `all` for the end")
    .option("--dot", "as a Graphviz graph")
    .addHelpText(
      "after",
      `
Examples:
  qkv print models/linear-attention.ts
  qkv print models/linear-attention.ts --after reassociate
  qkv print models/multi-head.ts --after all --dot | dot -Tsvg > graph.svg`,
    )
    .action(run);
}

async function run(path: string, flags: Flags): Promise<void> {
  const { declared, options } = await openModel(path, flags);
  const compiled = await compile(declared, { ...options, dims: dimsOf(flags) });
  const write = (graph: typeof compiled.graph) =>
    void process.stdout.write(
      `${(flags.dot ? toDot(graph, compiled.arena) : printGraph(graph, compiled)).trimEnd()}\n`,
    );
  if (flags.after === undefined) return write(flags.naive ? compiled.graph : compiled.declared);
  if (flags.after === "all") return write(compiled.graph);
  const step = compiled.steps.findLast(({ pass }) => pass.name === flags.after);
  const names = [...new Set(compiled.steps.map(({ pass }) => pass.name))];
  if (!step) fail("QKV301", `the pass "${flags.after}" did not run`, { help: `there are ${names.join(", ")}` });
  write(step.after);
}
