import gemma2 from "../../models/gemma2.ts";
import gemma3 from "../../models/gemma3.ts";
import gpt2 from "../../models/gpt2.ts";
import llama from "../../models/llama.ts";
import mistral from "../../models/mistral.ts";
import qwen3 from "../../models/qwen3.ts";
import { describeFixture } from "./support/fixture.ts";

describeFixture("gpt2", gpt2);
describeFixture("llama", llama);
describeFixture("mistral", mistral);
describeFixture("qwen3", qwen3);
describeFixture("gemma2", gemma2);
describeFixture("gemma3", gemma3);
