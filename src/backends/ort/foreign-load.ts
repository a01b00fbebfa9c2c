import { readFileSync } from "node:fs";

/** Clock ticks per second that Linux reports times in. */
const ticksPerSecond = 100;

/**
 * Starts watching the machine; the returned function tells how many processors others kept busy since then, on
 * average: busy time of all processors minus this process's own. 0 where the system does not tell (only Linux does).
 */
export function foreignLoad(): () => number {
  const start = snapshot();
  return () => {
    const end = snapshot();
    if (start === undefined || end === undefined || end.wall <= start.wall) return 0;
    return Math.max(0, (end.busy - start.busy - (end.own - start.own)) / (end.wall - start.wall));
  };
}

interface Snapshot {
  /** Seconds. */
  readonly wall: number;
  readonly busy: number;
  readonly own: number;
}

function snapshot(): Snapshot | undefined {
  const line = processorLine();
  if (line === undefined) return undefined;
  // Fields: user nice system idle iowait irq softirq steal guest guest_nice; the guests are part of user and nice.
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  const busy = ticks.reduce((sum, value, field) => (field === 3 || field === 4 ? sum : sum + value), 0);
  const { user, system } = process.cpuUsage();
  return { wall: process.uptime(), busy: busy / ticksPerSecond, own: (user + system) / 1e6 };
}

function processorLine(): string | undefined {
  try {
    return readFileSync("/proc/stat", "utf8").split("\n", 1)[0];
  } catch {
    return undefined;
  }
}
