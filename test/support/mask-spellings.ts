import { type Arena, type Build, graphOf } from "../../src/ir/arena.ts";
import { add, type Dim, symbol } from "../../src/ir/dim.ts";
import type { Graph, Value } from "../../src/ir/graph.ts";

/** Three of them add up to what single precision holds. */
const depths = [Number.NEGATIVE_INFINITY, -1.1e38, -1e38, -1e30, -1e9, -1e4];
const width = 4;
const [batch, queries, past, others] = ["B", "S", "P", "T"].map(symbol) as [Dim, Dim, Dim, Dim];

type Draw = <T>(list: readonly T[]) => T;

/** Elements of lists, the same in every run. */
function drawing(seed: number): Draw {
  let state = Math.imul(seed + 1, 2654435761) >>> 0;
  return (list) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return list[Math.floor(((state >>> 4) / 2 ** 28) * list.length)]!;
  };
}

/** Inputs of a graph, each made where it is first asked for. */
class Inputs {
  readonly all: Value[] = [];
  private readonly b: Build;

  constructor(b: Build) {
    this.b = b;
  }

  given(name: string, shape: readonly Dim[], dtype: "f32" | "bool" = "f32"): Value {
    const known = this.all.find(({ node }) => node.attrs.get("name") === name);
    const made = known ?? this.b.input({ name, dtype, shape });
    if (!known) this.all.push(made);
    return made;
  }
}

/** A softmax attention whose scores are masked, biased and scaled in some order, as people do. */
export function spelled(
  arena: Arena,
  seed: number,
  fills: readonly number[] = depths,
): { readonly graph: Graph; readonly text: string } {
  const b = arena.build;
  const draw = drawing(seed);
  const inputs = new Inputs(b);
  const keys = draw([queries, add(past, queries), others]);
  const [q, k, v] = operands(b, draw, inputs, keys);
  const masks = masksOf(b, inputs, keys);
  const said: string[] = [];
  let scores = b.einsum(q, k, { spec: "b h q d, b h k d -> b h q k" });
  let last: Value | undefined;
  for (let steps = draw([1, 2, 3]); steps > 0; steps--) {
    const kind = draw(["replaced", "replaced", "added", "added", "hidden", "product", "bias", "scale"]);
    said.push(kind);
    if (kind === "scale") scores = b.mul(scores, b.scalar(0.5, "f32"));
    else if (kind === "bias") {
      const shapes = [
        [2, queries, keys],
        [batch, 1, 1, keys],
      ];
      scores = b.add(scores, inputs.given(`bias${steps}`, draw(shapes)));
    } else {
      const name = draw([...masks.keys()]);
      const fill = draw(kind === "product" ? fills.filter(Number.isFinite) : fills);
      last = masks.get(name)!();
      said.push(`by ${name} with ${fill}`);
      scores = masked(b, kind, scores, last, fill);
    }
  }
  const ending = draw(["plain", "plain", "plain", "guarded", "cleared"]);
  const zero = b.scalar(0, "f32");
  const sink = draw(["", "", "", "sink after the keys", "sink before the keys", "sink by a sigmoid"]);
  const column = () => b.broadcast(inputs.given("sink", [2, 1, 1]), { shape: [batch, 2, queries, 1] });
  let weights = sink.endsWith("keys")
    ? withoutSink(b, scores, column(), sink.startsWith("sink before"))
    : b.softmax(scores);
  if (ending === "guarded") weights = b.select(b.equal(weights, weights), weights, zero);
  if (ending === "cleared" && last) weights = b.select(last, weights, zero);
  const weighed = b.einsum(weights, v, { spec: "b h q k, b h k d -> b h q d" });
  const out = sink.endsWith("sigmoid") ? b.mul(weighed, b.sigmoid(b.sub(logSum(b, scores), column()))) : weighed;
  return { graph: graphOf("g", inputs.all, [["o", out]]), text: [...said, ending, sink].join(" ") };
}

function withoutSink(b: Build, scores: Value, sink: Value, isFirst: boolean): Value {
  const keys = scores.type.shape[3]!;
  const all = b.softmax(b.concat(...(isFirst ? [sink, scores] : [scores, sink]), { axis: 3 }));
  return b.slice(all, { axis: 3, start: isFirst ? 1 : 0, end: isFirst ? add(keys, 1) : keys });
}

function logSum(b: Build, scores: Value): Value {
  const along = { axes: [3], keepDims: true };
  const most = b.reduceMax(scores, along);
  return b.add(b.log(b.reduceSum(b.exp(b.sub(scores, most)), along)), most);
}

/** Queries, keys and values of two heads, given so or as they come from projections, keys and values perhaps shared or cached. */
function operands(b: Build, draw: Draw, inputs: Inputs, keys: Dim): readonly [Value, Value, Value] {
  const [kvHeads, isCached] = [draw([2, 2, 1]), draw([true, false])];
  const headed = (name: string, heads: number, length: Dim): Value => {
    if (draw([true, false])) return inputs.given(name, [batch, heads, length, width]);
    const flat = inputs.given(name, [batch, length, width * heads]);
    return b.transpose(b.reshape(flat, { shape: [batch, length, heads, width] }), { perm: [0, 2, 1, 3] });
  };
  const kept = (name: string): Value => {
    if (!isCached || keys !== add(past, queries)) return headed(name, kvHeads, keys);
    const before = inputs.given(`past.${name}`, [batch, kvHeads, past, width]);
    return b.concat(before, headed(name, kvHeads, queries), { axis: 2 });
  };
  const shared = (x: Value): Value => (kvHeads === 2 ? x : b.broadcast(x, { shape: [batch, 2, keys, width] }));
  return [headed("q", 2, queries), shared(kept("k")), shared(kept("v"))];
}

function masked(b: Build, kind: string, scores: Value, mask: Value, fill: number): Value {
  const [zero, one, low] = [0, 1, fill].map((x) => b.scalar(x, "f32")) as [Value, Value, Value];
  if (kind === "replaced") return b.select(mask, scores, low);
  if (kind === "added") return b.add(scores, b.select(mask, zero, low));
  if (kind === "hidden") return b.add(scores, b.select(b.equal(b.cast(mask, { to: "f32" }), zero), low, zero));
  return b.add(scores, b.mul(b.sub(one, b.cast(mask, { to: "f32" })), low));
}

function masksOf(b: Build, inputs: Inputs, keys: Dim): ReadonlyMap<string, () => Value> {
  const row = () => b.reshape(b.iota({ size: queries }), { shape: [queries, 1] });
  const column = () => b.reshape(b.iota({ size: keys }), { shape: [1, keys] });
  const after = () => b.add(row(), b.sub(b.size({ of: keys }), b.size({ of: queries })));
  const causal = () => b.lessEqual(column(), row());
  const kept = () => inputs.given("keep", [batch, 1, 1, keys], "bool");
  return new Map<string, () => Value>([
    ["causal", causal],
    ["causal by what is later", () => b.not(b.lessEqual(b.add(row(), b.scalar(1, "i64")), column()))],
    ["causal after a cache", () => b.lessEqual(column(), after())],
    ["window", () => b.and(b.less(b.sub(row(), column()), b.scalar(2, "i64")), causal())],
    ["keys", kept],
    ["pairs", () => inputs.given("pairs", [batch, 1, queries, keys], "bool")],
    ["heads", () => inputs.given("heads", [2, queries, 1], "bool")],
    ["causal and keys", () => b.and(causal(), kept())],
    ["not keys", () => b.not(inputs.given("padding", [batch, 1, 1, keys], "bool"))],
  ]);
}
