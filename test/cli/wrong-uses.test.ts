import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { buildTimeout, built, expectMistake, qkv, temporaryFolder } from "./support/command.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const linear = "models/linear-attention.ts";
const out = at("out.onnx");

function safetensors(header: unknown, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

const matrix = (offset: number) => ({ dtype: "F32", shape: [64, 64], data_offsets: [offset, offset + 16384] });

beforeAll(async () => {
  await built();
  await qkv(["compile", "models/multi-head.ts", "-o", at("other.onnx"), "--no-check"]);
  mkdirSync(at("folder"));
  writeFileSync(at("text.txt"), "no model");
  writeFileSync(at("not-safetensors"), "hello");
  writeFileSync(at("empty"), "");
  writeFileSync(at("huge-header"), Buffer.from([255, 255, 255, 255, 255, 255, 255, 127, 123, 125]));
  writeFileSync(at("gap"), safetensors({ wq: matrix(0), wk: matrix(20000) }, new Uint8Array(40000)));
  writeFileSync(
    at("wrong-shape"),
    safetensors(
      { wq: matrix(0), wk: matrix(16384), wv: { dtype: "F32", shape: [32, 64], data_offsets: [32768, 40960] } },
      new Uint8Array(40960),
    ),
  );
  writeFileSync(
    at("misspelt"),
    safetensors({ wq: matrix(0), wk: matrix(16384), vw: matrix(32768) }, new Uint8Array(49152)),
  );
  mkdirSync(at("bert"));
  writeFileSync(at("bert/config.json"), '{ "model_type": "bert" }');
  writeFileSync(at("bert/model.safetensors"), safetensors({}));
  writeFileSync(at("bad.json"), "{ x: 1 ");
  writeFileSync(at("list.json"), "[1, 2]");
  writeFileSync(at("wrong-dims.json"), JSON.stringify({ x: { dtype: "f32", dims: [3, 2], data: [1, 2, 3, 4, 5, 6] } }));
  writeFileSync(at("short.json"), JSON.stringify({ x: { dtype: "f32", dims: [64, 1], data: [1, 2] } }));
  writeFileSync(at("other-input.json"), JSON.stringify({ y: { dtype: "f32", dims: [1], data: [1] } }));
  const zeros = { dtype: "i32", dims: [64, 1], data: new Array(64).fill(0) };
  writeFileSync(at("wrong-type.json"), JSON.stringify({ x: zeros }));
}, buildTimeout);

interface Wrong {
  readonly args: readonly string[];
  readonly code: string;
  readonly says?: RegExp;
}

const cases: Readonly<Record<string, readonly Wrong[]>> = {
  "the model": [
    { args: ["compile", at("absent.ts"), "-o", out], code: "QKV130", says: /absent\.ts/ },
    { args: ["compile", folder, "-o", out], code: "QKV13" },
    { args: ["print", at("text.txt")], code: "QKV138" },
    { args: ["run", "models"], code: "QKV13" },
    { args: ["compare", at("absent.ts")], code: "QKV130" },
    { args: ["explain", at("absent.ts")], code: "QKV130" },
    { args: ["verify", at("absent.ts")], code: "QKV130" },
  ],
  options: [
    { args: ["frobnicate"], code: "QKV501", says: /frobnicate/ },
    { args: ["print", linear, "--frobnicate"], code: "QKV501", says: /--frobnicate/ },
    { args: ["print"], code: "QKV501", says: /model/ },
    { args: ["compile", linear], code: "QKV501", says: /--output/ },
    { args: ["compile", linear, "--ouput", "x"], code: "QKV501", says: /--ouput[\s\S]*Did you mean --output/ },
    { args: ["reduce", linear, "--ouput", "x"], code: "QKV501", says: /--ouput[\s\S]*Did you mean --output/ },
    { args: ["import", linear, "--ouput", "x"], code: "QKV501", says: /--ouput[\s\S]*Did you mean --output/ },
    { args: ["compare", linear, "--naive"], code: "QKV501", says: /--naive/ },
    {
      args: ["compare", "models/encoder.ts", "--against", at("other.onnx")],
      code: "QKV501",
      says: /the outputs o, not /,
    },
    { args: ["compare", linear, "--against", at("absent.onnx")], code: "QKV413", says: /absent\.onnx/ },
    { args: ["print", linear, "--passes", "canonicalize"], code: "QKV301", says: /did you mean canonicalise\?/ },
    { args: ["print", linear, "--after", "reasociate"], code: "QKV301", says: /did you mean reassociate\?/ },
    {
      args: ["explain", linear, "reasociate"],
      code: "QKV502",
      says: /no pass or rule[\s\S]*did you mean reassociate\?/,
    },
    { args: ["explain", linear, "skip-layer-norm"], code: "QKV502", says: /was not considered here/ },
    {
      args: ["reduce", linear, "--fires", "nonsense", "-o", at("r")],
      code: "QKV502",
      says: /no pass or rule "nonsense"/,
    },
    {
      args: ["reduce", linear, "--fires", "skip-layer-norms", "-o", at("r")],
      code: "QKV502",
      says: /mean skip-layer-norm\?/,
    },
    { args: ["print", "models/variants/local.ts", "--svg", at("absent/a.svg")], code: "QKV507", says: /^(?!.*\.tmp)/ },
    { args: ["print", linear, "extra"], code: "QKV501" },
    { args: ["print", linear, "--with", "mask"], code: "QKV241", says: /no input "mask"[\s\S]*help: its inputs are x/ },
    { args: ["print", linear, "--set", "d={"], code: "QKV501", says: /no record/ },
    { args: ["print", linear, "--dims", "seq"], code: "QKV501" },
    { args: ["print", linear, "--dims", "seq=x"], code: "QKV501" },
    { args: ["print", linear, "--dims", "seq=-1"], code: "QKV501" },
    { args: ["print", linear, "--dims", "seq=1.5"], code: "QKV501" },
    { args: ["print", linear, "--dims", "seq=99999999999999999999"], code: "QKV501" },
    { args: ["print", linear, "--dims", "seq=1,seq=2"], code: "QKV501", says: /twice/ },
    { args: ["print", linear, "--dims", "length=1"], code: "QKV504", says: /length[\s\S]*help: it has seq/ },
    { args: ["run", linear, "--dims", "constructor=1"], code: "QKV504" },
    { args: ["compile", linear, "-o", out, "--dims", "length=1"], code: "QKV504" },
    { args: ["compare", linear, "--dims", "length=1"], code: "QKV504" },
    { args: ["compare", linear, "--sweep", "length=1,2"], code: "QKV504" },
    { args: ["compare", linear, "--sweep", "seq"], code: "QKV501" },
    { args: ["compare", linear, "--sweep", "seq=1,,2"], code: "QKV501" },
    { args: ["compare", linear, "--sweep", "seq=99999999999999999999"], code: "QKV501" },
    { args: ["compare", linear, "--sweep", "seq=0"], code: "QKV501" },
    { args: ["compare", linear, "--sweep", "seq=64..8"], code: "QKV501" },
    { args: ["compare", linear, "--sweep", "seq=8..64:0"], code: "QKV501" },
    { args: ["compare", linear, "--sweep", "seq=1..9999999:1"], code: "QKV501" },
    { args: ["compare", linear, "--sweep", "seq=8...64"], code: "QKV501" },
    { args: ["compare", linear, "--sweep", "seq=1,2", "--sweep", "seq=3"], code: "QKV501" },
    { args: ["compare", linear, "--rounds", "0", "--dims", "seq=4"], code: "QKV451" },
    { args: ["compare", linear, "--rounds", "x"], code: "QKV501" },
    { args: ["compare", linear, "--threads", "0", "--dims", "seq=4"], code: "QKV451" },
    { args: ["compare", linear, "--ep", "tpu"], code: "QKV501" },
    { args: ["print", linear, "--opset", "16"], code: "QKV501", says: /17 to 26/ },
    { args: ["print", linear, "--opset", "27"], code: "QKV501" },
    { args: ["print", linear, "--opset", "new"], code: "QKV501" },
    { args: ["print", linear, "--target", "tpu"], code: "QKV501", says: /ort-cpu/ },
    { args: ["print", linear, "--passes", "canonicalize"], code: "QKV301", says: /canonicalise/ },
    { args: ["print", linear, "--after", "nothing"], code: "QKV301" },
    { args: ["compile", linear, "-o", out, "--print-after", "nothing"], code: "QKV301" },
    { args: ["print", linear, "--set", "layers=2"], code: "QKV117", says: /settings are d/ },
    { args: ["print", linear, "--set", "d=wide"], code: "QKV118" },
    { args: ["print", linear, "--set", "d=0"], code: "QKV" },
    { args: ["print", linear, "--set", "d=1.5"], code: "QKV" },
    { args: ["print", linear, "--set", "=2"], code: "QKV501" },
    { args: ["print", linear, "--set", "d=[1,2"], code: "QKV501", says: /d=\[0,9,40\]/ },
    { args: ["print", linear, "--set", "d=[1,2]"], code: "QKV118" },
    { args: ["print", "models/multi-head.ts", "--set", "heads=7"], code: "QKV108" },
    { args: ["print", linear, "--set", "__proto__=2"], code: "QKV117" },
    { args: ["print", linear, "--seed", "-1"], code: "QKV501" },
    { args: ["explain", linear, "no-such-rule"], code: "QKV502" },
  ],
  weights: [
    { args: ["compile", linear, "-o", out, "--weights", at("absent.safetensors")], code: "QKV4[23]" },
    { args: ["compile", linear, "-o", out, "--weights", at("folder")], code: "QKV431" },
    { args: ["compile", linear, "-o", out, "--weights", at("not-safetensors")], code: "QKV42" },
    { args: ["compile", linear, "-o", out, "--weights", at("empty")], code: "QKV42" },
    { args: ["compile", linear, "-o", out, "--weights", at("huge-header")], code: "QKV42" },
    { args: ["compile", linear, "-o", out, "--weights", at("gap")], code: "QKV427" },
    { args: ["compile", linear, "-o", out, "--weights", at("wrong-shape")], code: "QKV430", says: /wv/ },
    {
      args: ["compile", linear, "-o", out, "--weights", at("misspelt")],
      code: "QKV430",
      says: /wv[\s\S]*vw[\s\S]*made for\n$/,
    },
    { args: ["run", "models/llama.ts", "--weights", at("bert")], code: "QKV438", says: /"model_type" is "bert"/ },
  ],
  inputs: [
    { args: ["run", linear, "--inputs", at("absent.json")], code: "QKV420" },
    { args: ["run", linear, "--inputs", at("folder")], code: "QKV446" },
    { args: ["run", linear, "--inputs", at("text.txt")], code: "QKV446" },
    { args: ["run", linear, "--inputs", at("bad.json")], code: "QKV447" },
    { args: ["run", linear, "--inputs", at("list.json")], code: "QKV447" },
    { args: ["run", linear, "--inputs", at("short.json")], code: "QKV448" },
    { args: ["run", linear, "--inputs", at("wrong-dims.json")], code: "QKV442" },
    { args: ["run", linear, "--inputs", at("wrong-type.json")], code: "QKV442" },
    { args: ["run", linear, "--inputs", at("other-input.json")], code: "QKV442" },
    { args: ["compare", linear, "--inputs", at("other-input.json")], code: "QKV(442|24)" },
    { args: ["compare", linear, "--inputs", at("wrong-dims.json")], code: "QKV(442|24)" },
  ],
  outputs: [
    { args: ["compile", linear, "-o", at("absent/out.onnx")], code: "QKV415" },
    { args: ["compile", linear, "-o", at("folder")], code: "QKV415" },
    { args: ["run", linear, "--dims", "seq=2", "--outputs", at("absent/y.json")], code: "QKV446" },
    { args: ["run", linear, "--dims", "seq=2", "--outputs", at("y.csv")], code: "QKV446" },
    { args: ["run", linear, "--dims", "seq=2", "--outputs", at("absent/y.safetensors")], code: "QKV4(46|36)" },
    { args: ["compare", linear, "--dims", "seq=2", "--json", at("absent/report.json")], code: "QKV507" },
    { args: ["compare", linear, "--json", at("folder")], code: "QKV507" },
    { args: ["compare", linear, "--against", at("absent.onnx"), "--dims", "seq=2"], code: "QKV4" },
    { args: ["compare", linear, "--against", at("text.txt"), "--dims", "seq=2"], code: "QKV4" },
    { args: ["demo", "one sentence", "-o", at("absent/out.onnx")], code: "QKV415" },
  ],
};

for (const [what, wrongs] of Object.entries(cases))
  describe(what, () => {
    test.each(wrongs.map((wrong) => [wrong.args.join(" ").replaceAll(folder, "TMP"), wrong] as const))(
      "%s",
      async (_, { args, code, says }) => {
        const before = readdirSync(folder).toSorted();
        const outcome = await qkv(args);
        expectMistake(outcome, new RegExp(`^${code}`));
        if (says) expect(outcome.stderr).toMatch(says);
        expect(readdirSync(folder).toSorted()).toEqual(before);
      },
    );
  });

test.skipIf(process.getuid?.() === 0)("a folder that may not be written to", async () => {
  mkdirSync(at("read-only"));
  chmodSync(at("read-only"), 0o555);
  expectMistake(await qkv(["compile", linear, "-o", at("read-only/out.onnx")]), "QKV415");
});
