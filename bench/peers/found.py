"""What `qkv compile` makes of an ONNX file: for the scripts that export many."""

import json
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager
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


def tell(name, file, make):
    """Makes a file where it is not there, and prints what becomes of it: false where it does not compile to the same."""
    try:
        if not file.exists():
            make(file)
    except Exception as error:
        print(f"{name}: not made: {str(error).splitlines()[0][:160]}", flush=True)
        return True
    said, same = line_of(file)
    print(f"{name}: {said}", flush=True)
    return same


@contextmanager
def folder(keep):
    """The folder to keep files in, or one that is gone afterwards."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(keep or place)
        path.mkdir(parents=True, exist_ok=True)
        yield path
