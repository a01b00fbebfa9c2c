import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { checkExport, sharedFixtures } from "../import/support.ts";

const folder = sharedFixtures("exports");
const names = folder ? Object.keys(JSON.parse(readFileSync(join(folder, "exports.json"), "utf8")) as object) : ["none"];

test.skipIf(!folder).each(names)(
  "%s gives PyTorch's outputs after import, as it is and optimised (needs the shared fixtures)",
  (name) => checkExport(folder!, name),
);
