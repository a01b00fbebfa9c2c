import { attrsOf } from "../../ir/arena.ts";
import { everyNode } from "../../ir/cost.ts";
import type { Graph, Node, Value } from "../../ir/graph.ts";
import { type Closure, type Code, call, options, ref, string, text } from "./code.ts";

/** Names of the author's for the inputs or outputs of a graph: what follows the prefix the builder gives them, each once. */
function plainNames(names: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  return names.map((name, i) => {
    const last = name.split(".").at(-1)!.replaceAll(/\W/g, "");
    const word = /^[A-Za-z]\w*$/.test(last) ? last : `x${i}`;
    const own = taken.has(word) ? `${word}${i}` : word;
    taken.add(own);
    return own;
  });
}

const inputNames = (values: readonly Value[]) => plainNames(values.map(({ node }) => String(node.attrs.get("name"))));
const record = (names: readonly string[], values: readonly Code[]): Code => ({
  kind: "object",
  entries: names.map((name, i) => [name, values[i]!] as const),
});

/** The parameters a graph and the graphs in it reach. They are declared outside of it, once. */
export function paramsWithin(graph: Graph): readonly Value[] {
  const params = everyNode(graph).filter(({ op }) => op === "param");
  return params.map(({ results }) => results[0]!);
}

/** What a scan's results are called: fields of its `states` and `outputs`. */
export function scanFields(node: Node): readonly string[] {
  const { body, states } = attrsOf(node, "scan");
  const stateNames = inputNames(body.inputs.slice(0, states));
  const outputs = plainNames(body.outputs.slice(states).map(({ name }) => name));
  return [...stateNames.map((name) => `states.${name}`), ...outputs.map((name) => `outputs.${name}`)];
}

/** `scan({ state }, { sequence }, (states, slices) => …)`. */
export function scan(node: Node): Code {
  const { body, states, sequences } = attrsOf(node, "scan");
  const own = body.inputs.slice(0, states + sequences);
  const stateNames = inputNames(own.slice(0, states));
  const sliceNames = inputNames(own.slice(states));
  const outputNames = plainNames(body.outputs.slice(states).map(({ name }) => name));
  const given = new Map(
    body.inputs.map((value, i) => {
      if (i < states) return [value, text(`states.${stateNames[i]}`)];
      return [value, i < own.length ? text(`slices.${sliceNames[i - states]}`) : ref(node.operands[i]!)];
    }),
  );
  for (const param of paramsWithin(body)) given.set(param, ref(param));
  const answer = (outputs: readonly Code[]): Code => {
    const stacked = outputs.slice(states);
    const next = record(stateNames, outputs.slice(0, states));
    return options({ states: next, outputs: stacked.length > 0 ? record(outputNames, stacked) : undefined })[0]!;
  };
  const step: Closure = { graph: body, parameters: "(states, slices)", given, answer };
  const sequenceCodes = node.operands.slice(states, states + sequences).map(ref);
  return call("scan", record(stateNames, node.operands.slice(0, states).map(ref)), record(sliceNames, sequenceCodes), {
    kind: "closure",
    closure: step,
  });
}

/** What a conditional's results are called; nothing where it has one. */
export function condFields(node: Node): readonly string[] {
  const { whenTrue } = attrsOf(node, "if");
  return whenTrue.outputs.length === 1 ? [] : plainNames(whenTrue.outputs.map(({ name }) => name));
}

/** `cond(condition, () => …, () => …)`. */
export function cond(node: Node): Code {
  const { whenTrue, whenFalse, expected } = attrsOf(node, "if");
  const fields = condFields(node);
  const answer = (outputs: readonly Code[]): Code => (fields.length === 0 ? outputs[0]! : record(fields, outputs));
  const branch = (graph: Graph): Code => {
    const given = new Map(graph.inputs.map((value, i) => [value, ref(node.operands[i + 1]!)]));
    for (const param of paramsWithin(graph)) given.set(param, ref(param));
    return { kind: "closure", closure: { graph, parameters: "()", given, answer } };
  };
  const said = options({ expected: expected === "" ? undefined : string(expected) });
  return call("cond", ref(node.operands[0]!), branch(whenTrue), branch(whenFalse), ...said);
}
