import { attrsOf } from "../../ir/arena.ts";
import type { Dim } from "../../ir/dim.ts";
import type { Node } from "../../ir/graph.ts";
import { graphOfText } from "../onnx/proto-text.ts";
import type { OnnxAttribute, OnnxGraph } from "../onnx/schema.ts";
import { type Code, call, dims, list, number, options, ref, string, text } from "./code.ts";

/**
 * `onnx("Conv", [x, w], { dtype, shape, opset, attributes })`. Nothing where a node is several operators, or holds what has
 * no such text: graphs, tensors, names that tell random numbers apart.
 */
export function onnxCall(node: Node): Code | undefined {
  const graph = graphOfText(attrsOf(node, "opaque").code);
  const [inner, ...others] = graph.nodes;
  const opset = graph.metadata?.get(inner?.domain ?? "");
  if (!inner || others.length > 0 || opset === undefined || inner.name !== "" || inner.overload !== undefined)
    return undefined;
  const outputs = graph.outputs.map(({ name }) => name);
  if (inner.outputs.some((name, i) => name !== outputs[i]) || inner.outputs.length !== outputs.length) return undefined;
  const attributes = [...inner.attributes].map(([name, value]) => [name, attributeCode(value)] as const);
  if (attributes.some(([name, code]) => code === undefined || name === "__proto__" || /^\d/.test(name)))
    return undefined;
  const said = {
    opset: number(Number(opset)),
    domain: inner.domain === "" ? undefined : string(inner.domain),
    attributes: options(Object.fromEntries(attributes))[0],
  };
  const types = node.results.map(({ type: { dtype, shape } }) => typeEntries(dtype, shape));
  const [only] = types;
  const xs = list(operandCodes(node, graph));
  if (types.length === 1) return call("onnx", string(inner.opType), xs, ...options({ ...only, ...said }));
  const results = list(types.flatMap((type) => options(type)));
  return call("onnxResults", string(inner.opType), xs, ...options({ results, ...said }));
}

const typeEntries = (dtype: string, shape: readonly Dim[]) => ({ dtype: string(dtype), shape: dims(shape) });

/** The operands by the names the operator reads them by. */
function operandCodes(node: Node, { nodes, inputs }: OnnxGraph): readonly Code[] {
  const names = new Map(inputs.map(({ name }, i) => [name, node.operands[i]!] as const));
  return nodes[0]!.inputs.map((name) => (name === "" ? text("null") : ref(names.get(name)!)));
}

function attributeCode(attribute: OnnxAttribute): Code | undefined {
  switch (attribute.kind) {
    case "int":
      return whole([attribute.value])?.[0];
    case "ints": {
      const numbers = whole(attribute.value);
      return numbers && list(numbers);
    }
    case "float":
      return Number.isInteger(attribute.value)
        ? options({ float: number(attribute.value) })[0]
        : number(attribute.value);
    case "floats":
      return attribute.value.every(Number.isInteger)
        ? options({ floats: list(attribute.value.map(number)) })[0]
        : list(attribute.value.map(number));
    case "string":
      return string(attribute.value);
    case "strings":
      return attribute.value.length > 0 ? list(attribute.value.map(string)) : undefined;
    default:
      return undefined;
  }
}

const whole = (values: readonly (bigint | number)[]): readonly Code[] | undefined =>
  values.every((value) => Number.isSafeInteger(Number(value)))
    ? values.map((value) => number(Number(value)))
    : undefined;
