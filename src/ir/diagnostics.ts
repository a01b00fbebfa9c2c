/** A place in the user's own source. Lines and columns count from 1. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Column after the last character of the place, when known. */
  readonly endColumn?: number;
}

/** Process exit codes of the command line: 2 the user's mistake, 3 a limit, 4 verification failed, 70 our bug. */
export type ExitCode = 2 | 3 | 4 | 70;

const code = (title: string, exit: ExitCode = 2) => ({ title, exit });

/** Every error the project can report. 1xx declaring, 2xx IR, 3xx passes, 4xx backends, 5xx command line, 9xx our bugs. */
export const diagnostics = {
  QKV101: code("not a dimension or size"),
  QKV102: code("name that cannot be used"),
  QKV103: code("name declared twice"),
  QKV104: code("declared outside a model"),
  QKV105: code("tensor of another build"),
  QKV106: code("not a tensor"),
  QKV107: code("dimensions that do not match"),
  QKV108: code("heads or parts that do not divide"),
  QKV109: code("element types that do not match"),
  QKV110: code("axes that do not match"),
  QKV111: code("mask or bias that does not fit"),
  QKV112: code("positions need an even width"),
  QKV113: code("model without outputs"),
  QKV114: code("output that is no tensor"),
  QKV115: code("the body of a model threw"),
  QKV116: code("the body of a model answers a promise"),
  QKV117: code("unknown setting"),
  QKV118: code("setting of the wrong kind"),
  QKV119: code("tensor used as a number"),
  QKV120: code("unknown or impossible option"),
  QKV121: code("ragged constant"),
  QKV122: code("malformed einsum"),
  QKV123: code("model with too many nodes", 3),
  QKV124: code("malformed rearrangement"),
  QKV130: code("model file cannot be read"),
  QKV131: code("syntax error in a model file"),
  QKV132: code("model file without a default export"),
  QKV133: code("default export that is no model"),
  QKV134: code("a model file threw while loading"),
  QKV135: code("a model file did not finish loading", 3),
  QKV136: code("type error in a model file"),
  QKV137: code("a model file imports what is not there"),
  QKV138: code("not a model file"),
  QKV140: code("not a function whose source can be read"),
  QKV141: code("name that a mask or score function cannot see"),
  QKV142: code("statement that has no formula"),
  QKV143: code("expression that has no formula"),
  QKV144: code("call that has no formula"),
  QKV145: code("assignment to what lies outside of the function"),
  QKV146: code("mask or score function that answers something else"),
  QKV147: code("loop whose bounds are not known"),
  QKV148: code("index outside of a table"),
  QKV149: code("table or tensor indexed wrongly"),
  QKV150: code("truth and numbers mixed"),
  QKV151: code("captured value that is no number"),
  QKV152: code("mask or score function too large", 3),
  QKV153: code("mask or score function with other parameters"),
  QKV154: code("mask or score function that threw"),
  QKV201: code("bytes are not a whole number of elements"),
  QKV202: code("tensor data does not match its dims"),
  QKV203: code("not a dimension"),
  QKV204: code("division by zero in a dimension"),
  QKV205: code("dimension without a value"),
  QKV210: code("a constraint of an op is broken"),
  QKV211: code("unknown op"),
  QKV212: code("missing, unknown or mistyped attribute"),
  QKV213: code("wrong number of operands"),
  QKV214: code("not a contraction"),
  QKV220: code("syntax of the text form"),
  QKV221: code("name undefined or defined twice in the text form"),
  QKV222: code("type in the text form is not the inferred one"),
  QKV223: code("constant of the text form whose data is not at hand"),
  QKV224: code("text form nested too deeply", 3),
  QKV225: code("text of an index formula that cannot be read"),
  QKV230: code("graph whose types do not follow from its ops"),
  QKV231: code("graph whose operands do not come first"),
  QKV232: code("graph whose inputs are not input nodes"),
  QKV233: code("name used twice in a graph"),
  QKV234: code("name a file cannot carry"),
  QKV235: code("subgraph that reaches outside itself"),
  QKV236: code("symbol that no input binds"),
  QKV237: code("negative dimension"),
  QKV238: code("tensor too large", 3),
  QKV239: code("graphs nested too deeply", 3),
  QKV240: code("input not given"),
  QKV241: code("no such input"),
  QKV242: code("tensor of another type than declared"),
  QKV243: code("parameter without weights"),
  QKV244: code("tensor too large for the reference evaluation", 3),
  QKV245: code("dimension negative in this run"),
  QKV246: code("operators only the runtime can run"),
  QKV248: code("length of a mask that is no count"),
  QKV301: code("unknown pass"),
  QKV302: code("a rewrite does not come to an end", 70),
  QKV303: code("a rewrite rule is malformed", 70),
  QKV305: code("a rewrite changed a type", 70),
  QKV401: code("malformed ONNX bytes"),
  QKV402: code("incomplete ONNX model"),
  QKV403: code("unsupported ONNX version"),
  QKV404: code("ONNX tensor data does not match its type and dims"),
  QKV405: code("unknown ONNX element type"),
  QKV406: code("invalid ONNX dims"),
  QKV407: code("malformed ONNX attribute"),
  QKV408: code("ONNX model nested too deeply", 3),
  QKV409: code("ONNX model exceeds a limit", 3),
  QKV410: code("invalid reference to external data"),
  QKV411: code("external data leaves the model's folder"),
  QKV412: code("external data outside its file"),
  QKV413: code("unreadable model file"),
  QKV414: code("ONNX model too large for one file", 3),
  QKV415: code("model cannot be written there"),
  QKV416: code("value cannot be written as ONNX"),
  QKV417: code("operators of an opaque node that cannot be read"),
  QKV418: code("ONNX value of a type that is not ours"),
  QKV420: code("a weights file cannot be opened or read"),
  QKV421: code("a weights file changed while it was read"),
  QKV422: code("a safetensors header length does not fit the file"),
  QKV423: code("a header or JSON file is not well-formed"),
  QKV424: code("a key occurs twice in one JSON object"),
  QKV425: code("a safetensors tensor entry is malformed"),
  QKV426: code("a safetensors element type is not supported"),
  QKV427: code("safetensors data offsets do not tile the data"),
  QKV428: code("safetensors metadata is not a map of strings"),
  QKV429: code("a weights file exceeds a limit", 3),
  QKV430: code("weights do not fit the model"),
  QKV431: code("a checkpoint folder is not usable"),
  QKV432: code("a checkpoint index and its shards disagree"),
  QKV433: code("config.json is not usable"),
  QKV434: code("weights overflow the declared element type"),
  QKV435: code("no such tensor among the weights"),
  QKV436: code("a safetensors file cannot be written"),
  QKV438: code("configuration that the model has no part for"),
  QKV440: code("execution provider unavailable"),
  QKV441: code("the runtime refused the model"),
  QKV442: code("inputs do not match the model"),
  QKV443: code("the runtime failed while running"),
  QKV444: code("element type the runtime's binding cannot carry"),
  QKV445: code("tensor name the runtime's binding cannot carry"),
  QKV446: code("tensor file cannot be read or written"),
  QKV447: code("malformed JSON"),
  QKV448: code("malformed tensors in JSON"),
  QKV449: code("outputs cannot be compared", 4),
  QKV450: code("the measuring process failed", 3),
  QKV451: code("bad option for inputs or measurements"),
  QKV452: code("the runtime cannot be loaded"),
  QKV453: code("random input too large", 3),
  QKV454: code("too little memory to run", 3),
  QKV460: code("op without a form in ONNX"),
  QKV461: code("input or output name that ONNX cannot hold"),
  QKV462: code("dimension that no input gives"),
  QKV463: code("weight of another shape than declared"),
  QKV464: code("malformed branch", 70),
  QKV465: code("unsupported opset"),
  QKV466: code("operator of a file that no such opset has"),
  QKV501: code("an option cannot be read"),
  QKV502: code("nothing of that name was considered"),
  QKV503: code("verification failed", 4),
  QKV504: code("no such dimension"),
  QKV505: code("unknown target"),
  QKV506: code("outputs differ", 4),
  QKV507: code("a report cannot be written"),
  QKV508: code("a needed package is missing"),
  QKV509: code("an empty input to Einsum"),
  QKV510: code("a mask that cannot be drawn"),
  QKV511: code("no padding mask"),
  QKV512: code("nothing to reduce"),
  QKV513: code("too large to verify", 3),
  QKV901: code("internal invariant broken", 70),
} as const;

export type DiagnosticCode = keyof typeof diagnostics;

export interface DiagnosticDetails {
  readonly location?: SourceLocation;
  /** Facts worth seeing beside the message: operand types, the constraint's text. One line each. */
  readonly notes?: readonly string[];
  /** What to do about it. */
  readonly help?: string;
  /** The option of the call it is about, which is then shown. */
  readonly option?: string;
}

/** An error with a code from the table. Everything thrown at a user is one of these. */
export class QkvError extends Error {
  readonly code: DiagnosticCode;
  readonly details: DiagnosticDetails;

  constructor(code: DiagnosticCode, message: string, details: DiagnosticDetails = {}) {
    super(message);
    this.name = "QkvError";
    this.code = code;
    this.details = details;
  }

  get exitCode(): ExitCode {
    return diagnostics[this.code].exit;
  }
}

export function fail(code: DiagnosticCode, message: string, details?: DiagnosticDetails): never {
  throw new QkvError(code, message, details);
}

/** Asserts what must hold whatever the user did; a failure is our bug. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) fail("QKV901", message);
}

export const assertNever = (value: never): never => fail("QKV901", `unexpected ${JSON.stringify(value)}`);
