import { test } from "vitest";
import { checkExport, sharedFixtures } from "./support.ts";

const folder = sharedFixtures("exports");
/** One of each architecture and exporter; all of them are in `npm run test:real`. */
const chosen = [
  "bert-sdpa-dynamo",
  "gpt2-sdpa-dynamo",
  "llama-eager-dynamo",
  "bert-eager-torchscript",
  "linear-einsum-torchscript",
];

test.skipIf(!folder)(
  "exported models give PyTorch's outputs after import, as they are and optimised (needs the shared fixtures)",
  { timeout: 60_000 },
  async () => {
    for (const name of chosen) await checkExport(folder!, name);
  },
);
