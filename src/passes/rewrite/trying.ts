import type { Node } from "../../ir/graph.ts";
import type { PassContext } from "../pass.ts";

/** What `find` answers. A rule that throws is asked for like one that rewrites: refused, it has found nothing. */
export function trying<T>(cx: PassContext, rule: string, node: Node, find: () => T): T | undefined {
  try {
    return find();
  } catch (error) {
    if (cx.options.allows(rule, node)) throw error;
    return undefined;
  }
}
