// Makes a fresh clone ready: installs from the lock file where node_modules does not match it, then builds.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const lock = createHash("sha256")
  .update(readFileSync(`${root}package-lock.json`))
  .digest("hex");
const stamp = `${root}node_modules/.qkv-setup`;

function run(what, command, args) {
  process.stderr.write(`${what} …\n`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (error) process.stderr.write(`${error.message}\n`);
  if (status !== 0) process.exit(status ?? 1);
}

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`qkv needs Node 20.19 or newer; this is ${process.versions.node}\n`);
  process.exit(2);
}
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  run("installing from the lock file", process.platform === "win32" ? "npm.cmd" : "npm", ["ci"]);
  mkdirSync(`${root}node_modules`, { recursive: true });
  writeFileSync(stamp, lock);
}
run("building", process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", "tsconfig.build.json"]);
// npx makes a command runnable when it first links the folder, and not again when `dist` is made anew.
chmodSync(`${root}dist/src/cli/main.js`, 0o755);
