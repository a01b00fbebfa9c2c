import { cpus } from "node:os";
import { runtimeInfo } from "../src/backends/ort/session.ts";

/** Where figures come from, in a line. */
export async function describeMachine(): Promise<string> {
  const { version } = await runtimeInfo();
  const all = cpus();
  return `${all[0]?.model ?? "unknown processor"}, ${all.length} cores, Node ${process.versions.node}, ONNX Runtime ${version}`;
}
