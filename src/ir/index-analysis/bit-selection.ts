import { indexFunctions } from "../index-expr/functions.ts";
import type { IndexExpr, LengthName } from "../index-expr/types.ts";

/**
 * A part made of bits of one index, put elsewhere: an interleaved coordinate, a digit of a radix that is a power of two.
 * A natural number, as the index is.
 */
export interface BitSelection {
  /** Slot of the index. */
  readonly of: number;
  /** All bits that are taken. */
  readonly mask: number;
  /** Bits of the index by how far they go to the left (to the right where negative). */
  readonly moves: readonly (readonly [mask: number, left: number])[];
  /** No bit is taken twice. */
  readonly once: boolean;
  /** Where the index is greater the part is not less. */
  readonly rising: boolean;
}

/** Which bit of the index each bit is; `none` where it is 0. */
interface Origins {
  readonly of: number;
  /** Bits the index has. */
  readonly used: number;
  readonly bits: readonly number[];
}

const none = -1;
const places = Array.from({ length: 32 }, (_, bit) => bit);

/** The parts that bit operators make of one index, by slot; `lengths` are how many there are of each index. */
export function bitSelections(
  parts: readonly IndexExpr[],
  args: readonly (readonly number[])[],
  lengths: Readonly<Record<LengthName, number>>,
): readonly (BitSelection | undefined)[] {
  const origins: (Origins | undefined)[] = [];
  return parts.map((part, slot) => {
    if (part.kind === "index") {
      const used = 32 - Math.clz32(lengths[part.name.toUpperCase() as LengthName] - 1);
      origins.push({ of: slot, used, bits: places.map((bit) => (bit < used ? bit : none)) });
      return undefined;
    }
    const found = originsOf(part, args[slot]!, parts, origins);
    // The last bit is the sign.
    origins.push(found?.bits[31] === none ? found : undefined);
    return origins[slot] && selectionOf(origins[slot]);
  });
}

function originsOf(
  part: IndexExpr,
  [x = 0, y = 0]: readonly number[],
  parts: readonly IndexExpr[],
  known: readonly (Origins | undefined)[],
): Origins | undefined {
  if (part.kind !== "apply" || indexFunctions[part.fn].bits !== true || part.fn === "bitNot") return undefined;
  const [one, other] = [known[x], known[y]];
  const isJoin = part.fn === "bitOr" || part.fn === "bitXor";
  if (one && other) return isJoin ? besides(one, other) : undefined;
  const from = one ?? other;
  const number = parts[one ? y : x]!;
  if (!from || number.kind !== "number" || !Number.isInteger(number.value)) return undefined;
  const { value } = number;
  if (part.fn === "bitAnd") return { ...from, bits: from.bits.map((bit, at) => ((value >> at) & 1 ? bit : none)) };
  if (isJoin) return value === 0 ? from : undefined;
  if (!one) return undefined;
  // Shifts are taken modulo 32.
  const left = part.fn === "shiftLeft" ? value & 31 : -(value & 31);
  return { ...one, bits: places.map((at) => one.bits[at - left] ?? none) };
}

/** Bits of both, where they have none in the same place. */
function besides(x: Origins, y: Origins): Origins | undefined {
  const isApart = x.bits.every((from, at) => from === none || y.bits[at] === none);
  if (x.of !== y.of || !isApart) return undefined;
  return { ...x, bits: x.bits.map((from, at) => (from === none ? y.bits[at]! : from)) };
}

function selectionOf({ of, used, bits }: Origins): BitSelection {
  const moves = new Map<number, number>();
  bits.forEach((from, at) => {
    if (from !== none) moves.set(at - from, (moves.get(at - from) ?? 0) | (1 << from));
  });
  const masks = [...moves.values()];
  const mask = masks.reduce((all, some) => all | some, 0);
  const once = masks.reduce((sum, some) => sum + some, 0) === mask;
  // From some bit on all are taken together.
  const rising = moves.size === 1 && mask === 2 ** used - (mask & -mask);
  return { of, mask, once, moves: [...moves].map(([left, some]) => [some, left]), rising };
}

/** The value of the part at an index. */
export function selectedBits({ moves }: BitSelection, index: number): number {
  let value = 0;
  for (let i = 0; i < moves.length; i++) {
    const move = moves[i]!;
    value |= move[1] >= 0 ? (index & move[0]) << move[1] : (index & move[0]) >> -move[1];
  }
  return value;
}
