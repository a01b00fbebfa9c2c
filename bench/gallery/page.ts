import { showError, showMs } from "../../src/cli/table.ts";
import type { GalleryEntry, Picture, Speed } from "./entry.ts";
import type { VariantSource } from "./variant-sources.ts";

/** A variant as the page shows it; without an entry where the gallery has not been made for it yet. */
export interface Shown extends VariantSource {
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly entry: GalleryEntry | undefined;
}

/** Kinds of variants, told by the left side of their formula. */
const sections: readonly (readonly [title: string, formula: RegExp])[] = [
  ["Masks", /^mask = /],
  ["Scores", /^score = /],
  ["Mechanisms", /^/],
];

/**
 * `docs/gallery.md`: every variant as its file describes it, with its pictures, costs, and speed against dense.
 * `folder` is where the declarations are, from the page.
 */
export function galleryPage(variants: readonly Shown[], folder = "../models/variants"): string {
  const rest = new Set(variants);
  const parts = sections.flatMap(([title, formula]) => {
    const own = [...rest].filter(({ paragraphs }) => formula.test(paragraphs[1] ?? ""));
    for (const variant of own) rest.delete(variant);
    if (own.length === 0) return [];
    return [`## ${title}\n\n${overview(own)}\n\n${own.map((variant) => variantSection(variant, folder)).join("\n")}`];
  });
  return `${head}\n${parts.join("\n")}`;
}

const head = `<!-- Generated from models/variants and docs/gallery by \`npm run docs\`. Do not edit. -->

# Gallery

Attention variants, each a declaration in \`models/variants/\` and each compared with a reference of its own, in float64
and at odd lengths, by \`test/variants/\`. Queries are \`q\`, keys \`k\`, heads \`h\`, sequences of the batch \`b\`, all counted from
0; \`s\` is the score, scale · q kᵀ. Settings are overridden with \`--set\`. What masks are made of lies in
\`models/variants/masks.ts\`.

Pictures, cost formulas and what the passes did are of the sizes named; a picture is of the first sequence and head.
*As declared* is the graph spelled out in standard operators, where a mask hides no work: attention as declared is dense.
It runs with ONNX Runtime's optimiser off (\`disabled\`) and at its highest level (\`all\`). Times are medians of
runs in turns in one process; machines differ, ratios less so. \`npm run gallery -- NAME\` makes an entry anew.
`;

function overview(variants: readonly Shown[]): string {
  const rows = variants.map(({ name, paragraphs, entry }) => {
    const last = entry?.speed.at(-1);
    const speed = last ? [sizesText(last.dims), ratio(last.times.naive), ratio(last.times.ort)] : ["", "", ""];
    return `| [${name}](#${name}) | ${cell(paragraphs[0] ?? "")} | ${speed.join(" | ")} |`;
  });
  return `| variant | is | at | × as declared | × as declared, \`all\` |\n| --- | --- | --- | ---: | ---: |\n${rows.join("\n")}`;
}

function variantSection({ name, paragraphs, defaults, entry }: Shown, folder: string): string {
  const settings = Object.entries(defaults).map(([key, value]) => `\`${key} = ${settingText(value)}\``);
  const source = `[\`${folder.replace(/^(\.\.\/)+/, "")}/${name}.ts\`](${folder}/${name}.ts)`;
  return [
    `### ${name}`,
    ...paragraphs.map((paragraph) => paragraph.replaceAll("*", "\\*")),
    [source, settings.join(", ")].filter(Boolean).join(" · "),
    ...(entry ? entryParts(entry) : [`No entry yet: \`npm run gallery -- ${name}\`.`]),
    "",
  ].join("\n\n");
}

function entryParts({ name, sizes, mask, score, flops, lowering, speed, machine, command }: GalleryEntry) {
  return [
    ...(mask ? [pictureText(name, "mask", mask)] : []),
    ...(score ? [pictureText(name, "score", score)] : []),
    costText(flops),
    `Passes at ${sizesText(sizes)}: ${lowering.length > 0 ? lowering.map(cell).join(", ") : "nothing fired"}.`,
    speedText(speed),
    `${machine}; \`${command}\``,
  ];
}

const pictureText = (name: string, what: string, { file, summary }: Picture) =>
  `![The ${what} of ${name}](gallery/${file})\n\n${summary}.`;

const costText = ({ naive, optimised }: GalleryEntry["flops"]) =>
  `| FLOPs | of a batch of one |\n| --- | --- |\n| as declared | ${formulaText(naive)} |\n| optimised | ${formulaText(optimised)} |`;

/** A formula that is too long to read is cut. */
const formulaText = (formula: string) =>
  `\`${formula.length > 400 ? `${formula.slice(0, 400)}…` : formula}\``.replaceAll("|", "\\|");

function speedText(speed: readonly Speed[]): string {
  const rows = speed.map(
    ({ dims, ms, times, maxRelError }) =>
      `| ${sizesText(dims)} | ${showMs(ms.naive)} | ${showMs(ms.ort)} | ${showMs(ms.optimised)} | ${ratio(times.naive)} | ${ratio(times.ort)} | ${showError(maxRelError)} |`,
  );
  return `| sizes | as declared | as declared, \`all\` | optimised | × as declared | × \`all\` | relative error |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n${rows.join("\n")}`;
}

/** `batch 1, seq 2048`. */
export const sizesText = (sizes: Readonly<Record<string, number>>) =>
  Object.entries(sizes)
    .map(([symbol, size]) => `${symbol} ${size}`)
    .join(", ") || "its fixed sizes";

/** A ratio of times, which wrong outputs do not have. */
export const ratio = (times: number | null) => (times === null ? "differs" : `${times.toFixed(2)}×`);
const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("*", "\\*").replaceAll("\n", " ");

const settingText = (value: unknown) => {
  const text = JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
};
