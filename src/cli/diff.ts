import pc from "picocolors";
import type { DiffReport, DiffRow } from "../compare-report.ts";
import { renderTable, showError } from "./table.ts";

export const diffColumns = ["declared", "became", "by", "in the other file", "paired by", "difference"] as const;

/** Rows of the table, those of layers that repeat as one: the numbers in their names are what differs. */
export function diffRows({ values }: DiffReport): readonly (readonly string[])[] {
  const groups = new Map<string, DiffRow[]>();
  for (const row of values) {
    const key = [pattern(row.value), row.op, becameOf(row), row.tensorOp, row.pairedBy].join("\0");
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return Array.from(groups.values(), (rows) => {
    const [first] = rows as [DiffRow, ...DiffRow[]];
    const count = rows.length > 1 ? ` ×${rows.length}` : "";
    const errors = rows.map(({ maxRelError }) => maxRelError).filter((error) => error !== null);
    return [
      `${rows.length > 1 ? pattern(first.value) : first.value}: ${first.op}${count}`,
      becameOf(first),
      first.by.join(", "),
      first.tensor === null ? "-" : `${rows.length > 1 ? pattern(first.tensor) : first.tensor}: ${first.tensorOp}`,
      first.pairedBy ?? "-",
      errors.length === 0 ? "-" : showError(Math.max(...errors)),
    ];
  });
}

const pattern = (name: string): string => name.replace(/\d+/g, "*");

function becameOf({ op, became, into }: DiffRow): string {
  if (became !== null) return became === op ? "the same" : became;
  return into === null ? "gone" : `part of ${pattern(into)}`;
}

/** What is only in the other file, by operator. */
export function diffRest({ only }: DiffReport): string {
  const counts = new Map<string, number>();
  for (const { op } of only) counts.set(op, (counts.get(op) ?? 0) + 1);
  return Array.from(counts, ([op, count]) => `${op} ×${count}`).join(", ");
}

export function renderDiff(report: DiffReport): string {
  const rest = diffRest(report);
  return [
    `${pc.bold("what became what")}, against ${report.against}`,
    renderTable(diffColumns, diffRows(report)).trimEnd(),
    ...(rest === "" ? [] : [`only there: ${rest}`]),
    ...report.notes,
  ].join("\n");
}
