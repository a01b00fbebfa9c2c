"""Steps of a decoder, as exported under ONNX Runtime's own optimiser and as `qkv compile` writes it: medians and their ratio.

    python bench/peers/wide.py gpt2 eager dynamo gpt2.onnx --layers 2 --cache
    npx qkv compile gpt2.onnx -o faster.onnx
    python bench/peers/steps.py gpt2.onnx faster.onnx 1x1+0 1x1+127 1x1+1023 [--threads 1] [--seconds 2]

BATCHxTOKENS+PAST; without a cache 1x1024. Outputs are bound, for copies of them would be a tenth of what is measured; each file
runs several times before the other does, with its own weights in the caches of the core.
"""

import argparse
import time

import numpy as np
import onnxruntime as ort

flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
flags.add_argument("file")
flags.add_argument("compiled")
flags.add_argument("shapes", nargs="+")
flags.add_argument("--threads", type=int, default=1)
flags.add_argument("--seconds", type=float, default=2)
given = flags.parse_args()


def open_session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = given.threads
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds_of(session, batch, tokens, past):
    random = np.random.RandomState(0)
    feeds = {}
    for put in session.get_inputs():
        if put.name == "input_ids":
            feeds[put.name] = random.randint(4, 100, (batch, tokens)).astype(np.int64)
        elif put.name == "attention_mask":
            feeds[put.name] = np.ones((batch, tokens + past), np.int64)
        else:
            dims = [batch, put.shape[1], past, put.shape[3]]
            feeds[put.name] = (random.rand(*dims) - 0.5).astype(np.float16 if put.type == "tensor(float16)" else np.float32)
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


sessions = [open_session(given.file), open_session(given.compiled)]
for shape in given.shapes:
    size, _, past = shape.partition("+")
    batch, tokens = map(int, size.split("x"))
    feeds = feeds_of(sessions[0], batch, tokens, int(past or 0))
    results = [session.run(None, feeds) for session in sessions]
    error = max(np.abs(x - y).max() / np.abs(x).max() for x, y in zip(*results) if x.size)
    pairs = [(session, bound(session, feeds, results[0])) for session in sessions]
    times = [[], []]
    for session, binding in pairs:
        once(session, binding)
    end, turn = time.perf_counter() + given.seconds, 0
    while time.perf_counter() < end or turn < 9:
        for which in (0, 1) if turn % 2 else (1, 0):
            # The first brings the weights back.
            first = once(*pairs[which])
            times[which] += [once(*pairs[which]) for _ in range(max(1, int(0.004 / first)))]
        turn += 1
    all_, ours = (float(np.median(each)) * 1e3 for each in times)
    print(f"{shape}: {all_ / ours:.2f} ({all_:.2f} / {ours:.2f} ms, relative error {error:.0e})", flush=True)
