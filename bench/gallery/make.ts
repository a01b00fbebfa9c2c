import { mkdirSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { loadModel } from "../../src/dsl/load.ts";
import type { Model } from "../../src/dsl/model.ts";
import { symbolsIn } from "../../src/feeds.ts";
import { type GalleryEntry, readEntry, removeOthers, writeEntry, writeWhole } from "./entry.ts";
import { galleryHtml } from "./html.ts";
import { galleryPage, type Shown } from "./page.ts";
import { sizesOf } from "./sizes.ts";
import { speedOf } from "./speed.ts";
import { structureOf } from "./structure.ts";
import { type VariantSource, variantSources } from "./variant-sources.ts";

/** Folders, each with a slash at its end. */
export interface Places {
  /** The declarations. */
  readonly from: URL;
  /** Where `gallery.md` and the folder `gallery` are. */
  readonly to: URL;
  /** Also one HTML page with all pictures in it. */
  readonly html?: URL;
}

export interface MakeOptions {
  /** Variants to make, by name or part of a name; all where none is given. */
  readonly words: readonly string[];
  /** Only those that have no entry yet. */
  readonly missing: boolean;
  /** The shortest length and one round of timing. */
  readonly quick: boolean;
  /** Times stay as they are where there are any. */
  readonly untimed: boolean;
  readonly machine: string;
  readonly onProgress: (done: number, total: number, what: string) => void;
  readonly onDone: (entry: GalleryEntry) => void;
  readonly onFailed: (name: string, error: unknown) => void;
}

/**
 * Makes entries and the page that shows all there are; whenever it is stopped, both agree and are whole. A variant that
 * fails is told to `onFailed`, and keeps the entry it had. Answers whether any variant was meant.
 */
export async function makeGallery(places: Places, options: MakeOptions): Promise<boolean> {
  const sources = variantSources(places.from);
  const meant = wanted(sources, options.words);
  if (meant.length === 0) return false;
  const folder = galleryFolder(places);
  const models = await loadAll(places, sources, options.onFailed);
  mkdirSync(folder, { recursive: true });
  removeOthers(
    folder,
    sources.map(({ name }) => name),
  );
  writePage(places, sources, models);
  const chosen = meant.filter(({ name }) => models.has(name) && !(options.missing && readEntry(folder, name)));
  for (const [i, { name }] of chosen.entries()) {
    const onProgress = (what: string) => options.onProgress(i, chosen.length, `${name}: ${what}`);
    try {
      options.onDone(await makeEntry(folder, name, models.get(name)!, { ...options, onProgress }));
      writePage(places, sources, models);
    } catch (error) {
      options.onFailed(name, error);
    }
  }
  return true;
}

const galleryFolder = ({ to }: Places) => new URL("gallery/", to);

/** Variants called exactly as a word says, or where there is none, those that contain it. */
function wanted(sources: readonly VariantSource[], words: readonly string[]): readonly VariantSource[] {
  const chosen = words.flatMap((word) => {
    const exact = sources.filter(({ name }) => name === word);
    return exact.length > 0 ? exact : sources.filter(({ name }) => name.includes(word));
  });
  return words.length === 0 ? sources : [...new Set(chosen)];
}

async function loadAll({ from }: Places, sources: readonly VariantSource[], onFailed: MakeOptions["onFailed"]) {
  const models = new Map<string, Model>();
  for (const { name } of sources)
    try {
      models.set(name, await loadModel(fileURLToPath(new URL(`${name}.ts`, from))));
    } catch (error) {
      onFailed(name, error);
    }
  return models;
}

interface Making extends Pick<MakeOptions, "quick" | "untimed" | "machine"> {
  readonly onProgress: (what: string) => void;
}

async function makeEntry(folder: URL, name: string, model: Model, options: Making): Promise<GalleryEntry> {
  const { quick, untimed, machine, onProgress } = options;
  onProgress("drawing and counting");
  const declared = model.build();
  const runs = sizesOf(name, symbolsIn(declared.graph));
  const { structure, pictures } = await structureOf(name, declared, runs.at(-1)!);
  const timed = async () => ({
    speed: await speedOf(model, quick ? runs.slice(0, 1) : runs, quick, onProgress),
    machine,
    command: `npm run gallery -- ${name}${quick ? " --quick" : ""}`,
  });
  const known = untimed ? readEntry(folder, name) : undefined;
  const times = known ? { speed: known.speed, machine: known.machine, command: known.command } : await timed();
  const entry: GalleryEntry = { name, ...structure, ...times };
  writeEntry(folder, entry, pictures);
  return entry;
}

function writePage(places: Places, sources: readonly VariantSource[], models: ReadonlyMap<string, Model>): void {
  const folder = galleryFolder(places);
  const shown = sources.map(
    (source): Shown => ({
      ...source,
      defaults: models.get(source.name)?.defaults ?? {},
      entry: readEntry(folder, source.name),
    }),
  );
  const declarations = relative(fileURLToPath(places.to), fileURLToPath(places.from)).replaceAll("\\", "/");
  writeWhole(new URL("gallery.md", places.to), galleryPage(shown, declarations));
  if (places.html) writeWhole(places.html, galleryHtml(shown, folder));
}
