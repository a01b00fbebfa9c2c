import { diagnostics, type ExitCode } from "../../src/ir/diagnostics.ts";

/** Areas of the table, each up to its last number. */
const areas: readonly (readonly [last: number, title: string])[] = [
  [199, "Declaring a model"],
  [219, "Dimensions, types and ops"],
  [229, "Text form"],
  [239, "Graphs"],
  [299, "Reference evaluation"],
  [399, "Passes"],
  [419, "ONNX files"],
  [439, "Weights"],
  [459, "Running"],
  [499, "Writing ONNX"],
  [599, "Command line"],
  [999, "Our bugs"],
];

const exits: Readonly<Record<ExitCode, string>> = {
  2: "a mistake in what was given: a model, a file, an option",
  3: "a limit: of memory, of a format, of this machine",
  4: "verification failed: outputs differ",
  70: "a bug in qkv; please report it",
};

const areaOf = (code: string) => areas.find(([last]) => Number(code.slice(3)) <= last)![1];

/** `docs/diagnostics.md`: every code with its title and exit code, by area. */
export function renderDiagnostics(): string {
  const rows = Object.entries(diagnostics).map(([code, { title, exit }]) => ({
    code,
    title,
    exit,
    area: areaOf(code),
  }));
  rows.sort((a, b) => (a.code < b.code ? -1 : 1));
  const sections = areas.flatMap(([, area]) => {
    const inArea = rows.filter((row) => row.area === area);
    if (inArea.length === 0) return [];
    const lines = inArea.map(({ code, title, exit }) => `| ${code} | ${title} | ${exit} |`);
    return [`## ${area}\n\n| code | what is wrong | exit code |\n| --- | --- | --- |\n${lines.join("\n")}\n`];
  });
  return `${head}\n${sections.join("\n")}`;
}

const head = `<!-- Generated from src/ir/diagnostics.ts by \`npm run docs\`. Do not edit. -->

# Diagnostics

Every error has a code. It goes to stderr with the place in the source it is about, where there is one, the facts worth
seeing, and what to do:

\`\`\`
error[QKV107]: einsum: axis 'd' is 64 in operand 1 but 32 in operand 2
  --> models/wrong.ts:6:18
    |
  6 |   const scores = einsum("b q d, b k d -> b q k", q, k);
    |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   = q: f32[batch, seq, 64]    k: f32[batch, seq, 32]
\`\`\`

In code the same error is a \`QkvError\` with \`code\`, \`message\`, \`details\` and \`exitCode\`.

| exit code | means |
| --- | --- |
${Object.entries(exits)
  .map(([exit, text]) => `| ${exit} | ${text} |`)
  .join("\n")}
`;
