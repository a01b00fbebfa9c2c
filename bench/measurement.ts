/** How the values of a column are written. */
export type Unit = "text" | "count" | "ms" | "bytes" | "ratio" | "error";

/** A value, or null where there is none to show: nothing was measured, or outputs differ and times mean nothing. */
export type Cell = string | number | null;

export interface Column {
  readonly title: string;
  readonly unit: Unit;
}

export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Where a measurement tells its results. */
export interface Report {
  /** Fewer sizes and rounds: for a look, not for figures to quote. */
  readonly quick: boolean;
  table(table: Table): void;
  note(text: string): void;
  /** What is going on, for whoever waits. */
  progress(text: string): void;
}

export interface Measurement {
  /** What `npm run bench -- NAME` takes. */
  readonly name: string;
  readonly doc: string;
  run(report: Report): Promise<void> | void;
}

export const column = (title: string, unit: Unit): Column => ({ title, unit });
