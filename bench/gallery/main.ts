import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { bar, progress } from "../../src/cli/progress.ts";
import { describeFailure } from "../../src/cli/render.ts";
import { describeMachine } from "../machine.ts";
import { makeGallery } from "./make.ts";

const usage = `npm run gallery -- [name…] [--missing] [--quick] [--untimed] [--from FOLDER] [--to FOLDER] [--html FILE]

Makes docs/gallery.md and the pictures and figures of docs/gallery for every variant of models/variants, or for those whose
name is one of the words given, or contains one; the others stay as they are.

  --missing       only those that have no entry yet
  --quick         the shortest length and one round of timing: for a look, not for figures to quote
  --untimed       pictures, formulas and passes; times stay as they are where there are any
  --from FOLDER   declarations, instead of models/variants
  --to FOLDER     where gallery.md and the folder gallery go, instead of docs
  --html FILE     also everything as one HTML page, pictures in it
`;

const line = progress();

function failed(error: unknown, name?: string): void {
  line.done();
  const { text, exit } = describeFailure(error);
  process.stderr.write(name === undefined ? text : `${name}: ${text}`);
  process.exitCode = exit;
}

const folder = (path: string) => pathToFileURL(`${resolve(path)}/`);

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      missing: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      untimed: { type: "boolean", default: false },
      from: { type: "string", default: "models/variants" },
      to: { type: "string", default: "docs" },
      html: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const any = await makeGallery(
    {
      from: folder(values.from),
      to: folder(values.to),
      ...(values.html !== undefined && { html: pathToFileURL(resolve(values.html)) }),
    },
    {
      words: positionals,
      missing: values.missing,
      quick: values.quick,
      untimed: values.untimed,
      machine: await describeMachine(),
      onProgress: (done, total, what) => line.update(`${bar(done, total)} ${what}`),
      onDone({ name, speed }) {
        line.done();
        const { naive, ort } = speed.at(-1)!.times;
        process.stdout.write(`${name}: ${naive ?? "-"}× as declared, ${ort ?? "-"}× under all\n`);
      },
      onFailed: (name, error) => failed(error, name),
    },
  );
  if (any) return;
  process.stderr.write(`there is no variant ${positionals.join(", ")} in ${values.from}\n\n${usage}`);
  process.exitCode = 2;
}

// Without a handler the process ends in the middle of a file; with one, between files.
process.once("SIGINT", () => {
  line.done();
  process.exit(130);
});

try {
  await main();
} catch (error) {
  failed(error);
}
