import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The files under some folders of the checkout whose names end so, sorted, with their texts. Missing folders are empty. */
export function filesUnder(
  folders: readonly string[],
  extension: string,
): readonly { readonly path: string; readonly text: string }[] {
  return folders
    .filter((folder) => existsSync(root + folder))
    .flatMap((folder) =>
      readdirSync(root + folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => relative(root, join(parentPath, name))),
    )
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(extension) && !path.includes("/node_modules/"))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(root + path, "utf8") }));
}
