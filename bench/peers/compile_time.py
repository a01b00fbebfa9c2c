"""Seconds from a PyTorch encoder to an optimised ONNX file: export, then ONNX Runtime's optimiser for transformers."""

import argparse
import os
import tempfile
import time
import warnings

import onnx
import torch
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions


class Encoder(torch.nn.Module):
    """Embedding, then layers of attention and feed-forward with Add & Norm, as models/encoder.ts."""

    def __init__(self, layers: int, width: int, heads: int, vocabulary: int = 1000):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, width)
        layer = torch.nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.layers(self.embedding(ids))


def export(model: torch.nn.Module, ids: torch.Tensor, path: str, dynamo: bool) -> float:
    start = time.perf_counter()
    if dynamo:
        sizes = {"ids": {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq")}}
        torch.onnx.export(model, (ids,), path, dynamo=True, dynamic_shapes=sizes, verbose=False)
    else:
        axes = {"ids": {0: "batch", 1: "seq"}}
        torch.onnx.export(model, (ids,), path, dynamo=False, input_names=["ids"], dynamic_axes=axes)
    return time.perf_counter() - start


def optimise(path: str, width: int, heads: int) -> tuple[float, int]:
    start = time.perf_counter()
    options = FusionOptions("bert")
    result = optimizer.optimize_model(path, model_type="bert", num_heads=heads, hidden_size=width, optimization_options=options)
    return time.perf_counter() - start, len(result.model.graph.node)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")

    torch.manual_seed(0)
    model = Encoder(given.layers, given.width, given.heads).eval()
    ids = torch.zeros(2, 16, dtype=torch.int64)
    print(f"torch {torch.__version__}, onnx {onnx.__version__}, {given.layers} layers of {given.width}")
    print("| exporter | export, s | optimise, s | total, s | nodes exported | nodes optimised |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for dynamo in (True, False):
        name = "dynamo" if dynamo else "TorchScript"
        for _ in range(given.repeats):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "model.onnx")
                try:
                    exported = export(model, ids, path, dynamo)
                    before = len(onnx.load(path, load_external_data=False).graph.node)
                    optimised, after = optimise(path, given.width, given.heads)
                except Exception as error:  # An exporter that cannot is a result too.
                    print(f"| {name} | {type(error).__name__}: {str(error).splitlines()[0][:80]} | | | | |")
                    break
                print(f"| {name} | {exported:.2f} | {optimised:.2f} | {exported + optimised:.2f} | {before} | {after} |")


if __name__ == "__main__":
    main()
