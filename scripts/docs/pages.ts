import { renderDiagnostics } from "./diagnostics.ts";
import { renderOps } from "./ops.ts";
import { renderRules } from "./rules.ts";
import { renderVariants } from "./variants.ts";

/** The pages of `docs/` that are generated, each with what renders it. `npm run docs` writes them; tests hold them fresh. */
export const pages: Readonly<Record<string, () => string | Promise<string>>> = {
  "diagnostics.md": renderDiagnostics,
  "ops.md": renderOps,
  "rules.md": renderRules,
  "variants.md": renderVariants,
};
