import { readdirSync, readFileSync } from "node:fs";

/** A declaration of `models/variants/` as its file has it. */
export interface VariantSource {
  /** Name of the file, without its ending; the model is called the same. */
  readonly name: string;
  /** The comment of the model by paragraphs: a sentence that says what it is, its formula, the paper. */
  readonly paragraphs: readonly string[];
}

/** Every variant of a folder, by name. Files without a default export are parts that variants share. */
export function variantSources(folder: URL): readonly VariantSource[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));
  return files.toSorted().flatMap((file): readonly VariantSource[] => {
    const [before, ...rest] = readFileSync(new URL(file, folder), "utf8").split("export default model(");
    return rest.length === 1 ? [{ name: file.replace(/\.ts$/, ""), paragraphs: paragraphsOf(before!) }] : [];
  });
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
