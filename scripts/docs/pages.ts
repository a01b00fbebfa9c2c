import { renderDiagnostics } from "./diagnostics.ts";

/** The pages of `docs/` that are generated, each with what renders it. `npm run docs` writes them; tests hold them fresh. */
export const pages: Readonly<Record<string, () => string>> = {
  "diagnostics.md": renderDiagnostics,
};
