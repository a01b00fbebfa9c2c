import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { QkvError } from "../../src/ir/diagnostics.ts";
import {
  add,
  atLeast,
  ceilDiv,
  coefficients,
  type Dim,
  divideExact,
  evaluate,
  floorDiv,
  max,
  min,
  mod,
  mul,
  product,
  show,
  sub,
  substitute,
  sum,
  symbol,
  symbolsOf,
  unify,
} from "../../src/ir/dim.ts";
import { parseDim } from "../../src/ir/dim-parse.ts";

const names = ["B", "S", "past", "w.1"];
const [B, S, past] = names.map(symbol) as [Dim, Dim, Dim];

const { dim } = fc.letrec<{ dim: Dim }>((tie) => ({
  dim: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    fc.integer({ min: -9, max: 9 }),
    fc.constantFrom(...names).map(symbol),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => add(a, b)),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => sub(a, b)),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => mul(a, b)),
    fc.tuple(tie("dim"), fc.integer({ min: 1, max: 7 })).map(([a, n]) => ceilDiv(a, n)),
    fc.tuple(tie("dim"), fc.integer({ min: 1, max: 7 })).map(([a, n]) => floorDiv(a, n)),
    fc.tuple(tie("dim"), fc.integer({ min: 1, max: 7 })).map(([a, n]) => mod(a, n)),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => max(a, b)),
    fc.tuple(tie("dim"), tie("dim")).map(([a, b]) => min(a, b)),
  ),
}));
const values = fc
  .tuple(...names.map(() => fc.nat({ max: 12 })))
  .map((sizes) => new Map(names.map((name, i) => [name, sizes[i]!])));

/** Equal but for the sign of zero. */
const same = (a: number, b: number) => a === b;

describe("laws of arithmetic, by identity", () => {
  test("a + b, a · b commute, associate and distribute; 0 and 1 are neutral; a - a is 0", () => {
    fc.assert(
      fc.property(dim, dim, dim, (a, b, c) => {
        expect(add(a, b)).toBe(add(b, a));
        expect(mul(a, b)).toBe(mul(b, a));
        expect(add(add(a, b), c)).toBe(add(a, add(b, c)));
        expect(mul(mul(a, b), c)).toBe(mul(a, mul(b, c)));
        expect(mul(a, add(b, c))).toBe(add(mul(a, b), mul(a, c)));
        expect(add(a, 0)).toBe(a);
        expect(mul(a, 1)).toBe(a);
        expect(same(Number(mul(a, 0)), 0)).toBe(true);
        expect(sub(a, a)).toBe(0);
        expect(sum([a, b, c])).toBe(add(a, add(b, c)));
        expect(product([a, b, c])).toBe(mul(a, mul(b, c)));
      }),
    );
  });

  test("what is multiplied in divides out", () => {
    fc.assert(
      fc.property(dim, dim, (a, b) => {
        const quotient = b === 0 ? undefined : divideExact(mul(a, b), b);
        if (quotient !== undefined) expect(mul(quotient, b)).toBe(mul(a, b));
      }),
    );
    expect(divideExact(mul(12, add(past, S)), add(past, S))).toBe(12);
    expect(divideExact(add(mul(4, S), 2), 2)).toBe(parseDim("2*S + 1"));
    expect(divideExact(add(mul(4, S), 2), 4)).toBeUndefined();
    expect(divideExact(S, B)).toBeUndefined();
    expect(divideExact(S, 0)).toBeUndefined();
  });
});

describe("numbers for symbols", () => {
  test("every operation means what it does on numbers", () => {
    fc.assert(
      fc.property(dim, dim, values, fc.integer({ min: 1, max: 7 }), (a, b, at, n) => {
        const [x, y] = [evaluate(a, at), evaluate(b, at)];
        const is = (found: Dim, expected: number) => expect(same(evaluate(found, at), expected)).toBe(true);
        is(add(a, b), x + y);
        is(sub(a, b), x - y);
        is(mul(a, b), x * y);
        is(max(a, b), Math.max(x, y));
        is(min(a, b), Math.min(x, y));
        expect(max(a, b)).toBe(max(b, a));
        expect(min(a, b)).toBe(min(b, a));
        is(ceilDiv(a, n), Math.ceil(x / n));
        is(floorDiv(a, n), Math.floor(x / n));
        is(mod(a, n), ((x % n) + n) % n);
        if (atLeast(a, b)) expect(x).toBeGreaterThanOrEqual(y);
      }),
    );
  });

  test("substituting and then evaluating is evaluating", () => {
    fc.assert(
      fc.property(dim, dim, values, (a, replacement, at) => {
        const x = evaluate(replacement, at);
        fc.pre(x >= 0);
        const direct = evaluate(a, new Map(at).set("S", x));
        expect(same(evaluate(substitute(a, new Map([["S", replacement]])), at), direct)).toBe(true);
        const all = substitute(a, at);
        expect(typeof all).toBe("number");
        expect(same(all as number, evaluate(a, at))).toBe(true);
      }),
    );
  });

  test("whole multiples come out of a floor", () => {
    expect(floorDiv(sub(mul(2, S), 1), 2)).toBe(sub(S, 1));
    expect(floorDiv(add(mul(5, S), 3), 2)).toBe(add(add(mul(2, S), 1), floorDiv(add(S, 1), 2)));
  });

  test("what a length falls short of the next multiple is natural, and so is what is left of it", () => {
    expect(atLeast(sub(mul(128, ceilDiv(S, 128)), S), 0)).toBe(true);
    expect(atLeast(S, mul(128, floorDiv(S, 128)))).toBe(true);
    expect(atLeast(mul(64, ceilDiv(S, 128)), S)).toBe(false);
    expect(atLeast(sub(S, 1), mul(128, floorDiv(S, 128)))).toBe(false);
    expect(atLeast(floorDiv(sub(S, 1), 4), -1)).toBe(true);
    expect(atLeast(floorDiv(sub(S, 1), 4), 0)).toBe(false);
    expect(atLeast(ceilDiv(sub(S, 9), 4), -2)).toBe(true);
    expect(atLeast(ceilDiv(sub(S, 9), 4), -1)).toBe(false);
    expect(atLeast(floorDiv(sub(-1, S), 4), -1)).toBe(false);
    let deep: Dim = S;
    for (let i = 0; i < 60; i++) deep = mul(2, ceilDiv(sub(deep, 1), 2));
    expect(atLeast(deep, 1)).toBe(false);
  });

  test("a symbol without a value is named", () => {
    expect(codeOf(() => evaluate(add(S, past), new Map([["S", 1]])))).toBe("QKV205");
    expect(codeOf(() => floorDiv(S, 0))).toBe("QKV204");
  });
});

describe("text", () => {
  test("reads back as the same dimension", () => {
    fc.assert(
      fc.property(dim, (a) => {
        expect(parseDim(show(a))).toBe(a);
      }),
    );
  });

  test.each([
    ["past + seq", "past + seq"],
    ["seq+past", "past + seq"],
    ["2*(a + 3) - 6", "2*a"],
    ["-S + 2", "-S + 2"],
    ["S^2*S", "S^3"],
    ["ceil(S/64)", "ceil(S/64)"],
    ["floor(6*S/3)", "2*S"],
    ["floor((S - 511)/192)", "floor((S - 127)/192) - 2"],
    ["floor((floor((floor((S - 127)/64) - 6)/3) - 2)/2) + 1", "floor((S - 127)/384) - 1"],
    ["floor((S + 7)/8)", "floor((S + 7)/8)"],
    ["floor(2*floor(S/3)/2)", "floor(S/3)"],
    ["floor((floor(S/3) + T)/2)", "floor((T + floor(S/3))/2)"],
    ["min(S, 4)", "min(4, S)"],
    ["mod(S + 1, 2)", "mod(S + 1, 2)"],
    ["max(S, S + 1)", "S + 1"],
    ["min(2, 3)", "2"],
  ])("%s is %s", (text, shown) => expect(show(parseDim(text))).toBe(shown));

  test.each([
    "",
    " ",
    "S +",
    "* S",
    "S S",
    "2.5",
    "S^0",
    "S^9",
    "(S",
    "S)",
    "f(S)",
    "ceil(S, 2)",
    "max(S)",
    "é",
    "1e3",
    "9007199254740993",
    "S^B",
    "(a+b)*(c+d)*(e+f)*(g+h)*(i+j)*(k+l)*(m+n)*(o+p)*(q+r)*(s+t)*(u+v)*(w+x)",
    "(a+b+c+d+e+f+g+h)^8",
    "((((S^8)^8)^8)^8)",
    "9007199254740991*9007199254740991",
    "S*9007199254740991 + S",
    `${"(a+b+c+d)^2*max(S, T + ".repeat(8)}1${")".repeat(8)}`,
  ])("%j is none", (text) => expect(codeOf(() => parseDim(text))).toBe("QKV203"));

  test("nesting is limited", () => {
    expect(codeOf(() => parseDim("(".repeat(100_000)))).toBe("QKV203");
    expect(parseDim(`${"(".repeat(50)}S${")".repeat(50)}`)).toBe(S);
  });

  test("names that objects have are names like any other", () => {
    const odd = add(symbol("constructor"), symbol("__proto__"));
    expect(symbolsOf(odd).toSorted()).toEqual(["__proto__", "constructor"]);
    expect(parseDim(show(odd))).toBe(odd);
    expect(codeOf(() => symbol("a b"))).toBe("QKV203");
  });
});

describe("unify", () => {
  test("makes both equal, or binds nothing", () => {
    fc.assert(
      fc.property(dim, dim, (pattern, actual) => {
        const bindings = new Map<string, Dim>();
        const closed = substitute(actual, new Map(names.map((name) => [name, symbol(`${name}_`)])));
        if (unify(pattern, closed, bindings)) expect(substitute(pattern, bindings)).toBe(closed);
        else expect(bindings.size).toBe(0);
      }),
    );
  });

  test.each([
    ["S", "5", "S", "5"],
    ["2*S", "6", "S", "3"],
    ["2*S", "2*T", "S", "T"],
    ["past + 1", "8", "past", "7"],
    ["-S + 9", "2", "S", "7"],
    ["3*S + 2", "3*T + 5", "S", "T + 1"],
  ])("%s with %s: %s is %s", (pattern, actual, name, value) => {
    const bindings = new Map<string, Dim>();
    expect(unify(parseDim(pattern), parseDim(actual), bindings)).toBe(true);
    expect(show(bindings.get(name)!)).toBe(value);
  });

  test.each([
    ["S + 3", "2"],
    ["2*S", "5"],
    ["S*B", "6"],
    ["S + B", "6"],
    ["S^2", "9"],
    ["4", "5"],
    ["ceil(S/2)", "3"],
  ])("%s with %s: nothing", (pattern, actual) => {
    const bindings = new Map<string, Dim>();
    expect(unify(parseDim(pattern), parseDim(actual), bindings)).toBe(false);
    expect(bindings.size).toBe(0);
  });

  test("what is bound stays bound", () => {
    const bindings = new Map<string, Dim>([["past", 4]]);
    expect(unify(add(past, S), 9, bindings)).toBe(true);
    expect(bindings.get("S")).toBe(5);
    expect(unify(S, 6, bindings)).toBe(false);
  });
});

test("coefficients of a polynomial in one symbol", () => {
  expect(coefficients(parseDim("2*S^2*B + 3*S + past"), "S")?.map(show)).toEqual(["past", "3", "2*B"]);
  expect(coefficients(parseDim("ceil(S/2)"), "S")).toBeUndefined();
  expect(coefficients(7, "S")).toEqual([7]);
});

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof QkvError) return error.code;
    throw error;
  }
  return "nothing thrown";
}
