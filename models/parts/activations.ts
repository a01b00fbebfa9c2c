import { erf, exp, gelu, log, maximum, minimum, mul, relu, sigmoid, silu, type Tensor, tanh } from "qkv";

const tanhGelu = (x: Tensor): Tensor => gelu(x, { approximate: "tanh" });

/** Activation functions under the names that configurations give them (`hidden_act` and its like). */
const functions = new Map<string, (x: Tensor) => Tensor>([
  ["gelu", (x) => gelu(x)],
  ["gelu_10", (x) => maximum(minimum(gelu(x), 10), -10)],
  ["gelu_accurate", tanhGelu],
  ["gelu_fast", tanhGelu],
  ["gelu_new", tanhGelu],
  ["gelu_python", (x) => x.mul(0.5).mul(erf(x.div(Math.SQRT2)).add(1))],
  ["gelu_python_tanh", tanhGelu],
  ["gelu_pytorch_tanh", tanhGelu],
  ["hardswish", (x) => mul(x, minimum(relu(x.add(3)), 6)).div(6)],
  [
    "laplace",
    (x) =>
      erf(x.sub(Math.SQRT1_2).mul(Math.sqrt(2 * Math.PI)))
        .add(1)
        .mul(0.5),
  ],
  ["leaky_relu", (x) => maximum(x, x.mul(0.01))],
  ["linear", (x) => x],
  ["mish", (x) => mul(x, tanh(log(exp(x).add(1))))],
  ["quick_gelu", (x) => mul(x, sigmoid(x.mul(1.702)))],
  ["relu", (x) => relu(x)],
  ["relu2", (x) => mul(relu(x), relu(x))],
  ["relu6", (x) => minimum(relu(x), 6)],
  ["sigmoid", (x) => sigmoid(x)],
  ["silu", (x) => silu(x)],
  ["swish", (x) => silu(x)],
  ["tanh", (x) => tanh(x)],
]);

export const activations: readonly string[] = [...functions.keys()];

/** The activation function of this name. */
export function activate(x: Tensor, name: string): Tensor {
  const f = functions.get(name);
  if (!f) throw new Error(`the activation "${name}" is none of ${activations.join(", ")}`);
  return f(x);
}
