import { existsSync, readFileSync } from "node:fs";

// One folder up from the sources, two from the compiled files.
const manifest = ["../package.json", "../../package.json"]
  .map((path) => new URL(path, import.meta.url))
  .find((url) => existsSync(url));

/** The version of this package, as written into every model. */
export const version: string = manifest
  ? (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version
  : "unknown";
