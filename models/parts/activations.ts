import { erf, gelu, maximum, minimum, mul, relu, sigmoid, silu, type Tensor, tanh } from "qkv";

/** Activation functions under the names that configurations give them (`hidden_act` and its like). */
const functions = new Map<string, (x: Tensor) => Tensor>([
  ["gelu", (x) => gelu(x)],
  ["gelu_10", (x) => maximum(minimum(gelu(x), 10), -10)],
  ["gelu_fast", (x) => gelu(x, { approximate: "tanh" })],
  ["gelu_new", (x) => gelu(x, { approximate: "tanh" })],
  ["gelu_python", (x) => x.mul(0.5).mul(erf(x.div(Math.SQRT2)).add(1))],
  ["gelu_pytorch_tanh", (x) => gelu(x, { approximate: "tanh" })],
  ["leaky_relu", (x) => maximum(x, x.mul(0.01))],
  ["linear", (x) => x],
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
