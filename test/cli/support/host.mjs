// Runs command lines one after another as the compiled `qkv` does, each ended on both streams by the mark it came with.
import { runCommandLine } from "../../../dist/src/cli/command-line.js";

process.on("message", async ({ args, cwd, mark }) => {
  process.chdir(cwd);
  const code = await runCommandLine(args);
  process.stdout.write(mark);
  process.stderr.write(mark);
  process.send({ code });
});
