import { type VariantSource, variantSources } from "../../bench/gallery/variant-sources.ts";
import type { Model } from "../../src/index.ts";

const folder = new URL("../../models/variants/", import.meta.url);

/** One declaration of `models/variants/`: its comment by paragraphs, and the model. */
export interface VariantFile extends VariantSource {
  readonly model: Model;
}

/** Every variant, by name. Files without a default export are parts that variants share. */
export const variantFiles = (): Promise<readonly VariantFile[]> =>
  Promise.all(
    variantSources(folder).map(async (source) => {
      const file = new URL(`${source.name}.ts`, folder).href;
      const { default: model } = (await import(/* @vite-ignore */ file)) as { readonly default: Model };
      return { ...source, model };
    }),
  );
