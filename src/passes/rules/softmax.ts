import { fusion, type Rule } from "../rewrite/rule.ts";
import { a, any, type Term, t, x } from "../rewrite/term.ts";

const along = { axes: a("axes"), keepDims: true };
const shifted = t.sub(x, t.reduceMax(x, along));
const total = (e: Term): Term => t.reduceSum(e, along);
const normalised = (e: Term): Term => t.div(e, total(e));

const oneAxis = "it runs over several axes";
const single = (axes: readonly number[]): boolean => axes.length === 1;

/** Softmax and its logarithm, spelled out. Without the maximum taken off, the result may overflow where this does not. */
export const softmaxRules: readonly Rule[] = [
  fusion({
    name: "softmax",
    formula: "exp(x - max x) / Σ exp(x - max x) = softmax(x), also without the maximum",
    left: any(normalised(t.exp(shifted)), normalised(t.exp(x))),
    right: (m, b) => {
      const axes = m.attr<readonly number[]>("axes");
      return single(axes) ? b.softmax(m.value("x"), { axis: axes[0]! }) : oneAxis;
    },
    refuses: [oneAxis],
  }),
  fusion({
    name: "log-softmax",
    formula: "x - max x - ln Σ exp(x - max x) = logSoftmax(x), also without the maximum",
    left: any(t.sub(shifted, t.log(total(t.exp(shifted)))), t.sub(x, t.log(total(t.exp(x))))),
    right: (m, b) => {
      const axes = m.attr<readonly number[]>("axes");
      return single(axes) ? b.logSoftmax(m.value("x"), { axis: axes[0]! }) : oneAxis;
    },
    refuses: [oneAxis],
  }),
  fusion({
    name: "log-of-softmax",
    left: t.log(t.softmax(x, { axis: a("axis") })),
    right: t.logSoftmax(x, { axis: a("axis") }),
  }),
];
