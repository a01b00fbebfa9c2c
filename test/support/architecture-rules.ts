import { type ArchitectureRule, type Facts, importCycles, packageOf, resolveImport } from "./architecture.ts";

/** The parts of the house, by what their paths start with; the first that fits. */
const layers = [
  ["src/ir/", "ir"],
  ["src/dsl/", "dsl"],
  ["src/passes/", "passes"],
  ["src/backends/onnx/", "onnx"],
  ["src/backends/weights/", "weights"],
  ["src/backends/", "backends"],
  ["src/cli/", "cli"],
  ["src/", "top"],
  ["models/", "models"],
] as const;

type Layer = (typeof layers)[number][1];

/** What each part may import besides itself. Only the files at the top of src and the command line see everything. */
const seen: Readonly<Record<Layer, readonly Layer[]>> = {
  ir: [],
  dsl: ["ir"],
  passes: ["ir"],
  // Files and formats know nothing of the runtime, so that they can be used without it.
  onnx: ["passes", "ir"],
  weights: ["ir"],
  backends: ["onnx", "weights", "passes", "ir"],
  top: ["dsl", "ir", "passes", "backends", "onnx", "weights"],
  cli: ["top", "dsl", "ir", "passes", "backends", "onnx", "weights"],
  models: [],
};

/** Packages of src, each with the only files that may import it. A package that is not here may not be imported. */
const owners: Readonly<Record<string, RegExp>> = {
  "onnxruntime-node": /^src\/backends\/ort\/(session|memory-worker)\.ts$/,
  "@bufbuild/protobuf": /^src\/backends\/onnx\//,
  graphlib: /^src\/ir\/topology\.ts$/,
  "ts-morph": /^src\/dsl\/(source|check-types|lift\/[a-z-]+)\.ts$/,
  esbuild: /^src\/(dsl\/(load|loader-hooks)|backends\/ort\/memory)\.ts$/,
  commander: /^src\/cli\//,
  picocolors: /^src\/cli\//,
  "@huggingface/tokenizers": /^src\/cli\/demo\.ts$/,
};

const lineLimit = 500;
/** Files that may be longer, each with its reason. */
const longFiles: Readonly<Record<string, string>> = {};
/** Files that may say `any`, each with its reason. */
const anyFiles: Readonly<Record<string, string>> = {};
/** Files that do something when they are loaded, each with its reason. */
const effectFiles: Readonly<Record<string, string>> = {
  "src/cli/main.ts": "the executable",
  "src/backends/ort/memory-worker.ts": "the main file of a process of its own",
  "src/dsl/check-types-worker.ts": "the main file of a thread of its own",
  "src/dsl/time-limit-worker.ts": "the main file of a thread of its own",
};

const vague = /(^|\/)(utils?|helpers?|misc|stuff|common-utils)\.ts$/;
const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z-]+)*\.ts$/;

const layerOf = (path: string): Layer | undefined => layers.find(([prefix]) => path.startsWith(prefix))?.[1];
const isGenerated = (path: string) => path.includes("/generated/");
const ours = (files: readonly Facts[]) => files.filter(({ path }) => !isGenerated(path));
const sources = (files: readonly Facts[]) => ours(files).filter(({ path }) => path.startsWith("src/"));
const shipped = (files: readonly Facts[]) => ours(files).filter(({ path }) => layerOf(path));

const direction: ArchitectureRule = {
  name: "imports run one way",
  check: (files) =>
    shipped(files).flatMap(({ path, imports }) => {
      const from = layerOf(path)!;
      return imports.flatMap(({ specifier, line }) => {
        const target = resolveImport(path, specifier);
        const to = target === undefined ? undefined : layerOf(target);
        if (from === "models") {
          if (specifier === "qkv" || to === "models") return [];
          return [`${path}:${line}: imports "${specifier}"; a model imports only "qkv" and what lies beside it`];
        }
        if (target === undefined || to === from || (to && seen[from].includes(to))) return [];
        const may = ["itself", ...seen[from]].join(", ");
        return [
          `${path}:${line}: imports ${target}; ${from} may import ${may}, not ${to ?? "what lies outside of src"}`,
        ];
      });
    }),
};

const cycles: ArchitectureRule = {
  name: "no import cycles",
  check: (files) =>
    importCycles(files).map((cycle) => {
      const { path, imports } = files.find((file) => file.path === cycle[0])!;
      const line = imports.find(({ specifier }) => resolveImport(path, specifier) === cycle[1])!.line;
      return `${path}:${line}: starts the import cycle ${cycle.join(" → ")}`;
    }),
};

const packages: ArchitectureRule = {
  name: "each package has its only importers",
  check: (files) =>
    sources(files).flatMap(({ path, imports }) =>
      imports.flatMap(({ specifier, line }) => {
        const name = packageOf(specifier);
        if (name === undefined || owners[name]?.test(path)) return [];
        const where = owners[name];
        return [
          `${path}:${line}: imports ${name}; ${where ? `only ${where.source} may` : "it is not a listed package"}`,
        ];
      }),
    ),
};

const size: ArchitectureRule = {
  name: `at most ${lineLimit} lines a file`,
  check: (files) =>
    sources(files)
      .filter(({ path, lines }) => lines > lineLimit && !longFiles[path])
      .map(({ path, lines }) => `${path}:${lineLimit + 1}: ${lines} lines; split it by concept`),
};

const noAny: ArchitectureRule = {
  name: "no any",
  check: (files) =>
    shipped(files)
      .filter(({ path }) => !anyFiles[path])
      .flatMap(({ path, anys }) => anys.map((line) => `${path}:${line}: any; write unknown, or the type`)),
};

const noDefaultExports: ArchitectureRule = {
  name: "default exports only in models",
  check: (files) =>
    sources(files).flatMap(({ path, defaultExports }) =>
      defaultExports.map((line) => `${path}:${line}: default export; name it`),
    ),
};

const noEnums: ArchitectureRule = {
  name: "no enum",
  check: (files) =>
    shipped(files).flatMap(({ path, enums }) => enums.map((line) => `${path}:${line}: enum; a union of texts does it`)),
};

const noEffects: ArchitectureRule = {
  name: "loading a module does nothing",
  check: (files) =>
    sources(files)
      .filter(({ path }) => !effectFiles[path])
      .flatMap(({ path, effects, imports }) => [
        ...effects.map(
          (line) => `${path}:${line}: a statement at the top level; declare data and spread it where it is used`,
        ),
        ...imports
          .filter(({ bare }) => bare)
          .map(({ specifier, line }) => `${path}:${line}: imports "${specifier}" for its effect`),
      ]),
};

const quiet: ArchitectureRule = {
  name: "ir and passes neither log nor read the environment",
  check: (files) =>
    ours(files)
      .filter(({ path }) => layerOf(path) === "ir" || layerOf(path) === "passes")
      .flatMap(({ path, environment }) => environment.map(({ name, line }) => `${path}:${line}: uses ${name}`)),
};

const names: ArchitectureRule = {
  name: "files are kebab-case and named for what they hold",
  check: (files) =>
    ours(files).flatMap(({ path }) => {
      if (vague.test(path)) return [`${path}:1: a name that says nothing; name the concept`];
      return kebab.test(path.split("/").at(-1)!) ? [] : [`${path}:1: not kebab-case`];
    }),
};

/** Every rule, in the order they are reported. */
export const architectureRules = {
  direction,
  cycles,
  packages,
  size,
  noAny,
  noDefaultExports,
  noEnums,
  noEffects,
  quiet,
  names,
} as const;

/** Files the rules make an exception for; each must exist. */
export const exceptions: readonly string[] = [longFiles, anyFiles, effectFiles].flatMap((list) => Object.keys(list));
