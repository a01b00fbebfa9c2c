import { expect, test } from "vitest";
import { pages } from "../scripts/docs/pages.ts";

// `npm run docs` runs this file with -u (after the file: before it, it would swallow the name), which writes the pages instead of comparing them.
test.each(Object.entries(pages))("docs/%s is what its source gives", async (file, render) => {
  await expect(render()).toMatchFileSnapshot(`../docs/${file}`);
});
