import { describe, expect, test } from "vitest";
import {
  constant,
  cumsum,
  input,
  matmul,
  model,
  param,
  scan,
  sigmoid,
  type Tensor,
  type Tensors,
} from "../../src/dsl/index.ts";
import { compile, randomFeeds } from "../../src/index.ts";
import { evaluateGraph } from "../../src/ir/evaluate.ts";
import { toFloat64 } from "../../src/ir/tensor.ts";
import { runModel } from "../../src/session.ts";
import { verify } from "../../src/verify.ts";

/** x passes a gate that depends on the state; the gate's weight and the offset are of the model around. */
const gated = model("gated", { axis: 1 }, ({ axis }) => {
  const x = input("x", "f32", axis === 1 ? ["batch", "seq", 3] : ["seq", "batch", 3]);
  const offset = input("offset", "f32", ["batch", 3]);
  const w = param("w", [3, 3]);
  const start = offset.mul(0);
  const { states, outputs } = scan(
    { h: start },
    { x },
    ({ h }, { x: now }) => {
      const next = sigmoid(matmul(h, w).add(now)).add(offset.mul(2));
      return { states: { h: next }, outputs: { before: h, next } };
    },
    { axis },
  );
  return { last: states.h, before: outputs.before, next: outputs.next };
});

describe("scan", () => {
  test.each([0, 1])("along axis %i, against a loop", async (axis) => {
    const { declared, weights } = await compile(gated, { naive: true, settings: { axis } });
    const [batch, seq] = [2, 5];
    const feeds = randomFeeds(declared, new Map(Object.entries({ batch, seq })), 1);
    const w = toFloat64(weights.read("w"));
    const [x, offset] = [toFloat64(feeds.get("x")!), toFloat64(feeds.get("offset")!)];
    const out = evaluateGraph(declared, feeds, { weights });
    const at = (b: number, t: number, i: number) => (axis === 1 ? (b * seq + t) * 3 + i : (t * batch + b) * 3 + i);
    for (let b = 0; b < batch; b++) {
      let h = [0, 0, 0];
      for (let t = 0; t < seq; t++) {
        h.forEach((value, i) => expect(out.get("before")!.data[at(b, t, i)]).toBeCloseTo(value, 12));
        h = h.map((_, i) => {
          const z = h.reduce((sum, value, j) => sum + value * w[j * 3 + i]!, x[at(b, t, i)]!);
          return 1 / (1 + Math.exp(-z)) + 2 * offset[b * 3 + i]!;
        });
        h.forEach((value, i) => expect(out.get("next")!.data[at(b, t, i)]).toBeCloseTo(value, 12));
      }
      h.forEach((value, i) => expect(out.get("last")!.data[b * 3 + i]).toBeCloseTo(value, 12));
    }
  });

  test("is right after every pass and in the runtime; what does not change is computed once", async () => {
    const report = await verify(gated);
    expect(report.guilty).toBeUndefined();
    const { graph } = (await compile(gated, { naive: true })).onnx();
    const body = graph.nodes.find(({ opType }) => opType === "Scan")!.attributes.get("body")!;
    const inner = body.kind === "graph" ? body.value.nodes.map(({ opType }) => opType) : [];
    expect(inner.filter((opType) => opType === "Mul")).toEqual([]);
    expect(inner).toContain("MatMul");
  });

  test("within one another, by the same names", async () => {
    const nested = model("nested", {}, () => {
      const x = input("x", "f32", ["seq", 4]);
      const { states } = scan({ s: constant(0) }, { x }, ({ s }, { x: row }) => {
        const inner = scan({ s: s.mul(2) }, { x: row }, ({ s: t }, { x: element }) => ({
          states: { s: t.add(element.mul(s)).add(1) },
        }));
        return { states: { s: inner.states.s as typeof s } };
      });
      return { y: states.s };
    });
    expect((await verify(nested)).guilty).toBeUndefined();
    const { declared } = await compile(nested, { naive: true });
    const feeds = randomFeeds(declared, new Map([["seq", 3]]), 2);
    const x = toFloat64(feeds.get("x")!);
    let s = 0;
    for (let i = 0; i < 3; i++) {
      let t = 2 * s;
      for (let j = 0; j < 4; j++) t += x[i * 4 + j]! * s + 1;
      s = t;
    }
    expect(evaluateGraph(declared, feeds).get("y")!.data[0]).toBeCloseTo(s, 10);
  });

  const at = () => input("x", "f32", ["seq", 4]);
  const start = () => constant([0, 0, 0, 0]);
  const ends: Record<string, [code: string, body: () => Readonly<Record<string, Tensor>>]> = {
    "a state of another shape": [
      "QKV107",
      () => scan({ s: start() }, { x: at() }, () => ({ states: { s: constant(1) } })).states,
    ],
    "a state of another type": [
      "QKV109",
      () => scan({ s: start() }, { x: at() }, ({ s }) => ({ states: { s: s.cast("f64") } })).states,
    ],
    "no next state": ["QKV120", () => scan({ s: start() }, { x: at() }, () => ({ states: {} }) as never).states],
    "another state": ["QKV120", () => scan({ s: start() }, { x: at() }, ({ s }) => ({ states: { s, t: s } })).states],
    "no sequence": ["QKV106", () => scan({ s: start() }, {}, (states) => ({ states })).states],
    "sequences of different lengths": [
      "QKV107",
      () => scan({ s: start() }, { x: at(), y: input("y", "f32", ["other", 4]) }, (states) => ({ states })).states,
    ],
    "a step that answers a tensor": [
      "QKV106",
      () => scan({ s: start() }, { x: at() }, (({ s }: Tensors) => s) as never).states,
    ],
    "an axis there is not": [
      "QKV110",
      () => scan({ s: start() }, { x: at() }, (states) => ({ states }), { axis: 2 }).states,
    ],
    "a misspelt option": [
      "QKV120",
      () => scan({ s: start() }, { x: at() }, (states) => ({ states }), { axes: 1 } as never).states,
    ],
  };
  test.each(Object.entries(ends))("%s is refused where it stands", (_, [code, body]) => {
    const wrong = model("wrong", {}, body);
    expect(() => wrong.build()).toThrow(
      expect.objectContaining({ code, details: expect.objectContaining({ location: expect.anything() }) }),
    );
  });
});

test("cumsum", async () => {
  const sums = model("sums", {}, () => {
    const x = input("x", "f32", ["seq", 3]);
    return { down: cumsum(x, { axis: 0 }), up: cumsum(x, { axis: -1, exclusive: true, reverse: true }) };
  });
  const { declared, onnx } = await compile(sums);
  const feeds = randomFeeds(declared, new Map([["seq", 4]]), 3);
  const data = toFloat64(feeds.get("x")!);
  const out = await runModel(onnx(), feeds);
  for (let i = 0; i < 4; i++)
    for (let j = 0; j < 3; j++) {
      let [down, up] = [0, 0];
      for (let k = 0; k <= i; k++) down += data[k * 3 + j]!;
      for (let k = j + 1; k < 3; k++) up += data[i * 3 + k]!;
      expect(out.get("down")!.data[i * 3 + j]).toBeCloseTo(down, 5);
      expect(out.get("up")!.data[i * 3 + j]).toBeCloseTo(up, 5);
    }
});
