import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, lstatSync, openSync, realpathSync, renameSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { fail, QkvError } from "../../ir/diagnostics.ts";

/** A file to be: its name in the folder, and its bytes in pieces at ascending offsets. */
export interface FileContent {
  readonly name: string;
  readonly pieces: Iterable<{ readonly offset: number; readonly bytes: Uint8Array }>;
}

const maxChunk = 2 ** 30;

/**
 * The folder of `path`, links resolved. Throws QKV415 where it does not exist or lies outside `within`.
 */
export function targetFolder(path: string, within: string | undefined): string {
  const folder = guarded(path, () => realpathSync(dirname(path)));
  if (within === undefined) return folder;
  const way = relative(
    guarded(path, () => realpathSync(within)),
    folder,
  );
  if (way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way)) fail("QKV415", `${path} is outside ${within}`);
  return folder;
}

/**
 * Writes files so that either all are there, complete and on the disk, or the folder is as before. The last one is the
 * one that refers to the others. Throws QKV415 where that fails or a name belongs to something that is no plain file.
 */
export function writeFiles(folder: string, files: readonly FileContent[]): void {
  const token = `${process.pid}-${randomBytes(6).toString("hex")}`;
  const moves = files.map((file, i) => ({
    file,
    temporary: join(folder, `.qkv-${token}-${i}.tmp`),
    backup: join(folder, `.qkv-${token}-${i}.old`),
    target: join(folder, file.name),
  }));
  const undo: (() => void)[] = [];
  try {
    for (const { target } of moves) checkTarget(target);
    for (const { file, temporary } of moves) {
      undo.push(() => rmSync(temporary, { force: true }));
      writeDurably(temporary, file.pieces);
    }
    for (const { temporary, backup, target } of moves) {
      if (lstatSync(target, { throwIfNoEntry: false })) {
        renameSync(target, backup);
        undo.push(() => renameSync(backup, target));
      }
      renameSync(temporary, target);
      undo.push(() => rmSync(target, { force: true }));
    }
    syncFolder(folder);
  } catch (error) {
    for (const step of undo.reverse()) step();
    if (error instanceof QkvError) throw error;
    fail("QKV415", `cannot write ${moves.at(-1)?.target}: ${(error as Error).message}`);
  }
  for (const { backup } of moves) rmSync(backup, { force: true });
}

function checkTarget(target: string): void {
  const present = lstatSync(target, { throwIfNoEntry: false });
  if (present !== undefined && !present.isFile()) fail("QKV415", `${target} is no plain file; it is left alone`);
}

function writeDurably(path: string, pieces: FileContent["pieces"]): void {
  const descriptor = openSync(path, "wx");
  try {
    for (const { offset, bytes } of pieces)
      for (let at = 0; at < bytes.byteLength; )
        at += writeSync(descriptor, bytes, at, Math.min(maxChunk, bytes.byteLength - at), offset + at);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes the renames durable, where the platform can open folders. */
function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function guarded<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    return fail("QKV415", `cannot write ${basename(path)}: ${(error as Error).message}`);
  }
}
