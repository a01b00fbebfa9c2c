import { showBytes, showCount, showError, showMs } from "../src/cli/table.ts";
import type { Cell, Column, Table } from "./measurement.ts";

/** A table as Markdown. */
export function renderMarkdown({ title, columns, rows }: Table): string {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map((x, i) => show(x, columns[i]!)))];
  const widths = columns.map((_, i) => Math.max(3, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[], pad: (text: string, width: number, i: number) => string) =>
    `| ${row.map((text, i) => pad(text, widths[i]!, i)).join(" | ")} |`;
  const align = (text: string, width: number, i: number) =>
    columns[i]!.unit === "text" ? text.padEnd(width) : text.padStart(width);
  const rule = widths.map((width, i) =>
    columns[i]!.unit === "text" ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  const [head, ...body] = cells;
  return [
    `**${title}**`,
    "",
    line(head!, align),
    line(rule, (text) => text),
    ...body.map((row) => line(row, align)),
  ].join("\n");
}

function show(value: Cell, { unit }: Column): string {
  if (value === null) return "-";
  if (typeof value === "string") return value;
  switch (unit) {
    case "text":
      return String(value);
    case "count":
      return value < 1e6 ? String(value) : showCount(value);
    case "ms":
      return showMs(value);
    case "bytes":
      return showBytes(value);
    case "ratio":
      return `${value < 100 ? value.toFixed(2) : value.toFixed(0)}×`;
    case "error":
      return showError(value);
  }
}
