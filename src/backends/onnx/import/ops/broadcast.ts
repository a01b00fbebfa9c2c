import type { Dim } from "../../../../ir/dim.ts";
import type { NodeContext } from "../node.ts";

/**
 * Makes sure that shapes stretch to each other as NumPy's do: sizes that meet are equal unless one is the number 1. A size
 * that is a symbol is taken to be more than 1; where a run makes it 1, the file would stretch it and we refuse the run.
 */
export function alignShapes(cx: NodeContext, shapes: readonly (readonly Dim[])[]): void {
  const rank = Math.max(0, ...shapes.map(({ length }) => length));
  for (let fromEnd = 1; fromEnd <= rank; fromEnd++) {
    const sizes = shapes.flatMap((shape) => shape[shape.length - fromEnd] ?? []).filter((dim) => dim !== 1);
    for (const size of sizes.slice(1)) cx.same(sizes[0]!, size);
  }
}
