import { mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runtimeInfo } from "../../src/backends/ort/session.ts";
import { bar, progress } from "../../src/cli/progress.ts";
import { describeFailure } from "../../src/cli/render.ts";
import { loadModel } from "../../src/dsl/load.ts";
import type { Model } from "../../src/dsl/model.ts";
import { symbolsIn } from "../../src/feeds.ts";
import { type GalleryEntry, readEntry, removeOthers, writeEntry, writeWhole } from "./entry.ts";
import { galleryPage, type Shown } from "./page.ts";
import { sizesOf } from "./sizes.ts";
import { speedOf } from "./speed.ts";
import { structureOf } from "./structure.ts";
import { type VariantSource, variantSources } from "./variant-sources.ts";

const usage = `npm run gallery -- [name…] [--missing] [--quick]

Makes docs/gallery.md and the pictures and figures of docs/gallery for every variant of models/variants, or for those whose
name is one of the words given, or contains one; the others stay as they are. --missing: only those that have no entry
yet. --quick: the shortest length and one round of timing, for a look.
`;

// This runs compiled, from dist/bench/gallery.
const root = new URL("../../../", import.meta.url);
const [variants, gallery] = [new URL("models/variants/", root), new URL("docs/gallery/", root)];
const line = progress();

const load = ({ name }: VariantSource): Promise<Model> => loadModel(fileURLToPath(new URL(`${name}.ts`, variants)));

interface Making {
  readonly quick: boolean;
  readonly machine: string;
  readonly onProgress: (what: string) => void;
}

async function makeEntry(source: VariantSource, { quick, machine, onProgress }: Making): Promise<GalleryEntry> {
  const model = await load(source);
  const declared = model.build();
  const runs = sizesOf(source.name, symbolsIn(declared.graph));
  onProgress("drawing and counting");
  const { structure, pictures } = await structureOf(source.name, declared, runs.at(-1)!);
  const speed = await speedOf(model, quick ? runs.slice(0, 1) : runs, quick, onProgress);
  const command = `npm run gallery -- ${source.name}${quick ? " --quick" : ""}`;
  const entry = { name: source.name, ...structure, speed, machine, command };
  writeEntry(gallery, entry, pictures);
  return entry;
}

/** Variants called exactly as a word says, or where there is none, those that contain it. */
function wanted(sources: readonly VariantSource[], words: readonly string[]): readonly VariantSource[] {
  const chosen = words.flatMap((word) => {
    const exact = sources.filter(({ name }) => name === word);
    return exact.length > 0 ? exact : sources.filter(({ name }) => name.includes(word));
  });
  return words.length === 0 ? sources : [...new Set(chosen)];
}

/** The page of all that is there by now: whenever this is stopped, page and entries agree. */
async function writePage(sources: readonly VariantSource[], defaults: ReadonlyMap<string, Shown["defaults"]>) {
  const shown = sources.map(
    (source): Shown => ({
      ...source,
      defaults: defaults.get(source.name) ?? {},
      entry: readEntry(gallery, source.name),
    }),
  );
  writeWhole(new URL("docs/gallery.md", root), galleryPage(shown));
}

async function describeMachine(): Promise<string> {
  const { version } = await runtimeInfo();
  const all = cpus();
  return `${all[0]?.model ?? "unknown processor"}, ${all.length} cores, Node ${process.versions.node}, ONNX Runtime ${version}`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { missing: { type: "boolean" }, quick: { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help) return void process.stdout.write(usage);
  const sources = variantSources(variants);
  const called = wanted(sources, positionals);
  const chosen = called.filter(({ name }) => !values.missing || !readEntry(gallery, name));
  if (called.length === 0) {
    process.stderr.write(`there is no variant ${positionals.join(", ")}\n\n${usage}`);
    process.exitCode = 2;
    return;
  }
  mkdirSync(gallery, { recursive: true });
  removeOthers(
    gallery,
    sources.map(({ name }) => name),
  );
  const machine = await describeMachine();
  const defaults = new Map<string, Shown["defaults"]>();
  const failed = (name: string, error: unknown) => {
    line.done();
    process.stderr.write(`${name}: ${describeFailure(error).text}`);
    process.exitCode = describeFailure(error).exit;
  };
  for (const source of sources)
    try {
      defaults.set(source.name, (await load(source)).defaults);
    } catch (error) {
      failed(source.name, error);
    }
  for (const [i, source] of chosen.entries()) {
    if (!defaults.has(source.name)) continue;
    try {
      const onProgress = (what: string) => line.update(`${bar(i, chosen.length)} ${source.name}: ${what}`);
      const { speed } = await makeEntry(source, { quick: values.quick ?? false, machine, onProgress });
      line.done();
      const { naive, ort } = speed.at(-1)!.times;
      process.stdout.write(`${source.name}: ${naive ?? "-"}× as declared, ${ort ?? "-"}× under all\n`);
    } catch (error) {
      failed(source.name, error);
    }
    await writePage(sources, defaults);
  }
  await writePage(sources, defaults);
}

try {
  await main();
} catch (error) {
  line.done();
  const { text, exit } = describeFailure(error);
  process.stderr.write(text);
  process.exitCode = exit;
}
