import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { graphFromProto } from "./from-proto.ts";
import { GraphProtoSchema } from "./proto/generated/onnx_pb.ts";
import type { OnnxGraph } from "./schema.ts";
import { graphProto } from "./to-proto.ts";

/** A graph as JSON text: protobuf's own form of it, tensors in base64. */
export const graphText = (graph: OnnxGraph): string => toJsonString(GraphProtoSchema, graphProto(graph, 0));

/** The graph of a text. Throws as `decodeModel` does for what ONNX does not allow. */
export const graphOfText = (text: string): OnnxGraph =>
  graphFromProto(fromJsonString(GraphProtoSchema, text), (reference) => reference, 0);
