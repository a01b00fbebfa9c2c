import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface Entry {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8")) as {
  readonly packages: Readonly<Record<string, Entry>>;
};

/** Where Node would look for `name` from a package: its own folder, then each one around it. */
const places = (from: string, name: string): readonly string[] => {
  const parts = from === "" ? [] : from.split(/(?<=.)\/(?=node_modules\/)/);
  return parts.map((_, i) => `${parts.slice(0, i + 1).join("/")}/node_modules/${name}`).concat(`node_modules/${name}`);
};

// `npm ci` refuses a lock file without an entry for every platform; `npm install` writes one without those that the
// registry it talks to does not carry.
test("the lock file has every dependency, those of other platforms too", () => {
  const missing = Object.entries(lock.packages).flatMap(([from, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies })
      .filter((name) => !places(from, name).some((place) => place in lock.packages))
      .map((name) => `${name}, which ${from || "the project"} needs`),
  );
  expect(missing).toEqual([]);
});
