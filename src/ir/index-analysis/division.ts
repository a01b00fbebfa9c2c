import type { IndexExpr } from "../index-expr/types.ts";

/**
 * Integer division in one spelling: ⌊(slot `of` + offset) / by⌋, or what is left of it. `remainder` is JavaScript's,
 * which has the sign of its argument; `residue` is never negative. `towardsZero` divides as `Math.trunc`.
 */
export interface Division {
  readonly kind: "quotient" | "towardsZero" | "residue" | "remainder";
  readonly of: number;
  readonly by: number;
  readonly offset: number;
}

/** The part in a slot, where it divides an integer by a number. */
export function divisionOf(
  slot: number,
  parts: readonly IndexExpr[],
  args: readonly (readonly number[])[],
  integral: Uint8Array,
): Division | undefined {
  const part = parts[slot]!;
  if (part.kind !== "apply") return undefined;
  const [x = 0, y = 0] = args[slot]!;
  const count = (i: number) => {
    const n = parts[i]!;
    return n.kind === "number" && Number.isInteger(n.value) && Math.abs(n.value) < 2 ** 30 ? Math.abs(n.value) : 0;
  };
  switch (part.fn) {
    case "floor":
    case "ceil":
    case "round":
    case "trunc": {
      const inner = parts[x]!;
      if (inner.kind !== "apply" || inner.fn !== "div") return undefined;
      const [of, n] = args[x]! as [number, number];
      const divisor = parts[n]!;
      if (integral[of] !== 1 || divisor.kind !== "number" || !(divisor.value > 0) || count(n) === 0) return undefined;
      const by = divisor.value;
      const offset = part.fn === "ceil" ? by - 1 : part.fn === "round" ? Math.floor(by / 2) : 0;
      return { kind: part.fn === "trunc" ? "towardsZero" : "quotient", of, by, offset };
    }
    case "shiftRight": {
      const n = parts[y]!;
      const bits = n.kind === "number" ? n.value : -1;
      if (integral[x] !== 1 || !Number.isInteger(bits) || bits < 0 || bits > 30) return undefined;
      return { kind: "quotient", of: x, by: 2 ** bits, offset: 0 };
    }
    case "mod":
      return integral[x] === 1 && count(y) > 0 ? { kind: "remainder", of: x, by: count(y), offset: 0 } : undefined;
    case "bitAnd": {
      const [of, mask] = count(y) > 0 ? [x, y] : [y, x];
      const by = count(mask) + 1;
      const number = parts[mask]!;
      const ones = number.kind === "number" && number.value > 0 && (by & (by - 1)) === 0;
      return ones && integral[of] === 1 ? { kind: "residue", of, by, offset: 0 } : undefined;
    }
    default:
      return undefined;
  }
}
