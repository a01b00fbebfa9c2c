import { printGraph } from "../../src/ir/print.ts";
import { bytesOfSeed, checkRead } from "./bytes/check.ts";
import { openSandbox } from "./bytes/readers.ts";
import { checkSeed, graphOfSeed } from "./graphs/check.ts";

/** A case as a file to keep: an extension, and what it holds. */
export interface Kept {
  readonly extension: string;
  readonly content: string | Uint8Array;
}

/** Something to be tried with one case per seed. */
export interface Subject {
  readonly name: string;
  readonly doc: string;
  /** A case that takes longer than this hangs. */
  readonly secondsPerCase: number;
  /** What does not hold, in words. */
  check(seed: number): Promise<readonly string[]>;
  /** The case of a seed, to be looked at and kept. */
  keep(seed: number, problems: readonly string[]): Kept;
}

/** The graph of a seed; nothing where making it is what failed. */
function textOfSeed(seed: number): string {
  try {
    const { graph, arena } = graphOfSeed(seed);
    return printGraph(graph, { arena });
  } catch {
    return "";
  }
}

const graphs: Subject = {
  name: "graphs",
  doc: "random graphs: text, passes, export, and numbers of the runtime at every level against float64",
  secondsPerCase: 120,
  check: checkSeed,
  keep(seed, problems) {
    const remarks = [`seed ${seed}`, ...problems].map((problem) => `// ${problem.split("\n")[0]}\n`).join("");
    return { extension: "ir", content: remarks + textOfSeed(seed) };
  },
};

const bytes: Subject = {
  name: "bytes",
  doc: "damaged files: every reader answers with a result that holds together, or with an error of ours",
  secondsPerCase: 10,
  async check(seed) {
    const sandbox = (shared ??= openSandbox());
    const { reader, bytes } = bytesOfSeed(seed);
    const problem = checkRead(reader, bytes, sandbox);
    return problem === undefined ? [] : [problem];
  },
  keep(seed) {
    const { reader, bytes } = bytesOfSeed(seed);
    return { extension: reader.name, content: bytes };
  },
};

let shared: ReturnType<typeof openSandbox> | undefined;

/** Removes what checks have left on the disk. */
export const tidyUp = (): void => shared?.close();

export const subjects: readonly Subject[] = [graphs, bytes];
