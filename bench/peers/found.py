"""What `qkv compile` makes of an ONNX file: for the scripts that export many."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import onnx

ROOT = Path(__file__).parents[2]


def softmaxes(graph):
    inside = (attribute.g for node in graph.node for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH)
    return sum(node.op_type in ("Softmax", "Attention") for node in graph.node) + sum(map(softmaxes, inside))


def qkv(*rest):
    return subprocess.run(["node", ROOT / "dist/src/cli/main.js", *rest], capture_output=True, text=True)


def line_of(file):
    """What became of an export, and whether it compiles to the same."""
    compiled = qkv("compile", file, "-o", file.with_suffix(".out.onnx"))
    if compiled.returncode:
        return f"FAILS: {compiled.stderr.strip()[:400]}", False
    notes = [note for step in json.loads(qkv("explain", file, "--json").stdout) for note in step.get("notes", [])]
    found = sum(note.startswith("attention ") for note in notes)
    all_ = softmaxes(onnx.load(file, load_external_data=False).graph)
    misses = Counter(note.split(": ", 1)[1].split(";")[0] for note in notes if note.startswith("no attention "))
    text = f"{found} of {all_}" + "".join(f"; {count} x {reason}" for reason, count in misses.items())
    return text, True
