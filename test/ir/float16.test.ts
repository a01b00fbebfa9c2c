import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bfloat16ToNumber,
  float16ToNumber,
  numberToBfloat16,
  numberToFloat16,
  widenBfloat16,
  widenFloat16,
} from "../../src/ir/float16.ts";

const allBits = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);

interface Format {
  readonly name: string;
  readonly decode: (bits: number) => number;
  readonly encode: (value: number) => number;
  readonly widen: (bits: Uint16Array) => Float32Array;
  readonly infinity: number;
  readonly largest: number;
  readonly smallest: number;
}

const formats: readonly Format[] = [
  {
    name: "f16",
    decode: float16ToNumber,
    encode: numberToFloat16,
    widen: widenFloat16,
    infinity: 0x7c00,
    largest: 65504,
    smallest: 2 ** -24,
  },
  {
    name: "bf16",
    decode: bfloat16ToNumber,
    encode: numberToBfloat16,
    widen: widenBfloat16,
    infinity: 0x7f80,
    largest: 2 ** 128 - 2 ** 120,
    smallest: 2 ** -133,
  },
];

describe.each(formats)("$name", ({ decode, encode, widen, infinity, largest, smallest }) => {
  const finite = [...allBits].filter((bits) => (bits & 0x7fff) < infinity);

  test("every pattern survives decoding and encoding", () => {
    const wrong = [...allBits].filter((bits) => {
      const value = decode(bits);
      return Number.isNaN(value) ? (bits & 0x7fff) <= infinity : encode(value) !== bits;
    });
    expect(wrong).toEqual([]);
  });

  test("widening a whole array agrees with decoding one by one", () => {
    const wide = widen(allBits);
    expect([...allBits].filter((bits) => !Object.is(wide[bits], decode(bits)))).toEqual([]);
  });

  test("every midpoint of two neighbours goes to the even one, and what lies beside it to the nearer", () => {
    const wrong: number[] = [];
    for (const bits of finite) {
      if (bits & 0x8000 || bits + 1 >= infinity) continue;
      const [low, high] = [decode(bits), decode(bits + 1)];
      const middle = (low + high) / 2;
      const nudge = (high - low) * 2 ** -20;
      const even = bits % 2 === 0 ? bits : bits + 1;
      if (encode(middle) !== even || encode(-middle) !== (even | 0x8000)) wrong.push(bits);
      if (encode(middle - nudge) !== bits || encode(middle + nudge) !== bits + 1) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  test("a float64 just off a tie is rounded once, not by way of float32", () => {
    const low = encode(1);
    const middle = (decode(low) + decode(low + 1)) / 2;
    expect(encode(middle)).toBe(low);
    expect(encode(middle + 2 ** -40)).toBe(low + 1);
  });

  test("overflow begins at half a step past the largest value", () => {
    const step = largest - decode(encode(largest) - 1);
    expect(encode(largest)).toBe(infinity - 1);
    expect(encode(largest + step * 0.4999)).toBe(infinity - 1);
    expect(encode(largest + step / 2)).toBe(infinity);
    expect(encode(-largest - step / 2)).toBe(infinity | 0x8000);
    expect(encode(Number.MAX_VALUE)).toBe(infinity);
    expect(encode(Number.NEGATIVE_INFINITY)).toBe(infinity | 0x8000);
  });

  test("underflow: half the smallest subnormal is zero, more is the subnormal, signs stay", () => {
    expect(encode(smallest)).toBe(1);
    expect(encode(smallest / 2)).toBe(0);
    expect(encode(smallest * 0.5001)).toBe(1);
    expect(encode(smallest * 1.5)).toBe(2);
    expect(encode(-smallest / 4)).toBe(0x8000);
    expect(encode(-0)).toBe(0x8000);
    expect(encode(Number.MIN_VALUE)).toBe(0);
  });

  test("NaN stays NaN", () => {
    expect(decode(encode(Number.NaN))).toBeNaN();
  });

  test("order is kept", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (a, b) => {
        const [low, high] = a <= b ? [a, b] : [b, a];
        return decode(encode(low)) <= decode(encode(high));
      }),
    );
  });
});

test("known binary16 values", () => {
  expect(numberToFloat16(1)).toBe(0x3c00);
  expect(numberToFloat16(-2)).toBe(0xc000);
  expect(numberToFloat16(2 ** -14)).toBe(0x0400);
  expect(numberToFloat16(1023 * 2 ** -24)).toBe(0x03ff);
  expect(numberToFloat16(2049)).toBe(0x6800);
  expect(numberToFloat16(2051)).toBe(0x6802);
});

test("known bfloat16 values", () => {
  expect(numberToBfloat16(1)).toBe(0x3f80);
  expect(numberToBfloat16(Math.PI)).toBe(0x4049);
  expect(numberToBfloat16(257)).toBe(0x4380);
});
