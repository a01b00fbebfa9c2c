import { Session } from "node:inspector";
import { workerData } from "node:worker_threads";

const { stopped, ms } = workerData as { readonly stopped: Int32Array; readonly ms: number };
// A main thread that is not held up is given time to say so.
if (Atomics.wait(stopped, 0, 0, ms + 100) === "timed-out") {
  const session = new Session();
  session.connectToMainThread();
  session.post("Runtime.terminateExecution", () => session.disconnect());
}
