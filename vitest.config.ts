import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { alias: { qkv: fileURLToPath(new URL("./src/index.ts", import.meta.url)) } },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    // Sessions of the native runtime do not survive worker threads; processes do.
    pool: "forks",
    // Files share the modules of their process: loading the compiler and ONNX Runtime again for each is a third of the time.
    isolate: false,
    maxWorkers: "100%",
  },
});
