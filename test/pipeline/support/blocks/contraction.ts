import type { Dim } from "../../../../src/ir/dim.ts";
import type { Value } from "../../../../src/ir/graph.ts";
import type { Maker } from "../random-model.ts";

const join = (labels: readonly string[]) => labels.join(" ");

/** An einsum of x and small tensors over labels in any order: repeated, summed alone, or only in one operand. */
export function chain(m: Maker, x: Value): Value {
  const { b, draw, param } = m;
  const [batch, tokens, last] = x.type.shape as [Dim, Dim, number];
  const sizes = new Map<string, Dim>([
    ["b", batch],
    ["s", tokens],
    ["d", last],
    ["e", draw.pick([1, 2, 3])],
    ["f", draw.pick([1, 2, 5])],
  ]);
  const fixed = [...sizes].filter(([, dim]) => typeof dim === "number").map(([label]) => label);
  const operands: Value[] = [x];
  const specs = ["b s d"];
  for (let i = draw.int(1, 3); i > 0; i--) {
    const labels = draw.shuffled(fixed).slice(0, draw.int(1, 3));
    if (draw.chance(0.1)) labels.push(labels[0]!);
    specs.push(join(labels));
    operands.push(param(labels.map((label) => sizes.get(label) as number)));
  }
  if (draw.chance(0.3)) {
    specs.push(draw.pick(["b s d", "b s d"]));
    operands.push(b.tanh(x));
  }
  const used = [...new Set(specs.join(" ").split(" "))];
  const kept = used.filter((label) => ["b", "s"].includes(label) || draw.chance(0.5));
  const result = draw.shuffled(kept);
  const order = draw.shuffled(operands.map((_, i) => i));
  const spec = `${order.map((i) => specs[i]).join(", ")} -> ${join(result)}`;
  const chosen = order.map((i) => operands[i]!);
  const y = draw.chance(0.5) ? b.einsum(...chosen, { spec }) : b.contract(...chosen, { spec });
  return restored(m, y, result, sizes);
}

/** [batch, tokens, features] again, by transposing and joining axes. */
function restored({ b }: Maker, y: Value, labels: readonly string[], sizes: ReadonlyMap<string, Dim>): Value {
  const rest = labels.filter((label) => label !== "b" && label !== "s");
  const order = ["b", "s", ...rest];
  const turned = b.transpose(y, { perm: order.map((label) => labels.indexOf(label)) });
  const features = rest.reduce((product, label) => product * (sizes.get(label) as number), 1);
  return b.reshape(turned, { shape: [sizes.get("b")!, sizes.get("s")!, features] });
}

/** Products in a row that may be done in another order: weights after weights, scores without a softmax, low rank. */
export function factored(m: Maker, x: Value): Value {
  const { b, draw, param, c } = m;
  const last = x.type.shape.at(-1) as number;
  const rank = draw.int(1, 4);
  const [down, up] = [param([last, rank]), param([rank, last])];
  return draw.pick([
    () => b.contract(b.contract(x, down, { spec: "b s d, d r -> b s r" }), up, { spec: "b s r, r d -> b s d" }),
    () => b.contract(x, b.contract(down, up, { spec: "d r, r e -> d e" }), { spec: "b s d, d e -> b s e" }),
    () => {
      const k = b.contract(x, param([last, rank]), { spec: "b s d, d r -> b s r" });
      const q = b.contract(x, down, { spec: "b s d, d r -> b s r" });
      const scores = b.contract(q, k, { spec: "b q r, b k r -> b q k" });
      if (draw.chance(0.2)) m.seen.push(scores);
      const scaled = draw.chance(0.5) ? b.mul(scores, c(0.5)) : scores;
      return b.contract(scaled, x, { spec: "b q k, b k d -> b q d" });
    },
    () => {
      const k = b.contract(up, x, { spec: "r d, b s d -> b r s" });
      return b.contract(b.contract(x, down, { spec: "b q d, d r -> b q r" }), k, x, {
        spec: "b q r, b r k, b k d -> b q d",
      });
    },
    () => b.mul(b.reduceSum(b.contract(x, x, { spec: "b s d, b s d -> b s d" }), { axes: [2], keepDims: true }), x),
  ])();
}
