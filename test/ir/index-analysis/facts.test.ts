import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Arena } from "../../../src/ir/arena.ts";
import { add as addDims, show, symbol } from "../../../src/ir/dim.ts";
import { maskFacts } from "../../../src/ir/index-analysis/facts.ts";
import { showIndex } from "../../../src/ir/index-expr/show.ts";
import { type IndexFormula, type IndexTable, length } from "../../../src/ir/index-expr/types.ts";
import { dense } from "./brute.ts";
import { catalogue } from "./catalogue.ts";
import {
  abs,
  add,
  and,
  at,
  div,
  eq,
  floorDiv,
  formula,
  ge,
  h,
  k,
  le,
  lt,
  max,
  min,
  mod,
  mul,
  or,
  q,
  select,
  shiftRight,
  sub,
  table,
} from "./formula.ts";
import { plausibleMask, randomMask, tables } from "./random-mask.ts";

/** The largest q - k and k - q at which a mask is true. */
function reachOf(mask: IndexFormula, n: number, head = 0) {
  const truth = dense(mask, { H: 4, Q: n, K: n }, 0, head);
  let [back, ahead] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++)
      if (truth[i * n + j] === 1) [back, ahead] = [Math.max(back, i - j), Math.max(ahead, j - i)];
  return { back, ahead };
}

const n = 240;
const masks = catalogue(n, 8);
const mask = (name: string) => masks.get(name)!;

describe("facts of the catalogue", () => {
  it.each(["causal", "sliding window", "documents", "packed causal documents", "batchify"])("%s is causal", (name) => {
    expect(maskFacts(mask(name)).causal).toBe(true);
  });

  it.each([...masks])("%s: causal only if it is", (_, formula) => {
    const { causal } = maskFacts(formula);
    expect(causal && reachOf(formula, n).ahead > 0).toBe(false);
  });

  it.each([
    ["sliding window", { back: 16, ahead: 0 }],
    ["dilated sliding window", { back: 15, ahead: 15 }],
    ["documents", "exact"],
    ["packed causal documents", "exact"],
    ["batchify", "exact"],
  ] as const)("%s is banded, its reach exact", (name, expected) => {
    const { reach, banded } = maskFacts(mask(name));
    expect(banded).toBe(true);
    expect(reach).toEqual(reachOf(mask(name), n));
    if (expected !== "exact") expect(reach).toEqual(expected);
  });

  it("prefix, tree and shared-prefix masks reach ahead exactly as far as they say", () => {
    for (const name of ["prefix LM", "tree training", "causal"])
      expect(maskFacts(mask(name)).reach.ahead, name).toBe(reachOf(mask(name), n).ahead);
  });

  it("strides, tiles and documents", () => {
    expect(maskFacts(mask("dilated")).stride).toEqual({ modulus: 4, residue: 0 });
    expect(maskFacts(mask("dilated sliding window")).stride).toEqual({ modulus: 3, residue: 0 });
    expect(maskFacts(mask("batchify")).blockDiagonal).toEqual({ size: 40 });
    const { documents } = maskFacts(mask("documents"));
    expect(documents?.offsets[0]).toBe(0);
    expect(documents?.offsets).toEqual(
      Array.from(
        mask("documents").tables[1]!.kind === "constant"
          ? (mask("documents").tables[1] as IndexTable & { data: Float64Array }).data
          : [],
      ),
    );
  });

  it("says which masks are functions of the distance", () => {
    const yes = [...masks].filter(([, formula]) => maskFacts(formula).ofDistance).map(([name]) => name);
    expect(yes).toEqual(["causal", "sliding window", "dilated sliding window", "dilated"]);
  });

  it("splits global rows and columns from the band", () => {
    const { globals, banded } = maskFacts(mask("global sliding window"));
    expect(banded).toBe(false);
    expect(showIndex(globals!.rows!)).toBe("isGlobal[q]");
    expect(showIndex(globals!.columns!)).toBe("isGlobal[k]");
    expect(globals!.band!.reach).toEqual({ back: 16, ahead: 16 });
    expect(maskFacts(mask("spatial heads")).globals!.band!.reach).toEqual({ back: 31, ahead: 31 });
    expect(maskFacts(mask("causal")).globals).toBeUndefined();
  });
});

describe("masks that are in no catalogue", () => {
  const distance = sub(q, k);
  const windows = table("windows", [4, 8, 16, 32]);
  const h4 = { H: 4 };
  it.each([
    ["chunks", formula(and(le(sub(floorDiv(q, 8), floorDiv(k, 8)), 1), le(k, q))), { back: 15, ahead: 0 }],
    ["chunks both ways", formula(le(abs(sub(floorDiv(q, 8), floorDiv(k, 8))), 1)), { back: 15, ahead: 15 }],
    ["tiles by shifts", formula(eq(shiftRight(q, 4), shiftRight(k, 4))), { back: 15, ahead: 15 }],
    ["windows of heads", formula(and(le(k, q), le(distance, at(0, [h]))), windows), { back: 32, ahead: 0 }],
    ["windows that grow", formula(and(le(k, q), lt(distance, mul(16, add(h, 1))))), { back: 63, ahead: 0 }],
    [
      "heads that differ",
      formula(select(lt(h, 2), and(le(k, q), lt(distance, 64)), le(abs(distance), 16))),
      { back: 63, ahead: 16 },
    ],
    ["the greater side", formula(lt(max(distance, sub(k, q)), 8)), { back: 7, ahead: 7 }],
    ["a choice", formula(select(lt(k, q), lt(distance, 5), eq(q, k))), { back: 4, ahead: 0 }],
    ["squares", formula(le(mul(distance, distance), 17)), { back: 4, ahead: 4 }],
    ["halves", formula(and(le(k, q), lt(div(distance, 2), 8))), { back: 15, ahead: 0 }],
    ["fractions", formula(and(le(sub(k, q), 0.5), le(distance, 6.5))), { back: 6, ahead: 0 }],
  ] as const)("%s: the reach is the true one", (_, mask, expected) => {
    const { reach, banded, causal } = maskFacts(mask, h4);
    expect(reach).toEqual(expected);
    expect(banded).toBe(true);
    expect(causal).toBe(expected.ahead === 0);
    const truths = [0, 1, 2, 3].map((head) => reachOf(mask, 100, head));
    expect(Math.max(...truths.map(({ back }) => back))).toBe(expected.back);
    expect(Math.max(...truths.map(({ ahead }) => ahead))).toBe(expected.ahead);
  });

  it("windows of heads with symbolic heads", () => {
    expect(show(maskFacts(formula(and(le(k, q), lt(distance, mul(16, add(h, 1)))))).reach.back!)).toBe("16*H - 1");
  });

  it("documents of which the last goes on to the end", () => {
    const starts = table("doc", [0, 0, 0, 1, 1, 2]);
    const open = formula(eq(at(0, [min(q, 5)]), at(0, [min(k, 5)])), starts);
    expect(maskFacts(open).documents).toEqual({ table: 0, offsets: [0, 3, 5] });
    expect(show(maskFacts(open).reach.back!)).toBe("max(2, (Q - 6))");
    expect(maskFacts(open, { Q: 40, K: 30 }).reach).toEqual({ back: 34, ahead: 24 });
    expect(reachOf(open, 40)).toEqual({ back: 34, ahead: 34 });
  });

  it("tiles by shifts are tiles", () => {
    expect(maskFacts(formula(eq(shiftRight(q, 4), shiftRight(k, 4)))).blockDiagonal).toEqual({ size: 16 });
  });

  it("strides from the left of the diagonal", () => {
    const facts = maskFacts(formula(and(ge(distance, 0), eq(mod(distance, 4), 0))));
    expect(facts.stride).toEqual({ modulus: 4, residue: 0 });
    expect(facts.causal).toBe(true);
  });

  it("a neighbourhood on a canvas is a band", () => {
    const { reach } = maskFacts(mask("natten"), { Q: n, K: n });
    const truth = reachOf(mask("natten"), n);
    expect(reach.back).toBeGreaterThanOrEqual(truth.back);
    expect(reach.ahead).toBeGreaterThanOrEqual(truth.ahead);
    expect(reach.back).toBeLessThan(n - 1);
  });

  it("global rows and columns are listed where they are known", () => {
    expect(maskFacts(formula(or(le(abs(distance), 3), lt(k, 2)))).globals).toMatchObject({
      rowsAt: undefined,
      columnsAt: [0, 1],
      band: { reach: { back: 3, ahead: 3 } },
    });
    const { globals } = maskFacts(formula(or(eq(mod(k, 7), 0), lt(distance, 5))), { Q: 20, K: 20 });
    expect(globals?.columnsAt).toEqual([0, 7, 14]);
    expect(maskFacts(formula(or(eq(mod(k, 7), 0), lt(distance, 5)))).globals?.columnsAt).toBeUndefined();
    expect(maskFacts(formula(or(lt(k, h), lt(distance, 5)))).globals?.columnsAt).toBeUndefined();
  });
});

describe("symbolic lengths", () => {
  it("bound the reach as dimensions", () => {
    const Q = symbol("past");
    const offset = sub(length("K"), length("Q"));
    // Causal from the end: query i sees keys up to i + K - Q.
    const { reach, causal } = maskFacts(formula(le(k, add(q, offset))), { Q, K: addDims(Q, 8) });
    expect(reach.ahead).toBe(8);
    expect(causal).toBe(false);
    const open = maskFacts(formula(le(k, add(q, offset))));
    expect(show(open.reach.ahead!)).toBe("K - Q");
    const window = maskFacts(formula(and(le(k, q), lt(sub(q, k), length("H")))));
    expect(show(window.reach.back!)).toBe("H - 1");
    expect(window.causal).toBe(true);
  });
});

describe("dependence", () => {
  it("on heads and on tensors is told", () => {
    expect(maskFacts(formula(le(abs(sub(q, k)), h))).dependsOn).toEqual({ b: false, h: true, q: true, k: true });
    const arena = new Arena();
    const value = arena.node("input", [], { name: "doc", dtype: "i64", shape: [64] }).results[0]!;
    const doc: IndexTable = { name: "doc", truth: false, kind: "tensor", value };
    const facts = maskFacts(formula(and(le(k, q), eq(at(0, [q]), at(0, [k]))), doc));
    expect(facts.dataTables).toEqual([0]);
    expect(facts.causal).toBe(true);
    expect(facts.documents).toBeUndefined();
    expect(facts.reach.back).toBeUndefined();
  });
});

describe("slopes", () => {
  it("other than one bound one side", () => {
    expect(maskFacts(formula(le(mul(2, k), q))).causal).toBe(true);
    expect(maskFacts(formula(le(add(q, k), 9))).reach).toEqual({ back: 9, ahead: 9 });
    expect(maskFacts(formula(or(lt(k, 4), le(k, q)))).reach.ahead).toBe(3);
  });
});

describe("facts of random masks", () => {
  it.each([
    ["plausible", plausibleMask],
    ["any", randomMask],
  ])("%s: what is said holds", (_, kind) => {
    fc.assert(
      fc.property(kind, (expr) => {
        const mask = { expr, tables };
        const facts = maskFacts(mask, { Q: 40, K: 40, B: 1, H: 1 });
        const truth = dense(mask, { Q: 40, K: 40 });
        const { back, ahead } = facts.reach;
        const seen = new Map<number, number>();
        for (let i = 0; i < 40; i++)
          for (let j = 0; j < 40; j++) {
            const value = truth[i * 40 + j]!;
            if (facts.ofDistance && (seen.get(i - j) ?? value) !== value)
              throw new Error(`${showIndex(mask)} is no function of the distance at ${i}, ${j}`);
            seen.set(i - j, value);
            if (value === 0) continue;
            if (typeof back === "number" && i - j > back)
              throw new Error(`${showIndex(mask)} reaches back ${i - j} > ${back}`);
            if (typeof ahead === "number" && j - i > ahead)
              throw new Error(`${showIndex(mask)} reaches ahead ${j - i} > ${ahead}`);
            const { stride } = facts;
            if (stride && (i - j - stride.residue) % stride.modulus !== 0)
              throw new Error(`${showIndex(mask)} is true at distance ${i - j}`);
          }
      }),
      { numRuns: 1500 },
    );
  });
});
