import pc from "picocolors";

/** Columns of text, the first left-aligned, the others right-aligned, under a head. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd();
  return `${[pc.bold(line(head)), ...rows.map(line)].join("\n")}\n`;
}

const units = ["", "k", "M", "G", "T", "P"];

/** 1,234,567 as `1.23 M`. */
export function showCount(value: number): string {
  let scaled = value;
  let unit = 0;
  while (Math.abs(scaled) >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  const text = unit === 0 ? String(Math.round(scaled)) : scaled.toPrecision(3);
  return `${text} ${units[unit]}`.trimEnd();
}

/** Bytes in binary units. */
export function showBytes(bytes: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let scaled = bytes;
  let unit = 0;
  while (scaled >= 1024 && unit < names.length - 1) {
    scaled /= 1024;
    unit++;
  }
  return `${unit === 0 ? scaled : scaled.toPrecision(scaled >= 1000 ? 4 : 3)} ${names[unit]}`;
}

/** Milliseconds with three significant digits. */
export const showMs = (ms: number): string =>
  ms >= 1000 ? `${(ms / 1000).toPrecision(3)} s` : `${ms.toPrecision(3)} ms`;
/** Errors in scientific notation. */
export const showError = (error: number): string => (error === 0 ? "0" : error.toExponential(1));
