import { type IndexExpr, type IndexTable, index } from "../index-expr/types.ts";

/** The elements compared by `table[q] = table[k]`; with `table[min(q, n)]` the last one goes on for ever. */
export interface SharedTable {
  readonly table: number;
  readonly elements: Float64Array;
  readonly goesOn: boolean;
}

/** What `table[q] = table[k]` compares. */
export function sharedTable(x: IndexExpr, y: IndexExpr, tables: readonly IndexTable[]): SharedTable | undefined {
  if (x.kind !== "lookup" || y.kind !== "lookup" || x.table !== y.table || x.at.length !== 1) return undefined;
  const table = tables[x.table];
  const [ofX, ofY] = [clampedIndex(x.at[0]!), clampedIndex(y.at[0]!)];
  if (table?.kind !== "constant" || !ofX || !ofY || ofX.last !== ofY.last || ofX.index === ofY.index) return undefined;
  if (![ofX.index, ofY.index].every((at) => at === index("q") || at === index("k"))) return undefined;
  const { last } = ofX;
  // Beyond the table there is nothing to compare.
  if (last === undefined || last >= table.data.length) return { table: x.table, elements: table.data, goesOn: false };
  return { table: x.table, elements: table.data.subarray(0, last + 1), goesOn: true };
}

function clampedIndex(at: IndexExpr): { readonly index: IndexExpr; readonly last: number | undefined } | undefined {
  if (at.kind === "index") return { index: at, last: undefined };
  if (at.kind !== "apply" || at.fn !== "min") return undefined;
  const [x, y] = at.args[0]!.kind === "number" ? [at.args[1]!, at.args[0]!] : (at.args as [IndexExpr, IndexExpr]);
  const isCount = y.kind === "number" && Number.isInteger(y.value) && y.value >= 0;
  return x.kind === "index" && isCount ? { index: x, last: y.value } : undefined;
}
