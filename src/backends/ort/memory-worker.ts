// The child process of memory.ts: loads one model, runs it, reports how far the peak rose above the loaded session.

import { readFileSync, writeFileSync } from "node:fs";
import { fail, QkvError } from "../../ir/diagnostics.ts";
import type { MemoryReply, MemoryTask } from "./memory.ts";
import { openSession } from "./session.ts";

/** A line of /proc/self/status, in bytes. */
function statusBytes(field: string): number | undefined {
  try {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync("/proc/self/status", "utf8"));
    return line ? Number(line[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}

/** Sets the peak that Linux remembers (VmHWM) to the present; needs no rights on one's own process. */
function resetPeak(): boolean {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
    return true;
  } catch {
    return false;
  }
}

const lifetimePeak = (): number => process.resourceUsage().maxRSS * 1024;

async function work({ model, session: options, feeds, outputs, runs }: MemoryTask): Promise<MemoryReply> {
  const session = await openSession(model, options);
  const bound = session.bind(feeds, outputs);
  (globalThis as { gc?: () => void }).gc?.();
  const canReset = statusBytes("VmHWM") !== undefined && resetPeak();
  const baselineBytes = canReset ? (statusBytes("VmRSS") ?? process.memoryUsage.rss()) : lifetimePeak();
  for (let i = 0; i < runs; i++) await bound.run();
  const peak = canReset ? (statusBytes("VmHWM") ?? fail("QKV450", "no VmHWM")) : lifetimePeak();
  await session.close();
  return {
    kind: "done",
    peakBytes: Math.max(0, peak - baselineBytes),
    baselineBytes,
    method: canReset ? "high-water mark" : "lifetime maximum",
  };
}

const failure = (error: unknown): MemoryReply => {
  if (!(error instanceof QkvError)) return { kind: "failed", code: "QKV450", message: String(error), details: {} };
  return { kind: "failed", code: error.code, message: error.message, details: error.details };
};

// A parent that died leaves no one to measure for.
process.once("disconnect", () => process.exit(1));
process.once("message", async (task) => {
  const reply = await work(task as MemoryTask).catch(failure);
  process.send?.(reply, () => process.exit(0));
});
