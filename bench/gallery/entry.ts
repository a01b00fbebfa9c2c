import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface Picture {
  /** Its file, beside the entry. */
  readonly file: string;
  /** What is drawn, as a formula. */
  readonly formula: string;
  /** What it shows, in words. */
  readonly summary: string;
}

/** What follows from the declaration alone: the same on every machine. */
export interface Structure {
  /** Sizes the pictures are drawn at and the passes decide by. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly mask: Picture | null;
  readonly score: Picture | null;
  /** Operations of the naive graph and of the optimised one, as formulas; a batch of one. */
  readonly flops: { readonly naive: string; readonly optimised: string };
  /** Rules that fired, by pass, but for those that only tidy up. */
  readonly lowering: readonly string[];
}

/** One set of sizes: times of the naive graph, of the same under the runtime's own optimiser, and of the optimised one. */
export interface Speed {
  readonly dims: Readonly<Record<string, number>>;
  readonly ms: { readonly naive: number; readonly ort: number; readonly optimised: number };
  /** How many times faster than each; null where outputs differ. */
  readonly times: { readonly naive: number | null; readonly ort: number | null };
  readonly maxRelError: number;
}

/** What the gallery knows of one variant. */
export interface GalleryEntry extends Structure {
  readonly name: string;
  readonly speed: readonly Speed[];
  readonly machine: string;
  readonly command: string;
}

/** A drawn picture: its place in the page, and the file. */
export interface Drawn extends Picture {
  readonly bytes: Uint8Array;
}

const entryFile = (folder: URL, name: string) => new URL(`${name}.json`, folder);

/** The entry of a variant; undefined where there is none. */
export function readEntry(folder: URL, name: string): GalleryEntry | undefined {
  const file = entryFile(folder, name);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as GalleryEntry) : undefined;
}

/** Writes an entry and its pictures, the entry last: an entry that is there has its pictures. */
export function writeEntry(folder: URL, entry: GalleryEntry, pictures: readonly Drawn[]): void {
  for (const { file, bytes } of pictures) writeWhole(new URL(file, folder), bytes);
  writeWhole(entryFile(folder, entry.name), `${JSON.stringify(entry, null, 2)}\n`);
  const own = new Set([`${entry.name}.json`, ...pictures.map(({ file }) => file)]);
  const old = readdirSync(folder).filter((file) => ownerOf(file) === entry.name && !own.has(file));
  for (const file of old) rmSync(new URL(file, folder));
}

/** Removes what is there for variants that no longer are. */
export function removeOthers(folder: URL, names: readonly string[]): void {
  for (const file of readdirSync(folder)) if (!names.includes(ownerOf(file))) rmSync(new URL(file, folder));
}

/** The variant a file belongs to: `NAME.json`, `NAME.mask.png`. */
const ownerOf = (file: string) => file.split(".")[0]!;

/** Beside the file first, then in its place: a file is there whole or not at all. */
export function writeWhole(file: URL, content: string | Uint8Array): void {
  const temporary = `${fileURLToPath(file)}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, content);
    renameSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
}
