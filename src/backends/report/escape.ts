import { printable } from "../../ir/printable.ts";

/** Text as it may stand in HTML and SVG, in an attribute too. */
export const escaped = (text: string): string =>
  printable(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
