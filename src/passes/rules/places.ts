import { add, atLeast, product } from "../../ir/dim.ts";
import { axisFromFirst } from "../../ir/types.ts";
import { type Rule, rule } from "../rewrite/rule.ts";
import { a, t, x, y, z } from "../rewrite/term.ts";
import { firstOfRun } from "./counts.ts";

/** Elements named by places that follow one another: a mask read position by position, a part of a tensor written. */
export const places: readonly Rule[] = [
  rule({
    name: "gather-in-order",
    formula: "gather(x, i) = reshape(x) where i counts every place of the axis once, in order",
    left: t.gather(x, y, { axis: a("axis"), batch: 0 }),
    right: (m, b) => {
      const [whole, indices] = [m.value("x"), m.value("y")];
      const { shape } = whole.type;
      const axis = axisFromFirst(m.attr("axis"), shape.length);
      if (product(indices.type.shape) !== shape[axis] || firstOfRun(indices) !== 0) return undefined;
      return b.reshape(whole, { shape: m.root.type.shape });
    },
  }),
  rule({
    name: "scatter-of-run",
    formula: "scatter(x, i, y) = concat(x before, y, x after) where i counts consecutive places",
    left: t.scatter(x, y, z, { axis: a("axis"), batch: 0, reduction: "none" }),
    right: (m, b) => {
      const [whole, indices] = [m.value("x"), m.value("y")];
      const { shape } = whole.type;
      const axis = axisFromFirst(m.attr("axis"), shape.length);
      const count = product(indices.type.shape);
      const start = firstOfRun(indices);
      const end = start === undefined ? undefined : add(start, count);
      if (start === undefined || !atLeast(start, 0) || !atLeast(shape[axis]!, end!)) return undefined;
      const written = b.reshape(m.value("z"), { shape: shape.with(axis, count) });
      const before = start === 0 ? [] : [b.slice(whole, { axis, start: 0, end: start })];
      const after = end === shape[axis] ? [] : [b.slice(whole, { axis, start: end!, end: shape[axis]! })];
      return b.concat(...before, written, ...after, { axis });
    },
  }),
];
