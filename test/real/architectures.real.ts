import { describe, expect, test } from "vitest";
import bart from "../../models/bart.ts";
import bert from "../../models/bert.ts";
import modernbert from "../../models/modernbert.ts";
import t5 from "../../models/t5.ts";
import vit from "../../models/vit.ts";
import whisper from "../../models/whisper.ts";
import { verify } from "../../src/verify.ts";
import { compilations, describeFixture } from "../architectures/support/fixture.ts";
import { encoderWarnings, tiny } from "../architectures/support/tiny.ts";

const ways = compilations.filter(([name]) => name === "for onnx");
describeFixture("bert", bert, { ways, warned: encoderWarnings.bert });
describeFixture("modernbert", modernbert, { ways });
describeFixture("vit", vit, { ways });
describeFixture("t5", t5, { ways });
describeFixture("bart", bart, { ways, warned: encoderWarnings.bart });
describeFixture("whisper", whisper, { ways });

describe("every pass, and every level of the runtime's optimiser, gives what is declared", () => {
  test.each(Object.entries(tiny))("%s", async (_, build) => {
    const { runs, guilty, skipped } = await verify(build());
    expect(guilty).toBeUndefined();
    expect(skipped).toEqual([]);
    for (const { stages } of runs) expect(stages.filter(({ equal }) => !equal)).toEqual([]);
  });
});
