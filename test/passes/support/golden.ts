import { naiveTarget, type Target, targets } from "../../../src/passes/target.ts";
import { filesUnder } from "../../support/files.ts";

/** A golden file: what to run, on what, and what came of it when it was last written. */
export interface Golden {
  readonly path: string;
  /** The folder it lies in: the pass it is about. */
  readonly pass: string;
  readonly header: string;
  /** The passes to run. */
  readonly names: readonly string[];
  readonly target: Target;
  /** Whether parameters have values. */
  readonly weights: boolean;
  readonly dims: ReadonlyMap<string, number>;
  /** Rules that nearly match, and must not fire. */
  readonly twinOf: readonly string[];
  readonly source: string;
  readonly result: string;
  readonly fired: ReadonlySet<string>;
}

const listed = (text: string | undefined): readonly string[] => (text ?? "").split(",").filter(Boolean);

/** `// RUN: a, b --target onnx --weights --dims n=3 --twin-of rule,rule` */
function readHeader(line: string) {
  const [names = "", ...flags] = line.replace(/^\/\/ RUN:\s*/, "").split(/\s+--/);
  const given = new Map(flags.map((text) => text.split(" ")).map(([name, value]) => [name!, value]));
  const [target = "ort-cpu", opset = 23] = given.get("target")?.split("@") ?? [];
  const dims = listed(given.get("dims")).map((text) => text.split("="));
  return {
    names: names.split(/,\s*/),
    target: target === "naive" ? naiveTarget() : targets.get(target)!(Number(opset)),
    weights: given.has("weights"),
    dims: new Map(dims.map(([name, size]) => [name!, Number(size)])),
    twinOf: listed(given.get("twin-of")),
  };
}

function readGolden(path: string, text: string): Golden {
  const [whole = "", result = ""] = text.split("\n// -----\n");
  const [header = "", ...source] = whole.split("\n");
  const fired = [...result.matchAll(/^\/\/ [\w-]+: ([\w-]+) x\d+$/gm)].map(([, rule]) => rule!);
  const pass = path.split("/")[2]!;
  return {
    path,
    pass,
    header,
    ...readHeader(header),
    source: source.join("\n").trimEnd(),
    result,
    fired: new Set(fired),
  };
}

export const goldens: readonly Golden[] = filesUnder(["test/golden"], ".ir").map(({ path, text }) =>
  readGolden(path, text),
);
