"""Times of many exports under ONNX Runtime's own optimiser over those of what `qkv compile` made of them: one line a file.

    python bench/peers/kinds.py causal eager dynamo --keep DIR
    python bench/peers/ratios.py DIR 1x16 1x128 4x64 [--least 0.97] [--threads 1]

For every F.onnx with an F.out.onnx beside it, as `--keep` leaves them. BATCHxTOKENS+PAST, as in `steps.py`: sizes that a file
leaves open are taken from there, others are its own. Runs are interleaved and outputs bound; a ratio is one of medians. Below
`--least` a ratio is marked, and the exit code is 1.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
flags.add_argument("folder", type=Path)
flags.add_argument("shapes", nargs="+")
flags.add_argument("--least", type=float, default=0.97)
flags.add_argument("--threads", type=int, default=1)
flags.add_argument("--seconds", type=float, default=0.6)

TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": bool, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def open_session(file, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
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
            feeds[put.name] = np.ones(dims, dtype)
        elif np.issubdtype(dtype, np.integer):
            # A box of a page has its second corner where its first is.
            drawn = random.randint(4, 20, dims[:-1] + [1] if put.name == "bbox" else dims)
            feeds[put.name] = np.broadcast_to(drawn, dims).astype(dtype)
        else:
            feeds[put.name] = random.randn(*dims).astype(dtype)
    return feeds


def bound(session, feeds):
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value)))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding)


def medians(runs, seconds):
    for run in runs:
        run()
    start = time.perf_counter()
    runs[0]()
    # A measurement is a hundredth of a second or so: caches are warm with one model's weights then.
    times = max(1, int(0.01 / (time.perf_counter() - start)))
    found = [[] for _ in runs]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(found[0]) < 5:
        for run, list_ in zip(runs, found):
            run()
            start = time.perf_counter()
            for _ in range(times):
                run()
            list_.append((time.perf_counter() - start) / times)
    return [np.median(list_) for list_ in found]


def main():
    given = flags.parse_args()
    slow = False
    for file in sorted(given.folder.glob("*.onnx")):
        compiled = file.with_suffix(".out.onnx")
        if not compiled.exists():
            continue
        said = []
        try:
            sessions = [open_session(one, given.threads) for one in (file, compiled)]
            for shape in given.shapes:
                batch, tokens, past = (int(number or 0) for number in re.fullmatch(r"(\d+)x(\d+)(?:\+(\d+))?", shape).groups())
                feeds = feeds_of(sessions[0], batch, tokens, past)
                theirs, ours = medians([bound(session, feeds) for session in sessions], given.seconds)
                slow |= theirs / ours < given.least
                said.append(f"{shape} {theirs / ours:.2f}{' <' if theirs / ours < given.least else ''}")
        except Exception as error:
            said.append(str(error).splitlines()[0][:120])
        print(f"{file.stem}: {', '.join(said)}", flush=True)
    sys.exit(1 if slow else 0)


main()
