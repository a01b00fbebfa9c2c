"""What ONNX Runtime's own tools make of an export, in 8 bits, 4 bits and half precision: how much attention `qkv compile` finds.

    python bench/peers/kinds.py causal eager torchscript gpt2 llama --keep DIR
    python bench/peers/quantised.py DIR/gpt2-*.onnx DIR/llama-*.onnx [--keep FOLDER]

Dynamic quantisation (`dynamic`), scales measured ahead as pairs of operators (`qdq`) or as operators of integers (`operators`), weights
in blocks of 4 bits (`blocks`), `float16`. Between the roundings of `qdq` and `operators` no attention is looked for. Fails where
`compile` does.
"""

import argparse
import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from found import folder, tell
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers.float16 import convert_float_to_float16

flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
flags.add_argument("files", nargs="+", type=Path)
flags.add_argument("--keep", help="keep the files here")


class Once(CalibrationDataReader):
    """One batch of random inputs."""

    def __init__(self, file):
        random = np.random.RandomState(0)
        feeds = {}
        for put in ort.InferenceSession(file).get_inputs():
            dims = [dim if isinstance(dim, int) else (2, 13)[min(axis, 1)] for axis, dim in enumerate(put.shape)]
            whole = "int64" in put.type
            drawn = np.ones(dims) if "mask" in put.name else random.randint(4, 90, dims) if whole else random.randn(*dims)
            feeds[put.name] = drawn.astype(np.int64 if whole else np.float32)
        self.feeds = iter([feeds])

    def get_next(self):
        return next(self.feeds, None)


def blocks(file, to):
    made = MatMulNBitsQuantizer(onnx.load(file), block_size=32, is_symmetric=True)
    made.process()
    made.model.save_model_to_file(to)


WAYS = {
    "dynamic": lambda file, to: quantize_dynamic(file, to, weight_type=QuantType.QInt8),
    "qdq": lambda file, to: quantize_static(file, to, Once(file), quant_format=QuantFormat.QDQ),
    "operators": lambda file, to: quantize_static(file, to, Once(file), quant_format=QuantFormat.QOperator, op_types_to_quantize=["MatMul", "Gemm"]),
    "blocks": blocks,
    "float16": lambda file, to: onnx.save(convert_float_to_float16(onnx.load(file), keep_io_types=True), to),
}


def main():
    given = flags.parse_args()
    with folder(given.keep) as place:
        right = [
            tell(f"{file.stem} {way}", place / f"{file.stem}-{way}.onnx", lambda to: make(str(file), str(to)))
            for file in given.files
            for way, make in WAYS.items()
        ]
    sys.exit(0 if all(right) else 1)


logging.disable(logging.WARNING)
main()
