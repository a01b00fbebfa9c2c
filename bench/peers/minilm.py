"""How far outputs of sentence encoders are apart, at every optimisation level of the Python runtime."""

import argparse

import numpy as np
import onnxruntime as ort

LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def run(path: str, level: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("other", nargs="?", help="another file with some of the same outputs")
    given = parser.parse_args()

    rng = np.random.default_rng(0)
    lengths = [3, 17, 33]
    ids = np.zeros((len(lengths), max(lengths)), np.int64)
    mask = np.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = rng.integers(1000, 29000, length)
        mask[row, :length] = 1
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}

    expected = run(given.model, "disabled", feeds)
    print("| against | level | output | largest difference | largest value |")
    print("| --- | --- | --- | ---: | ---: |")
    for path in [given.model] + ([given.other] if given.other else []):
        for level in LEVELS:
            for name, value in run(path, level, feeds).items():
                if name not in expected:
                    continue
                real = mask.astype(bool) if value.ndim == 3 else slice(None)
                difference = np.abs(value[real] - expected[name][real]).max()
                print(f"| {path} | {level} | {name} | {difference:.1e} | {np.abs(value[real]).max():.2f} |")


if __name__ == "__main__":
    main()
