import { type Arena, type Build, graphOf } from "../../src/ir/arena.ts";
import { add, type Dim, symbol } from "../../src/ir/dim.ts";
import { type Graph, nodesOf, type Value } from "../../src/ir/graph.ts";

/** Three of them add up to what single precision holds. */
const depths = [Number.NEGATIVE_INFINITY, -1.1e38, -1e38, -1e30, -1e9, -1e4];

/** Whole numbers below n, the same in every run. */
function drawing(seed: number): (n: number) => number {
  let state = Math.imul(seed + 1, 2654435761) >>> 0;
  return (n) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return Math.floor(((state >>> 4) / 2 ** 28) * n);
  };
}

/** A softmax attention whose scores are masked, biased and scaled in some order, as people do. */
export function spelled(
  arena: Arena,
  seed: number,
  fills: readonly number[] = depths,
): { readonly graph: Graph; readonly text: string } {
  const b = arena.build;
  const draw = drawing(seed);
  const pick = <T>(list: readonly T[]): T => list[draw(list.length)]!;
  const [batch, queries] = [symbol("B"), symbol("S")];
  const keys = pick<Dim>([queries, add(queries, symbol("P")), symbol("T")]);
  const said: string[] = [];
  const input = (name: string, dtype: "f32" | "bool", shape: readonly Dim[]) => b.input({ name, dtype, shape });
  const [q, k, v] = [
    input("q", "f32", [batch, 2, queries, 4]),
    input("k", "f32", [batch, 2, keys, 4]),
    input("v", "f32", [batch, 2, keys, 4]),
  ];
  const inputs = [q, k, v];
  const masks = masksOf(b, { batch, queries, keys }, (name, shape) => {
    const known = inputs.find(({ node }) => node.attrs.get("name") === name);
    if (known) return known;
    const made = input(name, "bool", shape);
    inputs.push(made);
    return made;
  });
  let scores = b.einsum(q, k, { spec: "b h q d, b h k d -> b h q k" });
  let last: Value | undefined;
  const steps = 1 + draw(3);
  for (let i = 0; i < steps; i++) {
    const kind = pick(["replaced", "replaced", "added", "added", "product", "bias", "scale"]);
    if (kind === "scale") scores = b.mul(scores, b.scalar(0.5, "f32"));
    else if (kind === "bias") {
      const bias = input(
        `bias${i}`,
        "f32",
        pick([
          [2, queries, keys],
          [batch, 1, 1, keys],
        ]),
      );
      inputs.push(bias);
      scores = b.add(scores, bias);
    } else {
      const name = pick([...masks.keys()]);
      const mask = masks.get(name)!();
      const fill = kind === "product" ? pick(fills.slice(1)) : pick(fills);
      last = mask;
      said.push(`${kind} ${name} ${fill}`);
      const [zero, low] = [b.scalar(0, "f32"), b.scalar(fill, "f32")];
      if (kind === "replaced") scores = b.select(mask, scores, low);
      else if (kind === "added") scores = b.add(scores, b.select(mask, zero, low));
      else scores = b.add(scores, b.mul(b.sub(b.scalar(1, "f32"), b.cast(mask, { to: "f32" })), low));
      continue;
    }
    said.push(kind);
  }
  let weights = b.softmax(scores);
  const ending = pick(["plain", "plain", "plain", "guarded", "cleared"]);
  said.push(ending);
  if (ending === "guarded") weights = b.select(b.equal(weights, weights), weights, b.scalar(0, "f32"));
  if (ending === "cleared" && last) weights = b.select(last, weights, b.scalar(0, "f32"));
  const out = b.einsum(weights, v, { spec: "b h q k, b h k d -> b h q d" });
  const names = new Set(
    nodesOf(graphOf("g", [], [["o", out]]))
      .filter(({ op }) => op === "input")
      .map(({ attrs }) => attrs.get("name")),
  );
  return {
    graph: graphOf(
      "g",
      inputs.filter(({ node }) => names.has(node.attrs.get("name"))),
      [["o", out]],
    ),
    text: said.join(", "),
  };
}

type Lengths = Readonly<Record<"batch" | "queries" | "keys", Dim>>;

function masksOf(b: Build, { batch, queries, keys }: Lengths, given: (name: string, shape: readonly Dim[]) => Value) {
  const row = () => b.reshape(b.iota({ size: queries }), { shape: [queries, 1] });
  const column = () => b.reshape(b.iota({ size: keys }), { shape: [1, keys] });
  const after = () => b.add(row(), b.sub(b.size({ of: keys }), b.size({ of: queries })));
  return new Map<string, () => Value>([
    ["causal", () => b.lessEqual(column(), row())],
    ["causal after a cache", () => b.lessEqual(column(), after())],
    ["window", () => b.and(b.less(b.sub(row(), column()), b.scalar(2, "i64")), b.lessEqual(column(), row()))],
    ["keys", () => given("keep", [batch, 1, 1, keys])],
    ["pairs", () => given("pairs", [batch, 1, queries, keys])],
    ["heads", () => given("heads", [2, queries, 1])],
    ["causal and keys", () => b.and(b.lessEqual(column(), row()), given("keep", [batch, 1, 1, keys]))],
    ["not keys", () => b.not(given("padding", [batch, 1, 1, keys]))],
  ]);
}
