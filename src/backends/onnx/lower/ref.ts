import type { Node } from "../../../ir/graph.ts";
import type { HostTensor } from "../../../ir/tensor.ts";
import type { TensorType } from "../../../ir/types.ts";
import type { OnnxAttribute, OnnxValueInfo } from "../schema.ts";

/** A tensor in the ONNX graph under construction. Its name is chosen when the graph is finished. */
export class Ref {
  readonly type: TensorType;
  /** What it would like to be called; interior results of a lowering are called after the value they serve. */
  wanted: string | undefined = undefined;
  /** What a file said of it where its type is not ours, and stands here for nothing. */
  info: OnnxValueInfo | "unknown" | undefined = undefined;
  /** The final name. */
  name: string | undefined = undefined;

  constructor(type: TensorType) {
    this.type = type;
  }
}

export type Attributes = Readonly<Record<string, OnnxAttribute | PendingGraph | undefined>>;

export interface PendingNode {
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly (Ref | undefined)[];
  readonly outputs: readonly (Ref | undefined)[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute | PendingGraph>;
  /** The IR node it serves; undefined for dimensions. */
  readonly source: Node | undefined;
}

/** A branch of an `If`, or the body of a `Scan`, which has inputs. */
export interface PendingGraph {
  readonly name: string;
  readonly inputs?: readonly Ref[];
  readonly nodes: readonly PendingNode[];
  readonly outputs: readonly Ref[];
}

export interface Initializer {
  readonly ref: Ref;
  /** Brings the bytes into place; called only for tensors that are used. */
  read(): HostTensor;
}

export const int = (value: number): OnnxAttribute => ({ kind: "int", value });
export const ints = (value: readonly number[]): OnnxAttribute => ({ kind: "ints", value });
export const float = (value: number): OnnxAttribute => ({ kind: "float", value });
export const text = (value: string): OnnxAttribute => ({ kind: "string", value });

export const isPendingGraph = (value: OnnxAttribute | PendingGraph): value is PendingGraph => "nodes" in value;

/** The branches of an `If`, the body of a `Scan`. */
export const graphsOf = ({ attributes }: PendingNode): readonly PendingGraph[] =>
  [...attributes.values()].filter((value) => isPendingGraph(value));

/** The node with other graphs within. */
export function mapGraphs(node: PendingNode, change: (graph: PendingGraph) => PendingGraph): PendingNode {
  if (graphsOf(node).length === 0) return node;
  const changed = Array.from(
    node.attributes,
    ([name, value]) => [name, isPendingGraph(value) ? change(value) : value] as const,
  );
  return { ...node, attributes: new Map(changed) };
}
