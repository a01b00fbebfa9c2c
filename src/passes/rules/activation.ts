import { isFloat } from "../../ir/dtype.ts";
import { sameShape } from "../../ir/types.ts";
import { fusion, type Rule } from "../rewrite/rule.ts";
import { any, type Term, t, variable, x } from "../rewrite/term.ts";

/** x · y / 2, the half at any place. */
const half = (y: Term): Term => any(t.mul(t.mul(x, y), 0.5), t.mul(t.mul(x, 0.5), y), t.mul(x, t.mul(y, 0.5)));

const normal = t.erf(any(t.mul(x, Math.SQRT1_2), t.div(x, Math.SQRT2)));
const cube = any(t.mul(t.mul(x, x), x), t.pow(x, 3));
const slope = Math.sqrt(2 / Math.PI);
const bend = 0.044715;
const quadratic = t.add(t.mul(any(t.mul(x, x), t.pow(x, 2)), bend), 1);
const inner = any(
  t.mul(t.add(x, t.mul(cube, bend)), slope),
  t.mul(t.mul(x, slope), quadratic),
  t.mul(t.mul(x, quadratic), slope),
  t.mul(x, t.mul(quadratic, slope)),
);

const decay = t.add(t.exp(t.neg(x)), 1);
const bias = variable("bias");
const biasShape = "the bias is not one number for each element of the last axis";
const noKernel = "the target has no biasGelu";
const notFloat = "integers have no relu";

/** Activations spelled out. */
export const activationStages: readonly (readonly Rule[])[] = [
  [
    fusion({
      name: "gelu",
      left: any(half(t.add(normal, 1)), t.mul(x, t.add(t.mul(normal, 0.5), 0.5))),
      right: t.gelu(x),
    }),
    fusion({
      name: "gelu-tanh",
      left: any(half(t.add(t.tanh(inner), 1)), t.mul(x, t.add(t.mul(t.tanh(inner), 0.5), 0.5))),
      right: t.gelu(x, { approximate: "tanh" }),
    }),
    fusion({ name: "silu", left: any(t.mul(x, t.sigmoid(x)), t.div(x, decay)), right: t.silu(x) }),
    fusion({ name: "sigmoid", left: t.div(1, decay), right: t.sigmoid(x) }),
    fusion({
      name: "relu",
      left: t.max(x, 0),
      right: t.relu(x),
      guard: (m) => isFloat(m.root.type.dtype) || notFloat,
      refuses: [notFloat],
      tolerance: "exact",
    }),
  ],
  [
    fusion({
      name: "bias-gelu",
      formula: "gelu(x + bias) = biasGelu(x, bias)",
      left: t.gelu(t.add(x, bias), { approximate: "none" }),
      right: (m, b) => {
        const [input, shift] = [m.value("x"), m.value("bias")];
        if (!sameShape(shift.type.shape, input.type.shape.slice(-1)) || input.type.shape.length < 2) return biasShape;
        return b.biasGelu(input, shift);
      },
      guard: (m) => m.target.kernels.has("biasGelu") || noKernel,
      refuses: [noKernel, biasShape],
    }),
  ],
];
