import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildTimeout, built, checkout, plainEnv } from "./cli/support/command.ts";

beforeAll(built, buildTimeout);

const folder = mkdtempSync(join(tmpdir(), "qkv-gallery-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const [from, to] = [join(folder, "models"), join(folder, "pages")];
for (const path of [from, to]) mkdirSync(path);

const variant = (name: string, body: string) =>
  writeFileSync(
    join(from, `${name}.ts`),
    `import { attention, input, model } from "qkv";

/**
 * ${name}: a sentence.
 *
 * mask = k <= q.
 */
export default model("${name}", { d: 4 }, ({ d }) => {
  const q = input("q", "f32", ["batch", 1, "seq", d]);
  ${body}
});
`,
  );
variant("first", "return { o: attention(q, q, q, { mask: ({ q, k }) => k <= q }) };");
variant("second", "return { o: attention(q, q, q, { score: (s, { q, k }) => s - Math.abs(q - k) }) };");
variant("broken", "return { o: attention(q, q, q, { mask: ({ q, k }) => { while (q > k) q--; return true; } }) };");

const main = join(checkout, "dist/bench/gallery/main.js");
const args = (...more: readonly string[]) => [main, "--quick", "--from", from, "--to", to, ...more];
const run = (...more: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args(...more), {
    ...{ cwd: checkout, encoding: "utf8" },
    env: plainEnv,
  });
  return { status, stdout, stderr };
};
const page = () => readFileSync(join(to, "gallery.md"), "utf8");
const entry = (name: string) => readFileSync(join(to, "gallery", `${name}.json`), "utf8");

test("makes every entry, reports the variant that has none, and fails", () => {
  const { status, stdout, stderr } = run();
  expect(status).toBe(2);
  expect(stdout).toMatch(/^first: [\d.]+× as declared, [\d.]+× under all\nsecond: /);
  expect(stderr).toMatch(/^broken: error\[QKV1\d\d\]/);
  expect(readdirSync(join(to, "gallery")).toSorted()).toEqual([
    "first.json",
    "first.mask.png",
    "second.json",
    "second.score.png",
  ]);
  expect(JSON.parse(entry("first"))).toMatchObject({ name: "first", sizes: { batch: 1, seq: 2048 }, score: null });
  expect([...page().matchAll(/^### (.+)$/gm)].map(([, name]) => name)).toEqual(["broken", "first", "second"]);
  expect(page()).toContain("No entry yet: `npm run gallery -- broken`");
  expect(page()).toContain("![The mask of first](gallery/first.mask.png)");
});

test("makes what it is asked for and keeps the rest; what is no variant any more goes", () => {
  const before = entry("first");
  rmSync(join(from, "broken.ts"));
  writeFileSync(join(to, "gallery", "gone.json"), "{}");
  writeFileSync(join(to, "gallery", "second.mask.png"), "");
  const { status, stdout, stderr } = run("sec");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^second: [^\n]+\n$/);
  expect(entry("first")).toBe(before);
  expect(page()).toContain("![The mask of first](gallery/first.mask.png)");
  expect(readdirSync(join(to, "gallery")).toSorted()).toEqual([
    "first.json",
    "first.mask.png",
    "second.json",
    "second.score.png",
  ]);
});

test("--untimed draws and counts anew, and keeps times", () => {
  const { flops, sizes, ...before } = JSON.parse(entry("first"));
  writeFileSync(
    join(to, "gallery", "first.json"),
    JSON.stringify({ ...before, flops: { naive: "1", optimised: "1" }, sizes: {} }),
  );
  expect(run("first", "--untimed")).toMatchObject({ status: 0, stderr: "" });
  expect(JSON.parse(entry("first"))).toEqual({ ...before, flops, sizes });
});

test("--html is one page with the pictures in it", () => {
  const html = join(folder, "gallery.html");
  expect(run("--missing", "--html", html)).toEqual({ status: 0, stdout: "", stderr: "" });
  const text = readFileSync(html, "utf8");
  expect(text.match(/<img src="data:image\/png;base64,iVBOR[^"]+" alt="[^"]+"/g)).toHaveLength(2);
  expect(text).not.toMatch(/<script|<link|src="(?!data:)/);
  expect(text).toContain("<code>k &lt;= q</code>");
});

test("a name that no variant has is a mistake", () => {
  const { status, stderr } = run("nothing-like-it");
  expect(status).toBe(2);
  expect(stderr).toContain("there is no variant nothing-like-it");
});

test("interrupted, it leaves whole files and a page that agrees with them", async () => {
  rmSync(join(to, "gallery"), { recursive: true });
  const child = spawn(process.execPath, args(), { cwd: checkout, stdio: "ignore" });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  while (!existsSync(join(to, "gallery", "first.json")) && child.exitCode === null) await sleep(5);
  child.kill("SIGINT");
  expect(await ended).toBe(130);
  expect(readdirSync(to).toSorted()).toEqual(["gallery", "gallery.md"]);
  expect(readdirSync(join(to, "gallery")).toSorted()).toEqual(["first.json", "first.mask.png"]);
  expect(() => JSON.parse(entry("first"))).not.toThrow();
  expect([...page().matchAll(/^### (.+)$/gm)].map(([, name]) => name)).toEqual(["first", "second"]);
});
