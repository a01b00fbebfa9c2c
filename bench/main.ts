import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { progress } from "../src/cli/progress.ts";
import { describeFailure } from "../src/cli/render.ts";
import { measurements } from "./index.ts";
import { describeMachine } from "./machine.ts";
import type { Measurement, Report, Table } from "./measurement.ts";
import { renderMarkdown } from "./render.ts";

interface Result {
  readonly name: string;
  readonly command: string;
  readonly tables: readonly Table[];
  readonly notes: readonly string[];
}

const usage = `npm run bench -- [name…] [--quick] [--json FILE]

${measurements.map(({ name, doc }) => `  ${name.padEnd(18)}${doc}`).join("\n")}
`;

const line = progress();

async function measureOne({ name, doc, run }: Measurement, quick: boolean): Promise<Result> {
  const tables: Table[] = [];
  const notes: string[] = [];
  const command = `npm run bench -- ${name}${quick ? " --quick" : ""}`;
  process.stdout.write(`\n## ${name}\n\n${doc} \`${command}\`\n`);
  const report: Report = {
    quick,
    table(table) {
      line.done();
      tables.push(table);
      process.stdout.write(`\n${renderMarkdown(table)}\n`);
    },
    note(text) {
      line.done();
      notes.push(text);
      process.stdout.write(`\n${text}\n`);
    },
    progress: (text) => line.update(`${name}: ${text}`),
  };
  await run(report);
  line.done();
  return { name, command, tables, notes };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: "boolean" }, json: { type: "string" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help) return void process.stdout.write(usage);
  const unknown = positionals.filter((wanted) => !measurements.some(({ name }) => name === wanted));
  if (unknown.length > 0) {
    process.stderr.write(`there is no measurement ${unknown.join(", ")}\n\n${usage}`);
    process.exitCode = 2;
    return;
  }
  const chosen = measurements.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const machine = await describeMachine();
  process.stdout.write(`${machine}${values.quick ? "\n\nA quick run: figures vary more than usual." : ""}\n`);
  const results: Result[] = [];
  for (const measurement of chosen) {
    results.push(await measureOne(measurement, values.quick ?? false));
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify({ machine, measurements: results }, null, 2)}\n`);
  }
}

try {
  await main();
} catch (error) {
  line.done();
  const { text, exit } = describeFailure(error);
  process.stderr.write(text);
  process.exitCode = exit;
}
