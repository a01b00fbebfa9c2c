import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeWhole } from "../../src/cli/write-whole.ts";
import { temporaryFolder } from "./support/command.ts";

test("a picture or report that cannot take its place leaves nothing beside it", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "taken"));
  const write = () => writeWhole(join(folder, "taken"), "text");
  expect(write).toThrow(expect.objectContaining({ code: "QKV507" }));
  expect(readdirSync(folder)).toEqual(["taken"]);
});
