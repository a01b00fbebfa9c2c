import { readEntry } from "../../bench/gallery/entry.ts";
import { galleryPage } from "../../bench/gallery/page.ts";
import { variantFiles } from "./variants.ts";

const folder = new URL("../../docs/gallery/", import.meta.url);

/** `docs/gallery.md`: every variant as its file describes it, with what `npm run gallery` found. */
export async function renderGallery(): Promise<string> {
  const shown = (await variantFiles()).map(({ model, ...source }) => ({
    ...source,
    defaults: model.defaults,
    entry: readEntry(folder, source.name),
  }));
  return galleryPage(shown);
}
