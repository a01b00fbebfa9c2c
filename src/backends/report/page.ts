import { escaped } from "./escape.ts";

/** A page that needs no other file and no script: light or dark as the reader's system is. */
export const htmlPage = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>
:root { --ink: #222; --faint: #666; --line: #d8d8d8; --ground: #fff; --raised: #f6f5f2; --wrong: #b00020 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e4e4; --faint: #a0a0a0; --line: #444; --ground: #181818; --raised: #222; --wrong: #ff7b8a } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h1 + p { color: var(--faint); margin-top: .2rem }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap }
th:first-child, td:first-child, .text, caption { text-align: left; white-space: nowrap } .prose { white-space: normal; overflow-wrap: anywhere; min-width: 16rem; text-align: left }
.wrong { color: var(--wrong); font-weight: bold } code { font: 13px ui-monospace, monospace } small, .faint { color: var(--faint) }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); gap: 1rem; margin: 1rem 0 }
.charts figure { margin: 0; background: var(--raised); border-radius: 6px; padding: .6rem } svg { max-width: 100%; height: auto; display: block }
summary { cursor: pointer } @media print { details > * { display: block } }
</style>
</head>
<body>
${body}
</body>
</html>
`;

/** A cell of a table: text, or markup that is safe. */
export type HtmlCell = string | { readonly html: string; readonly class?: string };

/** A table; the first column reads as text, the others as numbers. */
export function htmlTable(caption: string, head: readonly string[], rows: readonly (readonly HtmlCell[])[]): string {
  const cell = (content: HtmlCell) =>
    typeof content === "string"
      ? `<td>${escaped(content)}</td>`
      : `<td${content.class ? ` class="${content.class}"` : ""}>${content.html}</td>`;
  const isProse = (i: number) => rows.some((row) => typeof row[i] === "object" && row[i].class === "prose");
  const heads = head
    .map((title, i) => `<th scope="col"${isProse(i) ? ' class="text"' : ""}>${escaped(title)}</th>`)
    .join("");
  const body = rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("\n");
  return `<div class="wide"><table><caption class="faint">${escaped(caption)}</caption>\n<thead><tr>${heads}</tr></thead>\n<tbody>\n${body}\n</tbody></table></div>`;
}
