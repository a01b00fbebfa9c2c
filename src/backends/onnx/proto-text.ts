import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { fail } from "../../ir/diagnostics.ts";
import { graphFromProto } from "./from-proto.ts";
import { newestOpset } from "./opsets.ts";
import { type GraphProto, GraphProtoSchema } from "./proto/generated/onnx_pb.ts";
import type { OnnxGraph } from "./schema.ts";
import { graphProto } from "./to-proto.ts";

/** A graph as JSON text: protobuf's own form of it, tensors in base64. */
export const graphText = (graph: OnnxGraph): string => toJsonString(GraphProtoSchema, graphProto(graph, 0));

/**
 * The graph of a text. Throws QKV417 for text that is no graph, QKV411 for data in other files, and as `decodeModel` does for
 * what ONNX does not allow.
 */
export function graphOfText(text: string): OnnxGraph {
  const graph = graphFromProto(graphProtoOf(text), outside, 0);
  for (const [domain, version] of graph.metadata ?? [])
    if (!/^[1-9]\d{0,8}$/.test(version) || (domain === "" && Number(version) > newestOpset))
      fail("QKV417", `the code of an opaque node names version "${version}" of the operators of "${domain}"`);
  return graph;
}

function graphProtoOf(text: string): GraphProto {
  try {
    return fromJsonString(GraphProtoSchema, text);
  } catch (error) {
    return fail("QKV417", `the code of an opaque node cannot be read: ${(error as Error).message}`);
  }
}

const outside = (_: unknown, where: string): never =>
  fail("QKV411", `${where}: the code of an opaque node cannot refer to other files`);
