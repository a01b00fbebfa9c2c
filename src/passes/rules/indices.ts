import { atLeast, type Dim } from "../../ir/dim.ts";
import { type Rule, rule } from "../rewrite/rule.ts";
import { spread } from "../rewrite/spread.ts";
import { t, x, y } from "../rewrite/term.ts";
import { countOf, difference, extremes, uniform } from "./counts.ts";

const always = (
  name: "equal" | "less" | "lessEqual",
  says: string,
  test: (low: Dim, high: Dim) => number | undefined,
): Rule =>
  rule({
    name: `${name === "lessEqual" ? "less-equal" : name}-of-indices`,
    formula: `${name}(x, y) is one truth where x and y are counted out so that ${says}`,
    left: t[name](x, y),
    right: (m, b) => {
      const [left, right] = [countOf(m.value("x")), countOf(m.value("y"))];
      const { shape } = m.root.type;
      const range = left && right && extremes(difference(left, right, shape.length), shape);
      const truth = range && test(...range);
      return truth === undefined ? undefined : spread(b, b.scalar(truth, "bool"), m.root);
    },
  });

const decided = (yes: boolean, no: boolean): number | undefined => (yes ? 1 : no ? 0 : undefined);

/** Comparisons of positions that come out alike for every element. */
export const indices: readonly Rule[] = [
  always("equal", "y - x is 0, or never 0", (low, high) =>
    decided(low === 0 && high === 0, atLeast(low, 1) || atLeast(-1, high)),
  ),
  always("less", "y - x is always above 0, or never", (low, high) => decided(atLeast(low, 1), atLeast(0, high))),
  always("lessEqual", "y - x is never below 0, or always", (low, high) => decided(atLeast(low, 0), atLeast(-1, high))),
  rule({
    name: "cumsum-of-zeros",
    formula: "cumsum(0, 0, …) = 0, 0, …",
    left: t.cumsum(x),
    right: (m) => {
      const count = countOf(m.value("x"));
      return count && uniform(count) === 0 ? m.value("x") : undefined;
    },
  }),
];
