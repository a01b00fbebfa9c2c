import { existsSync, lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { fail } from "../../ir/diagnostics.ts";
import { quoteName } from "./quote-name.ts";
import { readJsonFile, toPlainObject } from "./read-json-file.ts";
import { openSafetensors, type SafetensorsFile, type SafetensorsOptions } from "./safetensors.ts";
import { type TensorInfo, unknownTensor, type WeightStore } from "./store.ts";
import { isJsonObject } from "./strict-json.ts";

const weightsSuffix = ".safetensors";
const indexSuffix = ".safetensors.index.json";
const maxConfigBytes = 16 * 2 ** 20;
const maxIndexBytes = 256 * 2 ** 20;
const maxShards = 10_000;

/** Weights of one file or of all shards of a folder. */
export interface Checkpoint extends WeightStore {
  /** The safetensors files, in the order their tensors are listed. */
  readonly files: readonly string[];
  /** String metadata of the first file. */
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * `config.json` beside the weights: frozen, nested objects without prototype. Read at first use, which throws QKV420,
   * QKV424, QKV429 or QKV433 where the file is unusable; undefined where there is none.
   */
  readonly config: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Opens a safetensors file or a checkpoint folder: `model.safetensors`, else the one index of shards
 * (`*.safetensors.index.json`), else the only `.safetensors` file there is. Files a folder names must lie in it; links
 * are followed only to its own files and, in a download cache (`snapshots/<revision>`), to the `blobs` beside it.
 * Throws QKV420 to QKV432.
 */
export function openCheckpoint(path: string, options: SafetensorsOptions = {}): Checkpoint {
  const folder = isFolder(path) ? path : undefined;
  const files = folder === undefined ? [openSafetensors(path, options)] : openFolder(folder, options);
  const owner = new Map(files.flatMap((file) => file.names().map((name) => [name, file] as const)));
  const find = (name: string): SafetensorsFile => owner.get(name) ?? unknownTensor(name, path, owner.keys());
  let config: { readonly value: Readonly<Record<string, unknown>> | undefined } | undefined;
  return {
    source: path,
    files: files.map((file) => file.source),
    metadata: files[0]?.metadata ?? new Map(),
    get config() {
      config ??= { value: folder === undefined ? readConfig(dirname(path), false) : readConfig(folder, true) };
      return config.value;
    },
    names: () => [...owner.keys()],
    has: (name) => owner.has(name),
    describe: (name): TensorInfo => find(name).describe(name),
    read: (name) => find(name).read(name),
  };
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    return fail("QKV420", `${path}: ${error instanceof Error ? error.message : error}`, {
      help: "give a .safetensors file or a folder that holds one",
    });
  }
}

function readConfig(folder: string, confined: boolean): Readonly<Record<string, unknown>> | undefined {
  const path = join(folder, "config.json");
  if (!existsSync(path)) return undefined;
  if (confined) confine(folder, "config.json");
  return toPlainObject(readJsonFile(path, maxConfigBytes, "QKV433"));
}

function openFolder(folder: string, options: SafetensorsOptions): readonly SafetensorsFile[] {
  const names = listFolder(folder);
  const open = (name: string): SafetensorsFile => openSafetensors(confine(folder, name), options);
  if (names.includes("model.safetensors")) return [open("model.safetensors")];
  const indexes = names.filter((name) => name.endsWith(indexSuffix));
  const index = names.includes(`model${indexSuffix}`) ? `model${indexSuffix}` : onlyOne(folder, indexes, "index files");
  if (index !== undefined) return openShards(folder, index, open);
  const single = onlyOne(
    folder,
    names.filter((name) => name.endsWith(weightsSuffix)),
    "safetensors files without an index",
  );
  if (single !== undefined) return [open(single)];
  return fail("QKV431", `${folder} holds no ${weightsSuffix} file`, { help: adviceForFolder(names) });
}

function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    return fail("QKV420", `${folder}: ${error instanceof Error ? error.message : error}`);
  }
}

function onlyOne(folder: string, names: readonly string[], what: string): string | undefined {
  if (names.length > 1)
    fail("QKV431", `${folder} holds ${names.length} ${what}`, {
      notes: names.map(quoteName),
      help: "name one file instead of the folder",
    });
  return names[0];
}

function adviceForFolder(names: readonly string[]): string {
  const other = names.find((name) => /\.(bin|pt|pth|gguf|npz|h5)$/.test(name));
  if (other !== undefined) return `convert ${quoteName(other)} to safetensors first`;
  return "give a .safetensors file or a folder that holds one";
}

/** The path of a file the folder names. Throws QKV431 where it is not a plain name or leads out of the folder. */
function confine(folder: string, name: string): string {
  const outside = (why: string): never =>
    fail("QKV431", `${folder}: ${quoteName(name)} ${why}`, {
      help: "files of a checkpoint lie in its folder, under plain names",
    });
  if (name === "" || name === "." || name === ".." || /[/\\\0:]/.test(name)) outside("is not a plain file name");
  const path = join(folder, name);
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return outside("does not exist");
  const real = realPath(path) ?? outside("is a link that leads nowhere");
  const home = realpathSync(folder);
  if (dirname(real) !== home && dirname(real) !== cacheBlobs(home)) outside("is a link that leads out of the folder");
  return path;
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

// A download cache keeps files under `<repository>/blobs` and links to them from `<repository>/snapshots/<revision>`.
function cacheBlobs(home: string): string | undefined {
  const snapshots = dirname(home);
  return basename(snapshots) === "snapshots" ? `${dirname(snapshots)}${sep}blobs` : undefined;
}

function openShards(
  folder: string,
  index: string,
  open: (name: string) => SafetensorsFile,
): readonly SafetensorsFile[] {
  const shardOf = readWeightMap(confine(folder, index));
  const shardNames = [...new Set(shardOf.values())].sort();
  if (shardNames.length > maxShards) fail("QKV429", `${folder}: ${shardNames.length} shards; ${maxShards} is the most`);
  const absent = shardNames.filter((name) => !/[/\\\0]/.test(name) && !existsSync(join(folder, name)));
  if (absent.length > 0)
    fail("QKV432", `${folder} lacks ${absent.length} of the ${shardNames.length} shards its index names`, {
      notes: absent.map((name) => `missing ${quoteName(name)}`),
      help: "the download did not finish: fetch the missing files",
    });
  const shards = new Map(shardNames.map((name) => [name, open(name)]));
  checkShards(folder, shardOf, shards);
  return [...shards.values()];
}

function readWeightMap(path: string): ReadonlyMap<string, string> {
  const map = readJsonFile(path, maxIndexBytes, "QKV432").get("weight_map");
  if (map === undefined || !isJsonObject(map))
    return fail("QKV432", `${path} has no "weight_map" object`, { help: "fetch the index again" });
  for (const [name, shard] of map)
    if (typeof shard !== "string") fail("QKV432", `${path}: the shard of ${quoteName(name)} is not a file name`);
  return map as ReadonlyMap<string, string>;
}

function checkShards(
  folder: string,
  shardOf: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, SafetensorsFile>,
): void {
  const problems: string[] = [];
  for (const [name, shard] of shardOf)
    if (!shards.get(shard)?.has(name))
      problems.push(`${quoteName(name)} is not in ${quoteName(shard)}, where the index puts it`);
  for (const [shard, file] of shards)
    for (const name of file.names())
      if (shardOf.get(name) !== shard)
        problems.push(`${quoteName(name)} is in ${quoteName(shard)}, which the index does not say`);
  if (problems.length > 0)
    fail("QKV432", `${folder}: the index and the shards disagree about ${problems.length} tensors`, {
      notes: problems,
      help: "files of two versions are mixed: fetch all of them again",
    });
}
