import { type Dim, symbol } from "../dim.ts";
import { indexEvaluator } from "../index-expr/evaluate.ts";
import {
  applied,
  type IndexExpr,
  type IndexFormula,
  type LengthName,
  partsInOrder,
  partsOf,
} from "../index-expr/types.ts";
import { isCausal, type Reach, type ReachContext, type Stride } from "./distances.ts";
import { combined, integralParts, type LinearForm, linearForms } from "./integral.ts";
import { tileOf } from "./linear-reach.ts";
import { operandsOf, readsOf } from "./logic.ts";
import { distancesOf } from "./reach.ts";
import { sharedTable } from "./shared-table.ts";
import { comparisons } from "./transfer.ts";

/** What can be said of a mask without looking at its elements. What is said holds; what is not said may hold too. */
export interface MaskFacts {
  /** No query sees a later key. */
  readonly causal: boolean;
  /** Bounds of q - k (back) and k - q (ahead) where the mask is true. */
  readonly reach: Reach;
  /** Both sides of the reach are bounded without the lengths. */
  readonly banded: boolean;
  /** Every distance q - k has this residue. */
  readonly stride: Stride | undefined;
  /** The mask is a function of q - k (and of b, h and lengths). */
  readonly ofDistance: boolean;
  /** ⌊q / size⌋ = ⌊k / size⌋ wherever it is true. */
  readonly blockDiagonal: { readonly size: number } | undefined;
  /** Query and key have the same entry in a constant table wherever it is true; where each stretch begins. */
  readonly documents: { readonly table: number; readonly offsets: readonly number[] } | undefined;
  /** The mask is: row predicate or column predicate or band. Each as a mask of its own. */
  readonly globals:
    | {
        readonly rows: IndexFormula | undefined;
        readonly columns: IndexFormula | undefined;
        /** Which rows and columns these are, in order; undefined where that depends on a head, a batch, a length or a tensor. */
        readonly rowsAt: readonly number[] | undefined;
        readonly columnsAt: readonly number[] | undefined;
        readonly band: { readonly mask: IndexFormula; readonly reach: Reach } | undefined;
      }
    | undefined;
  /** Numbers of the tables that are tensors: what the mask is, only a run tells. */
  readonly dataTables: readonly number[];
  readonly dependsOn: { readonly b: boolean; readonly h: boolean; readonly q: boolean; readonly k: boolean };
}

/** Facts of a mask. Lengths may be symbolic; those not given are the symbols B, H, Q and K. */
export function maskFacts(formula: IndexFormula, lengths: Partial<Record<LengthName, Dim>> = {}): MaskFacts {
  const { expr, tables } = formula;
  const cx: ReachContext = {
    tables,
    lengths: { B: symbol("B"), H: symbol("H"), Q: symbol("Q"), K: symbol("K"), ...lengths },
  };
  const { back, ahead, stride } = distancesOf(expr, cx);
  const reads = readsOf(expr);
  const facts = operandsOf("and", expr);
  return {
    causal: isCausal({ back, ahead }),
    reach: { back, ahead },
    banded: back !== undefined && ahead !== undefined,
    stride,
    ofDistance: isOfDistance(formula),
    blockDiagonal: blockDiagonal(facts),
    documents: documents(facts, formula),
    globals: globals(formula, cx),
    dataTables: [
      ...new Set(
        partsInOrder(expr).flatMap((part) =>
          part.kind === "lookup" && tables[part.table]?.kind === "tensor" ? [part.table] : [],
        ),
      ),
    ],
    dependsOn: { q: (reads & 1) !== 0, k: (reads & 2) !== 0, b: (reads & 4) !== 0, h: (reads & 8) !== 0 },
  };
}

function blockDiagonal(facts: readonly IndexExpr[]): MaskFacts["blockDiagonal"] {
  for (const fact of facts) {
    if (fact.kind !== "apply" || fact.fn !== "equal") continue;
    const [x, y] = fact.args.map(tileOf);
    if (!x || !y || x.size !== y.size || x.of.kind !== "index" || y.of.kind !== "index") continue;
    if (readsOf(applied("add", x.of, y.of)) === 3) return { size: x.size };
  }
  return undefined;
}

function documents(facts: readonly IndexExpr[], { tables }: IndexFormula): MaskFacts["documents"] {
  for (const fact of facts) {
    if (fact.kind !== "apply" || fact.fn !== "equal") continue;
    const shared = sharedTable(fact.args[0]!, fact.args[1]!, tables);
    if (!shared) continue;
    const { table, elements } = shared;
    const offsets: number[] = [];
    elements.forEach((value, i) => {
      if (i === 0 || value !== elements[i - 1]) offsets.push(i);
    });
    // Stretches are documents only where no entry comes back later.
    if (new Set(offsets.map((i) => elements[i])).size === offsets.length) return { table, offsets };
  }
  return undefined;
}

function globals({ expr, tables }: IndexFormula, cx: ReachContext): MaskFacts["globals"] {
  const alternatives = operandsOf("or", expr);
  const those = (reads: number) => alternatives.filter((part) => (readsOf(part) & 3) === reads);
  const mask = (parts: readonly IndexExpr[]) =>
    parts.length === 0 ? undefined : { expr: parts.reduce((x, y) => applied("or", x, y)), tables };
  const [rows, columns] = [mask(those(1)), mask(those(2))];
  if (!rows && !columns) return undefined;
  const band = mask([...those(3), ...those(0)]);
  return {
    rows,
    columns,
    rowsAt: rows && positions(rows, "q", cx),
    columnsAt: columns && positions(columns, "k", cx),
    band: band && { mask: band, reach: reachOf(band, cx) },
  };
}

/** Positions tried, one by one. */
const mostPositions = 2 ** 16;

/** Where a predicate of q (or k) alone holds, in order, if that is the same in all heads and batches. */
function positions(mask: IndexFormula, name: "q" | "k", cx: ReachContext): readonly number[] | undefined {
  const parts = partsInOrder(mask.expr);
  const isOpen = (part: IndexExpr) =>
    part.kind === "length" || (part.kind === "lookup" && mask.tables[part.table]?.kind !== "constant");
  if ((readsOf(mask.expr) & ~3) !== 0 || parts.some(isOpen)) return undefined;
  // A bound of q - k that needs no k is one of q.
  const { back, ahead } = reachOf(mask, cx);
  const bound = name === "q" ? back : ahead;
  const length = cx.lengths[name === "q" ? "Q" : "K"];
  const least = Math.min(
    ...[typeof bound === "number" ? bound + 1 : [], typeof length === "number" ? length : []].flat(),
  );
  if (!(least <= mostPositions)) return undefined;
  const evaluate = indexEvaluator(mask);
  const all = Array.from({ length: Math.max(0, least) }, (_, i) => i);
  return all.filter((i) => evaluate({ b: 0, h: 0, q: i, k: i }) !== 0);
}

function reachOf({ expr }: IndexFormula, cx: ReachContext): Reach {
  const { back, ahead } = distancesOf(expr, cx);
  return { back, ahead };
}

/** Whether q and k occur only as multiples of q - k. */
function isOfDistance({ expr, tables }: IndexFormula): boolean {
  const integral = integralParts(expr, tables);
  const forms = linearForms(expr, integral);
  const seen = new Set<IndexExpr>();
  const stack = [expr];
  const balanced = ({ terms }: LinearForm) => {
    let sum = 0;
    for (const [part, c] of terms) {
      if (part.kind !== "index") stack.push(part);
      else if (part.name === "q" || part.name === "k") sum += c;
    }
    return sum === 0;
  };
  while (stack.length > 0) {
    const part = stack.pop()!;
    if (seen.has(part)) continue;
    seen.add(part);
    const [x, y] = partsOf(part).map((arg) => forms.get(arg));
    const difference = part.kind === "apply" && part.fn in comparisons && x && y ? combined(x, y, -1) : forms.get(part);
    if (difference && !difference.terms.has(part)) {
      if (!balanced(difference)) return false;
    } else if (part.kind === "index") {
      if (part.name === "q" || part.name === "k") return false;
    } else stack.push(...partsOf(part));
  }
  return true;
}
