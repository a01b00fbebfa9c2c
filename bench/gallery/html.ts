import { readFileSync } from "node:fs";
import { escaped } from "../../src/backends/report/escape.ts";
import { htmlPage, htmlTable } from "../../src/backends/report/page.ts";
import { showError, showMs } from "../../src/cli/table.ts";
import type { GalleryEntry, Picture } from "./entry.ts";
import { ratio, type Shown, sizesText } from "./page.ts";

/** The gallery as one HTML page with its pictures in it; `folder` is where the pictures are. */
export function galleryHtml(variants: readonly Shown[], folder: URL): string {
  const rows = variants.map(({ name, paragraphs, entry }) => {
    const last = entry?.speed.at(-1);
    return [
      { html: `<a href="#${escaped(name)}">${escaped(name)}</a>` },
      { html: escaped(paragraphs[0] ?? ""), class: "prose" },
      last ? sizesText(last.dims) : "",
      last ? ratio(last.times.naive) : "",
      last ? ratio(last.times.ort) : "",
    ];
  });
  const head = ["variant", "is", "at", "× as declared", "× under all"];
  const sections = variants.map((variant) => section(variant, folder));
  const body = [`<h1>Gallery</h1>`, htmlTable("attention variants", head, rows), ...sections];
  return htmlPage("qkv: attention variants", body.join("\n"));
}

function section({ name, paragraphs, entry }: Shown, folder: URL): string {
  const text = paragraphs.map((paragraph) => `<p>${escaped(paragraph)}</p>`).join("\n");
  return `<section id="${escaped(name)}"><h2>${escaped(name)}</h2>\n${text}\n${entry ? entryHtml(entry, folder) : ""}</section>`;
}

function entryHtml({ sizes, mask, score, flops, lowering, speed, machine }: GalleryEntry, folder: URL): string {
  const pictures = [mask, score].flatMap((picture) => (picture ? [figure(picture, folder)] : []));
  const costs = [
    ["as declared", { html: `<code>${escaped(flops.naive)}</code>`, class: "prose" }],
    ["optimised", { html: `<code>${escaped(flops.optimised)}</code>`, class: "prose" }],
  ] as const;
  const times = speed.map(({ dims, ms, times: faster, maxRelError }) => [
    ...[sizesText(dims), showMs(ms.naive), showMs(ms.ort), showMs(ms.optimised)],
    ...[ratio(faster.naive), ratio(faster.ort), showError(maxRelError)],
  ]);
  const columns = ["sizes", "as declared", "under all", "optimised", "× as declared", "× under all", "relative error"];
  return `<div class="charts">${pictures.join("\n")}</div>
${htmlTable("FLOPs of a batch of one", ["graph", "formula"], costs)}
<p>Passes at ${escaped(sizesText(sizes))}: ${escaped(lowering.join(", ") || "nothing fired")}.</p>
${htmlTable(machine, columns, times)}`;
}

function figure({ file, formula, summary }: Picture, folder: URL): string {
  const kind = file.endsWith(".svg") ? "svg+xml" : "png";
  const data = readFileSync(new URL(file, folder)).toString("base64");
  const shown = formula.length > 300 ? `${formula.slice(0, 300)}…` : formula;
  return `<figure><img src="data:image/${kind};base64,${data}" alt="${escaped(summary)}" style="max-width: 100%"><figcaption><code>${escaped(shown)}</code><br>${escaped(summary)}</figcaption></figure>`;
}
