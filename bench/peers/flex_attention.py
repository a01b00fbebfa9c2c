"""Variants of ours against PyTorch: the same outputs, and how long compiled FlexAttention takes for a window."""

import argparse
import math
import shlex
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import onnxruntime as ort
import torch
from safetensors.torch import load_file, save_file
from torch.nn.attention.flex_attention import AuxRequest, create_block_mask, flex_attention

# The comparison wants the plain sums, not the fused kernel.
warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")

ROOT = Path(__file__).parents[2]
BATCH, HEADS, WIDTH = 2, 4, 16


def causal(b, h, q, k):
    return q >= k


def window(reach):
    return lambda b, h, q, k: (q >= k) & (q - k <= reach)


def longformer(reach, count):
    return lambda b, h, q, k: ((q - k).abs() <= reach) | (q < count) | (k < count)


def documents(offsets):
    starts = torch.tensor(offsets)
    of = lambda i: torch.searchsorted(starts, i, right=True) - 1
    return lambda b, h, q, k: (of(q) == of(k)) & (q >= k)


def natten(width, height, kernel_width, kernel_height):
    def mask(b, h, q, k):
        rx, ry = kernel_width // 2, kernel_height // 2
        x, y = (q % width).clamp(rx, width - 1 - rx), (q // width).clamp(ry, height - 1 - ry)
        return ((x - k % width).abs() <= rx) & ((y - k // width).abs() <= ry)

    return mask


def morton(side, kernel):
    bits = side.bit_length() - 1
    every_second = lambda i: sum(((i >> (2 * bit)) & 1) << bit for bit in range(bits))

    def mask(b, h, q, k):
        r = kernel // 2
        x, y = (every_second(i).clamp(r, side - 1 - r) for i in (q, q >> 1))
        return ((x - every_second(k)).abs() <= r) & ((y - every_second(k >> 1)).abs() <= r)

    return mask


def sliding_tile_3d(canvas, kernel, tile):
    tiles = [n // t for n, t in zip(canvas, tile)]
    reach = [n // t for n, t in zip(kernel, tile)]

    def place(i):
        i = i // math.prod(tile)
        return i // (tiles[1] * tiles[2]), i // tiles[2] % tiles[1], i % tiles[2]

    def mask(b, h, q, k):
        seen = q >= 0
        for query, key, n, r in zip(place(q), place(k), tiles, reach):
            back, ahead = r // 2, r // 2 + r % 2 - 1
            centre = query.clamp(back, n - 1 - ahead)
            seen = seen & (key >= centre - back) & (key <= centre + ahead)
        return seen

    return mask


def flex(q, k, v, mask=None, score=None, **options):
    block = mask and create_block_mask(mask, None, None, q.shape[2], k.shape[2], device="cpu")
    return flex_attention(q, k, v, score_mod=score, block_mask=block, **options)


def t5_bucket(relative, buckets, furthest):
    """As in the T5 of Hugging Face, both directions."""
    buckets //= 2
    ahead = (relative > 0).long() * buckets
    n, exact = relative.abs(), buckets // 2
    far = exact + (torch.log(n.clamp(min=1) / exact) / math.log(furthest / exact) * (buckets - exact)).long()
    return ahead + torch.where(n < exact, n, far.clamp(max=buckets - 1))


def t5(q, k, v, weights):
    at = torch.arange
    bias = weights["relative_attention_bias.weight"][t5_bucket(at(k.shape[2])[None] - at(q.shape[2])[:, None], 32, 128)]
    return flex(q, k, v, score=lambda s, b, h, i, j: s + bias[i, j, h], scale=1.0)


def sinks(q, k, v, weights):
    """A key that stands for no token makes every sum of exponentials larger, and adds no value."""
    out, aux = flex(q, k, v, mask=window(5), return_aux=AuxRequest(lse=True))
    return out * torch.sigmoid(aux.lse - weights["sinks"][:, None])[..., None]


def guided(q, k, v, weights):
    near = lambda i, j: (j / k.shape[2] - i / q.shape[2]) ** 2
    return flex(q, k, v, score=lambda s, b, h, i, j: s - near(i, j) / (2 * 0.2**2))


def squared_relu(q, k, v, weights):
    scores = torch.relu(q @ k.mT / math.sqrt(WIDTH)) ** 2 / torch.arange(1, q.shape[2] + 1)[:, None]
    return scores.tril() @ v


def sigmoid(q, k, v, weights):
    return torch.sigmoid(q @ k.mT / math.sqrt(WIDTH) - math.log(k.shape[2])) @ v


def masked(mask):
    return lambda q, k, v, weights: flex(q, k, v, mask=mask)


def scored(score):
    return lambda q, k, v, weights: flex(q, k, v, mask=causal, score=score)


def sandwich(s, b, h, q, k):
    waves = sum(torch.cos((q - k) * 10000 ** (-2 * i / 128)) for i in range(64))
    return s + waves * HEADS / (8 * (h + 1))


# Name of the model, its settings, the lengths of queries and keys, parameters, the reference.
VARIANTS = [
    ("causal", {"keys": "keys"}, [(17, 17), (65, 257), (1025, 1025)], {}, masked(causal)),
    ("sliding-window", {"window": 5}, [(17, 17), (257, 257)], {}, masked(window(5))),
    ("sliding-window", {"window": 128}, [(1025, 1025)], {}, masked(window(128))),
    ("local", {"reach": 64}, [(1025, 1025)], {}, masked(lambda b, h, q, k: (q - k).abs() <= 64)),
    ("longformer", {"reach": 32, "globals": 4}, [(1025, 1025)], {}, masked(longformer(32, 4))),
    ("documents", {"offsets": [0, 9, 10, 40]}, [(65, 65), (1025, 1025)], {}, masked(documents([0, 9, 10, 40]))),
    ("prefix-lm", {"length": 9}, [(33, 33)], {}, masked(lambda b, h, q, k: (k < 9) | (q >= k))),
    (
        "natten",
        {"width": 13, "height": 5, "kernelWidth": 5, "kernelHeight": 3},
        [(65, 65)],
        {},
        masked(natten(13, 5, 5, 3)),
    ),
    ("morton-natten", {"side": 16, "kernel": 5}, [(256, 256)], {}, masked(morton(16, 5))),
    (
        "sliding-tile-3d",
        {"canvas": [4, 6, 6], "kernel": [2, 6, 2], "tile": [2, 2, 2]},
        [(144, 144)],
        {},
        masked(sliding_tile_3d([4, 6, 6], [2, 6, 2], [2, 2, 2])),
    ),
    ("alibi", {}, [(65, 65), (1025, 1025)], {}, scored(lambda s, b, h, q, k: s + (k - q) * torch.exp2(-8.0 * (h + 1) / HEADS))),
    ("soft-cap", {"cap": 2}, [(65, 65), (1025, 1025)], {}, scored(lambda s, b, h, q, k: 2 * torch.tanh(s / 2))),
    ("sandwich", {}, [(65, 65)], {}, scored(sandwich)),
    ("t5-bias", {"keys": "keys"}, [(33, 257), (257, 33)], {"relative_attention_bias.weight": (32, HEADS)}, t5),
    ("attention-sinks", {"window": 5}, [(65, 65)], {"sinks": (HEADS,)}, sinks),
    ("guided-attention", {}, [(33, 65), (65, 17)], {}, guided),
    ("sigmoid-attention", {"keys": "keys"}, [(33, 65)], {}, sigmoid),
    ("activation", {}, [(65, 65)], {}, squared_relu),
]


def ours(qkv, name, settings, inputs, weights, folder):
    save_file(inputs, folder / "inputs.safetensors")
    pairs = [f"{key}={str(value).replace(' ', '')}" for key, value in {"heads": HEADS, "d": WIDTH, **settings}.items()]
    command = [*qkv, "run", f"models/variants/{name}.ts", "--set", ",".join(pairs), "--no-types"]
    command += ["--inputs", str(folder / "inputs.safetensors"), "--outputs", str(folder / "outputs.safetensors")]
    if weights:
        save_file(weights, folder / "weights.safetensors")
        command += ["--weights", str(folder / "weights.safetensors")]
    subprocess.run(command, check=True)
    return load_file(folder / "outputs.safetensors")["o"]


def check(qkv):
    print("| variant | queries | keys | largest difference | largest value |")
    print("| --- | ---: | ---: | ---: | ---: |")
    worst = 0.0
    for name, settings, lengths, parameters, reference in VARIANTS:
        for queries, keys in lengths:
            torch.manual_seed(queries * keys)
            inputs = {"q": torch.randn(BATCH, HEADS, queries, WIDTH)}
            inputs |= {part: torch.randn(BATCH, HEADS, keys, WIDTH) for part in ("k", "v")}
            weights = {part: torch.randn(shape) for part, shape in parameters.items()}
            with tempfile.TemporaryDirectory() as folder:
                found = ours(qkv, name, settings, inputs, weights, Path(folder))
            expected = reference(*inputs.values(), weights)
            difference = (found - expected).abs().max().item()
            print(f"| {name} | {queries} | {keys} | {difference:.1e} | {expected.abs().max():.2f} |", flush=True)
            worst = max(worst, difference if math.isfinite(difference) else math.inf)
    if worst > 1e-4:
        raise SystemExit(f"outputs differ by {worst:.1e}")


def medians(runs, rounds):
    """Milliseconds of each, run in turns; a pause lets threads that wait for more work go to sleep."""
    times = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            time.sleep(0.05)
            start = time.perf_counter()
            run()
            if turn > 1:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in times.items()}


def session(qkv, reach, length, heads, width, folder):
    file = folder / "window.onnx"
    settings = f"heads={heads},d={width},window={reach}"
    command = ["compile", "models/variants/sliding-window.ts", "-o", file, "--set", settings, "--dims", f"batch=1,seq={length}"]
    subprocess.run([*qkv, *command, "--no-check"], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def measure(qkv, reach, length, heads, width, rounds):
    q, k, v = (torch.randn(1, heads, length, width) for _ in range(3))
    mask = window(reach)
    block = create_block_mask(mask, None, None, length, length, device="cpu")
    compiled = torch.compile(flex_attention)
    at = torch.arange(length)
    dense = mask(0, 0, at[:, None], at[None])
    sdpa = torch.nn.functional.scaled_dot_product_attention
    expected = sdpa(q, k, v, attn_mask=dense)
    feeds = {name: tensor.numpy() for name, tensor in {"q": q, "k": k, "v": v}.items()}
    with tempfile.TemporaryDirectory() as folder:
        loaded = session(qkv, reach, length, heads, width, Path(folder))
    runs = {
        "qkv": lambda: loaded.run(None, feeds)[0],
        "FlexAttention, compiled": lambda: compiled(q, k, v, block_mask=block),
        "scaled_dot_product_attention, causal": lambda: sdpa(q, k, v, is_causal=True),
        "scaled_dot_product_attention, the window as a mask": lambda: sdpa(q, k, v, attn_mask=dense),
    }
    differences = [abs(torch.as_tensor(runs[name]()) - expected).max().item() for name in list(runs)[:2]]
    print(f"window {reach}, {length} tokens, {heads} heads of {width}, {torch.get_num_threads()} threads")
    print(f"outputs of qkv differ by {differences[0]:.1e}, those of FlexAttention by {differences[1]:.1e}\n")
    print("| | ms | ÷ qkv |\n| --- | ---: | ---: |")
    found = medians(runs, rounds)
    for name, each in found.items():
        print(f"| {name} | {each:.1f} | {each / found['qkv']:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--qkv", default="npx qkv", help="how to call qkv")
    parser.add_argument("--time", action="store_true", help="measure instead of compare")
    for name, default in {"window": 256, "seq": 4096, "heads": 8, "d": 64, "rounds": 20}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if given.time:
        measure(shlex.split(given.qkv), given.window, given.seq, given.heads, given.d, given.rounds)
    else:
        check(shlex.split(given.qkv))


if __name__ == "__main__":
    main()
