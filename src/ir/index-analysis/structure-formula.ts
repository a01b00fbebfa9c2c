import { add, ceilDiv, type Dim, floorDiv, max, min, mul, sub } from "../dim.ts";
import { type IndexExpr, type IndexFormula, index, type LengthName } from "../index-expr/types.ts";
import { maskFacts } from "./facts.ts";
import { integralParts, linearForms } from "./integral.ts";
import { operandsOf } from "./logic.ts";

/** How many blocks of each class a mask has, as functions of the length. */
export interface StructureFormula {
  readonly full: Dim;
  readonly partial: Dim;
  readonly empty: Dim;
}

/** Distances q - k in [-ahead, back] that are multiples of `stride`; undefined sides are open. */
interface Band {
  readonly back: number | undefined;
  readonly ahead: number | undefined;
  readonly stride: number;
}

interface Counts {
  readonly touched: Dim;
  readonly full: Dim;
}

/**
 * Counts of blocks in closed form, exact for every length: for bands around the diagonal (causal, sliding windows, with
 * a stride no longer than a block), such bands in equal tiles of whole blocks, and with global columns, or rows and
 * columns alike, of whole blocks before them. Undefined for other masks, and where queries and keys differ.
 */
export function structureFormula(
  formula: IndexFormula,
  lengths: Readonly<Record<LengthName, Dim>>,
  blockSize = 128,
): StructureFormula | undefined {
  const { Q, K } = lengths;
  const facts = maskFacts(formula, lengths);
  if (Q !== K || facts.dependsOn.h || facts.dependsOn.b || facts.dataTables.length > 0) return undefined;
  const counts = facts.globals ? withGlobals(facts.globals, Q, blockSize) : ofMask(formula, Q, blockSize);
  if (!counts) return undefined;
  const blocks = ceilDiv(Q, blockSize);
  return {
    full: counts.full,
    partial: sub(counts.touched, counts.full),
    empty: sub(mul(blocks, blocks), counts.touched),
  };
}

type Globals = NonNullable<ReturnType<typeof maskFacts>["globals"]>;

/** Columns before all others are full; behind them the band is that of a shorter sequence. */
function withGlobals(
  { rows, columns, rowsAt, columnsAt, band }: Globals,
  length: Dim,
  size: number,
): Counts | undefined {
  const first = columns && prefixOf(columnsAt);
  if (!band || first === undefined || first % size !== 0) return undefined;
  if (rows ? prefixOf(rowsAt) !== first : !maskFacts(band.mask).causal) return undefined;
  const [whole, all] = [first / size, ceilDiv(length, size)];
  const inner = ofMask(band.mask, max(0, sub(length, first)), size);
  if (!inner) return undefined;
  const globals = min(whole, all);
  const outer = add(mul(globals, all), rows ? mul(globals, sub(all, globals)) : 0);
  return { touched: add(outer, inner.touched), full: add(outer, inner.full) };
}

/** n where the places are 0 … n - 1. */
const prefixOf = (places: readonly number[] | undefined): number | undefined =>
  places && places.length > 0 && places.at(-1) === places.length - 1 ? places.length : undefined;

function ofMask(mask: IndexFormula, length: Dim, size: number): Counts | undefined {
  const facts = operandsOf("and", mask.expr);
  const { blockDiagonal, stride, reach } = maskFacts(mask);
  const tile = facts.filter((fact) => !isBandFact(fact, mask));
  const side = (reached: Dim | undefined) =>
    typeof reached === "number" || reached === undefined ? reached : Number.NaN;
  // Of the reach only what the band says: tiles bound it too.
  const own =
    tile.length === 0
      ? reach
      : bandReach(
          facts.filter((fact) => !tile.includes(fact)),
          mask,
        );
  const band = { back: side(own.back), ahead: side(own.ahead), stride: stride?.modulus ?? 1 };
  const isSupported = (at: number | undefined) => at === undefined || at >= 0;
  if (!isSupported(band.back) || !isSupported(band.ahead) || (stride && stride.residue !== 0)) return undefined;
  if (facts.filter(isStride).length > 1) return undefined;
  if (band.stride > size || (band.stride > 1 && size < 2)) return undefined;
  if (tile.length === 0) return ofBand(band, length, size);
  if (tile.length > 1 || !blockDiagonal || blockDiagonal.size % size !== 0 || band.stride > 1) return undefined;
  const tiles = floorDiv(length, blockDiagonal.size);
  const one = ofBand(band, blockDiagonal.size, size);
  const rest = ofBand(band, sub(length, mul(tiles, blockDiagonal.size)), size);
  return {
    touched: add(mul(tiles, one.touched), rest.touched),
    full: add(mul(tiles, one.full), rest.full),
  };
}

function bandReach(facts: readonly IndexExpr[], { tables }: IndexFormula) {
  const reaches = facts.map((expr) => maskFacts({ expr, tables }).reach);
  const least = (side: "back" | "ahead") =>
    reaches.reduce<Dim | undefined>(
      (known, { [side]: at }) => (at === undefined ? known : known === undefined ? at : min(known, at)),
      undefined,
    );
  return { back: least("back"), ahead: least("ahead") };
}

/** A comparison that says nothing but between which distances, or at which multiples: its facts say all of it. */
function isBandFact(fact: IndexExpr, { tables }: IndexFormula): boolean {
  const negated = fact.kind === "apply" && fact.fn === "not";
  const expr = negated ? fact.args[0]! : fact;
  if (expr.kind !== "apply") return false;
  const forms = linearForms(expr, integralParts(expr, tables));
  const isDistance = (part: IndexExpr) => {
    const terms = forms.get(part)?.terms;
    const ofQ = terms?.get(index("q")) ?? 0;
    return terms?.size === 2 && Math.abs(ofQ) === 1 && ofQ === -(terms.get(index("k")) ?? 0);
  };
  const isMagnitude = (part: IndexExpr) => part.kind === "apply" && part.fn === "abs" && isDistance(part.args[0]!);
  const [x, y] = expr.args as [IndexExpr, IndexExpr];
  if (isStride(fact)) {
    const of = (x as IndexExpr & { readonly kind: "apply" }).args[0]!;
    return isDistance(of) || isMagnitude(of);
  }
  if (!/^(less|greater)/.test(expr.fn)) return false;
  if (isMagnitude(x)) return !negated && expr.fn.startsWith("less") && y.kind === "number";
  if (isDistance(x)) return y.kind === "number";
  return isDistance(y) ? x.kind === "number" : isSides(x, y);
}

/** x % n = 0 for a count n. */
function isStride(fact: IndexExpr): boolean {
  if (fact.kind !== "apply" || fact.fn !== "equal") return false;
  const [x, y] = fact.args as [IndexExpr, IndexExpr];
  const n = x.kind === "apply" && x.fn === "mod" ? x.args[1] : undefined;
  return y.kind === "number" && y.value === 0 && n?.kind === "number" && Number.isInteger(n.value) && n.value > 0;
}

const isWhole = (expr: IndexExpr) => expr.kind === "number" && Number.isInteger(expr.value);

/** `q + n` on one side and `k + m` on the other. */
function isSides(x: IndexExpr, y: IndexExpr): boolean {
  const read = (expr: IndexExpr): string => {
    if (expr.kind === "index") return expr.name;
    if (expr.kind !== "apply" || (expr.fn !== "add" && expr.fn !== "sub")) return "?";
    const [a, b] = expr.args as [IndexExpr, IndexExpr];
    if (isWhole(b)) return read(a);
    return expr.fn === "add" && isWhole(a) ? read(b) : "?";
  };
  return `${read(x)}${read(y)}` === "qk" || `${read(x)}${read(y)}` === "kq";
}

/** Blocks of a band of a square of `length` positions. */
function ofBand({ back, ahead, stride }: Band, length: Dim, size: number): Counts {
  const blocks = ceilDiv(length, size);
  // Positions in the last row and column of blocks.
  const rest = sub(length, mul(size, sub(blocks, 1)));
  const before = sub(blocks, 1);
  const inner = max(0, before);
  const any = min(1, blocks);
  /** Blocks below the diagonal (or above it), for a bound of that side. */
  const below = (bound: number | undefined): Counts => {
    const touchedTo = bound === undefined ? before : min(before, Math.floor((bound + size - 1) / size));
    const fullTo = bound === undefined ? inner : Math.max(0, Math.floor((bound - size + 1) / size));
    const cut = bound === undefined ? inner : max(0, min(inner, floorDiv(sub(bound + 1, rest), size)));
    return {
      touched: diagonals(blocks, touchedTo),
      full: add(diagonals(inner, max(0, min(sub(inner, 1), fullTo))), cut),
    };
  };
  const [lower, upper] = [below(back), below(ahead)];
  const touched = add(blocks, add(lower.touched, upper.touched));
  // A single pair in the corner is full whatever the stride.
  if (stride > 1) return { touched, full: mul(any, max(0, sub(2, rest))) };
  const least = Math.min(back ?? Number.POSITIVE_INFINITY, ahead ?? Number.POSITIVE_INFINITY);
  const whole = least >= size - 1 ? inner : 0;
  const corner = least === Number.POSITIVE_INFINITY ? any : mul(any, min(1, max(0, sub(least + 2, rest))));
  return { touched, full: add(add(lower.full, upper.full), add(whole, corner)) };
}

/** Blocks on the diagonals 1 … last of a square of blocks. */
const diagonals = (blocks: Dim, last: Dim): Dim => sub(mul(last, blocks), floorDiv(mul(last, add(last, 1)), 2));
