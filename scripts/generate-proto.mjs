// Regenerates src/backends/onnx/proto/generated/onnx_pb.ts from onnx.proto. Needs the network once, for the compiler.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const compiler = "@bufbuild/buf@1.75.0";
const folder = fileURLToPath(new URL("../src/backends/onnx/proto/", import.meta.url));
const plugin = fileURLToPath(new URL("../node_modules/.bin/protoc-gen-es", import.meta.url));
const template = {
  version: "v2",
  plugins: [{ local: plugin, out: "generated", opt: ["target=ts", "import_extension=ts"] }],
};

execFileSync("npx", ["--yes", compiler, "generate", ".", "--template", JSON.stringify(template)], {
  cwd: folder,
  stdio: "inherit",
});
