"""Exports under ONNX Runtime's own optimiser and as `qkv compile` writes them: medians and their ratio, one line a file.

    python bench/peers/wide.py gpt2 eager dynamo gpt2.onnx --layers 2 --cache
    npx qkv compile gpt2.onnx -o faster.onnx
    python bench/peers/steps.py gpt2.onnx faster.onnx 1x1+0 1x1+127 1x1+1023 [--threads 1] [--seconds 2]

    python bench/peers/kinds.py causal eager dynamo --keep DIR
    python bench/peers/steps.py DIR 1x16 1x128 --seconds 0.3 [--least 0.97]

Two files, or a folder: every F.onnx with an F.out.onnx beside it, as `--keep` leaves them. BATCHxTOKENS+PAST; without a cache
1x1024. Sizes that a file leaves open are taken from there, others are its own. Outputs are bound, for copies of them would be a
tenth of what is measured; each file runs several times before the other does, with its own weights in the caches of the core.
A ratio below `--least` is marked, and the exit code is 1.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
flags.add_argument("what", nargs="+", help="two files or a folder, then shapes")
flags.add_argument("--threads", type=int, default=1)
flags.add_argument("--seconds", type=float, default=2)
flags.add_argument("--least", type=float, default=0)
given = flags.parse_args()

SHAPE = re.compile(r"(\d+)x(\d+)(?:\+(\d+))?")
TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": bool, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def open_session(file):
    options = ort.SessionOptions()
    options.intra_op_num_threads = given.threads
    options.log_severity_level = 4
    return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def dims_of(put, batch, tokens, past):
    """An open size is the batch on the first axis, and a length on others."""
    length = past if put.name.startswith("past") else tokens + past if put.name == "attention_mask" else tokens
    return [dim if isinstance(dim, int) else batch if axis == 0 else length for axis, dim in enumerate(put.shape)]


def feeds_of(session, *sizes):
    random = np.random.RandomState(0)
    feeds = {}
    for put in session.get_inputs():
        dims, dtype = dims_of(put, *sizes), TYPES.get(put.type, np.float32)
        if "mask" in put.name:
            drawn = np.ones(dims)
        elif np.issubdtype(dtype, np.integer):
            # A box of a page has its second corner where its first is.
            first = random.randint(4, 20, dims[:-1] + [1]) if put.name == "bbox" else random.randint(4, 100, dims)
            drawn = np.broadcast_to(first, dims)
        else:
            drawn = random.rand(*dims) - 0.5
        feeds[put.name] = np.ascontiguousarray(drawn.astype(dtype))
    return feeds


def bound(session, feeds, results):
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value))
    for output, result in zip(session.get_outputs(), results):
        binding.bind_ortvalue_output(output.name, ort.OrtValue.ortvalue_from_numpy(np.empty_like(result)))
    return binding


def once(session, binding):
    start = time.perf_counter()
    session.run_with_iobinding(binding)
    return time.perf_counter() - start


def medians(pairs):
    for pair in pairs:
        once(*pair)
    times = [[], []]
    end, turn = time.perf_counter() + given.seconds, 0
    while time.perf_counter() < end or turn < 9:
        for which in (0, 1) if turn % 2 else (1, 0):
            # The first brings the weights back.
            first = once(*pairs[which])
            times[which] += [once(*pairs[which]) for _ in range(max(1, int(0.004 / first)))]
        turn += 1
    return (float(np.median(each)) * 1e3 for each in times)


def said(sessions, shape):
    batch, tokens, past = (int(number or 0) for number in SHAPE.fullmatch(shape).groups())
    feeds = feeds_of(sessions[0], batch, tokens, past)
    results = [session.run(None, feeds) for session in sessions]
    error = max((np.abs(x - y).max() / (np.abs(x).max() or 1) for x, y in zip(*results) if x.size), default=0)
    theirs, ours = medians([(session, bound(session, feeds, results[0])) for session in sessions])
    mark = " <" if theirs / ours < given.least else ""
    return f"{shape}: {theirs / ours:.2f}{mark} ({theirs:.2f} / {ours:.2f} ms, relative error {error:.0e})"


paths = [Path(one) for one in given.what if not SHAPE.fullmatch(one)]
shapes = [one for one in given.what if SHAPE.fullmatch(one)]
if len(paths) == 1 and paths[0].is_dir():
    files = [(file, file.with_suffix(".out.onnx")) for file in sorted(paths[0].glob("*.onnx"))]
    files = [pair for pair in files if pair[1].exists()]
elif len(paths) == 2:
    files = [tuple(paths)]
else:
    flags.error("two files are compared, or those of one folder")
if not shapes:
    flags.error("which shapes? 1x16 is one sequence of 16 tokens")
slow = False
for file, compiled in files:
    lines = []
    try:
        sessions = [open_session(file), open_session(compiled)]
        lines = [said(sessions, shape) for shape in shapes]
    except Exception as error:
        lines.append(str(error).splitlines()[0][:160])
    slow |= any(" <" in line for line in lines)
    print("\n".join(lines) if len(paths) == 2 else f"{file.stem}: {', '.join(lines)}", flush=True)
sys.exit(1 if slow else 0)
