import { readdirSync, readFileSync } from "node:fs";
import type { Model } from "../../src/index.ts";

const folder = new URL("../../models/variants/", import.meta.url);

/** One declaration of `models/variants/`: its comment by paragraphs, and the model. */
export interface VariantFile {
  /** Name of the file, without its ending; the model is called the same. */
  readonly name: string;
  /** A sentence that says what it is, its formula, the paper. */
  readonly paragraphs: readonly string[];
  readonly model: Model;
}

/** Every variant, by name. Files without a default export are parts that variants share. */
export async function variantFiles(): Promise<readonly VariantFile[]> {
  const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));
  const read = files.toSorted().map(async (file): Promise<readonly VariantFile[]> => {
    const text = readFileSync(new URL(file, folder), "utf8");
    const before = text.split("export default model(");
    if (before.length !== 2) return [];
    const loaded = (await import(/* @vite-ignore */ new URL(file, folder).href)) as { readonly default: Model };
    return [{ name: file.replace(/\.ts$/, ""), paragraphs: paragraphsOf(before[0]!), model: loaded.default }];
  });
  return (await Promise.all(read)).flat();
}

/** The last comment of a text, one line a paragraph. */
function paragraphsOf(text: string): readonly string[] {
  const comment = [...text.matchAll(/\/\*\*([\s\S]*?)\*\//g)].at(-1)?.[1] ?? "";
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trimEnd());
  return lines
    .join("\n")
    .split(/\n{2,}/)
    .map((paragraph) => paragraph.trim().replaceAll(/\s*\n\s*/g, " "))
    .filter((paragraph) => paragraph !== "");
}

/** Kinds of variants, told by the left side of their formula. */
const sections: readonly (readonly [title: string, formula: RegExp])[] = [
  ["Masks", /^mask = /],
  ["Scores", /^score = /],
  ["Mechanisms", /^/],
];

/** `docs/variants.md`: every variant as its file describes it. */
export async function renderVariants(): Promise<string> {
  const rest = new Set(await variantFiles());
  const parts = sections.map(([title, formula]) => {
    const own = [...rest].filter(({ paragraphs }) => formula.test(paragraphs[1] ?? ""));
    for (const variant of own) rest.delete(variant);
    return `## ${title}\n\n${own.map(renderVariant).join("\n")}`;
  });
  return `${head}\n${parts.join("\n")}`;
}

const head = `<!-- Generated from models/variants by \`npm run docs\`. Do not edit. -->

# Variants

Attention variants, each a declaration in \`models/variants/\` and each compared with a reference of its own, in float64
and at odd lengths, by \`test/variants/\`. Queries are \`q\`, keys \`k\`, heads \`h\`, sequences of the batch \`b\`, all counted from
0; \`s\` is the score, scale · q kᵀ. Settings are overridden with \`--set\`. What masks are made of lies in
\`models/variants/masks.ts\`.
`;

function renderVariant({ name, paragraphs, model }: VariantFile): string {
  const settings = Object.entries(model.defaults).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const source = `[\`models/variants/${name}.ts\`](../models/variants/${name}.ts)`;
  const text = paragraphs.map((paragraph) => `${paragraph.replaceAll("*", "\\*")}\n`).join("\n");
  return `### ${name}\n\n${text}\n${source} · ${settings.map((setting) => `\`${setting}\``).join(", ")}\n`;
}
