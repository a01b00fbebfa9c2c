import type { Arena } from "../../ir/arena.ts";
import { type Graph, type Node, nodesOf, type Value } from "../../ir/graph.ts";
import type { HostTensor } from "../../ir/tensor.ts";
import type { HintSource } from "../../ir/text-names.ts";
import { BlockWriter, type FileContext } from "./block.ts";
import { christen, type Renamed } from "./christen.ts";
import { type Code, call, calleesOf, everyPart, type Statement, string, text } from "./code.ts";
import { modelFile } from "./file.ts";
import { camelCase, Identifiers } from "./identifiers.ts";
import { type Item, itemsOf } from "./items.ts";
import { writeUnits } from "./loop-block.ts";
import { operations } from "./operations.ts";
import { Scope } from "./scope.ts";
import { settingsOf, sizeText } from "./settings.ts";
import { storeConstants } from "./stored.ts";
import { unitsOf } from "./units.ts";

export interface DecompileOptions {
  /** What people call values; names that exporters made up are none. */
  readonly hints?: HintSource;
  /** What the file says it is. */
  readonly comment?: string;
  /** An exporter named the parameters: what it counted gets names. */
  readonly exported?: boolean;
}

/** A graph as the files it is made of. */
export interface Decompiled {
  /** TypeScript whose model builds the graph again. */
  readonly source: string;
  /** Constants that became parameters, by name. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Parameters that have other names than in the graph, by those they have now. */
  readonly renamed: ReadonlyMap<string, Renamed>;
}

/** A graph as a model file: layers as loops, large constants among the weights, weights called after what they are. */
export function decompile(given: Graph, arena: Arena, options: DecompileOptions = {}): Decompiled {
  const stored = storeConstants(given, arena);
  if (!options.exported)
    return { source: sourceOf(stored.graph, options), tensors: stored.tensors, renamed: new Map() };
  const { graph, renamed, tensors } = christen(stored.graph, arena);
  return { source: sourceOf(graph, options), tensors: new Map([...stored.tensors, ...tensors]), renamed };
}

/** q, k and v, as far as they are read by attention alone: their letters are what they are called. */
function attentionRoles(graph: Graph): ReadonlyMap<Value, string> {
  const roles = new Map<Value, string>();
  for (const { op, operands } of nodesOf(graph))
    if (op === "attention") ["q", "k", "v"].forEach((letter, i) => void roles.set(operands[i]!, letter));
  return roles;
}

function sourceOf(graph: Graph, options: DecompileOptions): string {
  const nameOf = (param: Node) => String(param.attrs.get("name"));
  const items = itemsOf(graph, nameOf);
  const roles = attentionRoles(graph);
  const { units, loops } = unitsOf(graph, items, nameOf);
  const settings = settingsOf(items, loops);
  const shadowed = new Set([...items.flatMap(({ code }) => calleesOf(code)), "scope", "input", "model"]);
  const cx: FileContext = {
    identifiers: new Identifiers([...shadowed, ...settings.map(({ name }) => name)]),
    nameOf,
    authored: (value) => authoredName(options.hints, value),
    suggested: (item, value) => roles.get(value) ?? suggested(item, value),
    sizeText: (role, value) => sizeText(settings, shadowed, role, value),
  };
  const scope = new Scope();
  const used = new Set(nodesOf(graph));
  const inputs = graph.inputs.map((value) => inputStatement(cx, scope, value, used.has(value.node)));
  const end = outputsCode(graph);
  const writer = new BlockWriter(cx, scope, 2, units, [end]);
  writeUnits(writer, units);
  const answer: Statement = { kind: "return", code: writer.write(end, "return ") };
  const body = tidied([...inputs, { kind: "blank" }, ...writer.statements, answer]);
  return modelFile({ name: graph.name, settings, shadowed, body, comment: options.comment });
}

function inputStatement(cx: FileContext, scope: Scope, value: Value, isUsed: boolean): Statement {
  const code = operations.input(value.node);
  if (!isUsed) return { kind: "do", code };
  const name = cx.identifiers.fresh(cx.authored(value) ?? camelCase(String(value.node.attrs.get("name"))));
  scope.name(value, text(name));
  return { kind: "bind", target: `const ${name}`, code };
}

/** What the body answers: an object, unless that would put names that are numbers first. */
function outputsCode({ outputs }: Graph): Code {
  const entries = outputs.map(({ name, value }) => [name, { kind: "value", value } as Code] as const);
  if (entries.length === 1 && entries[0]![0] === "output") return entries[0]![1];
  if (!outputs.some(({ name }) => /^\d+$/.test(name) || name === "__proto__")) return { kind: "object", entries };
  const pairs = entries.map(([name, code]): Code => ({ kind: "list", items: [string(name), code] }));
  return call("new Map<string, Tensor>", { kind: "list", items: pairs });
}

/** The name a person gave a value, as a variable. */
function authoredName(hints: HintSource | undefined, value: Value): string | undefined {
  const name = hints?.hintOf(value).name;
  const last = name?.split(".").at(-1)?.replace(/_\d+$/, "");
  const word = last === undefined ? "" : camelCase(last);
  return word === "" ? undefined : word;
}

/** What the result of a function is called where nothing says more. */
const resultNames: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ...{ attention: "attended", linearAttention: "attended", merge: "merged", heads: "parts", rope: "turned" },
    ...{
      layerNorm: "normed",
      rmsNorm: "normed",
      gelu: "activated",
      relu: "activated",
      silu: "activated",
      elu: "activated",
    },
    ...{
      softmax: "weights",
      logSoftmax: "logits",
      sigmoid: "gate",
      tanh: "activated",
      matmul: "product",
      einsum: "product",
    },
    ...{ add: "total", sub: "difference", mul: "scaled", div: "quotient", pow: "power", mod: "rest", neg: "negated" },
    ...{ exp: "exponential", log: "logarithm", sqrt: "root", sin: "sines", cos: "cosines", abs: "magnitude" },
    ...{ maximum: "largest", minimum: "smallest", max: "most", min: "least", sum: "sums", mean: "average" },
    ...{
      equal: "same",
      notEqual: "differs",
      less: "below",
      lessEqual: "within",
      not: "opposite",
      and: "both",
      or: "either",
    },
    ...{ where: "chosen", cast: "converted", floor: "rounded", ceil: "rounded", round: "rounded", cumsum: "running" },
    ...{
      reshape: "reshaped",
      transpose: "transposed",
      expandDims: "expanded",
      squeeze: "squeezed",
      broadcastTo: "repeated",
    },
    ...{
      slice: "part",
      concat: "joined",
      split: "piece",
      pad: "padded",
      gather: "picked",
      scatter: "placed",
      topK: "ranked",
    },
    ...{
      constant: "constants",
      iota: "positions",
      size: "length",
      scan: "scanned",
      cond: "chosen",
      erf: "error",
      sign: "signs",
    },
  }),
);

/** Results of operators that give several. */
const operatorResults: ReadonlyMap<string, readonly string[]> = new Map([
  ['"DynamicQuantizeLinear"', ["quantized", "scale", "zeroPoint"]],
]);

/** A variable for what a call makes: after its layer's name, else after what it does. */
function suggested({ code }: Item, { index }: Value): string {
  const operator = code.kind === "call" && code.callee.startsWith("onnx") ? code.args[0] : undefined;
  if (operator?.kind === "text") return operatorResults.get(operator.text)?.[index] ?? camelCase(operator.text);
  const layer = [...everyPart(code)].find((part) => part.kind === "name");
  if (layer) {
    const words = layer.name.split(".");
    const plain = words.filter((word) => word !== "weight" && word !== "bias" && !/^\d+$/.test(word));
    return camelCase(plain.at(-1) ?? "weight") || "layer";
  }
  const callee = code.kind === "call" ? code.callee : code.kind === "method" ? code.name : "";
  return resultNames.get(callee) ?? "x";
}

/** No empty line at either end, nor two in a row. */
const tidied = (statements: readonly Statement[]): readonly Statement[] =>
  statements.filter(
    ({ kind }, i) => kind !== "blank" || (i > 0 && i < statements.length - 1 && statements[i - 1]!.kind !== "blank"),
  );
