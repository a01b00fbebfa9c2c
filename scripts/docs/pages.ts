import { renderDiagnostics } from "./diagnostics.ts";
import { renderGallery } from "./gallery.ts";
import { renderOps } from "./ops.ts";
import { renderRules } from "./rules.ts";

/** The pages of `docs/` that are generated, each with what renders it. `npm run docs` writes them; tests hold them fresh. */
export const pages: Readonly<Record<string, () => string | Promise<string>>> = {
  "diagnostics.md": renderDiagnostics,
  "gallery.md": renderGallery,
  "ops.md": renderOps,
  "rules.md": renderRules,
};
