"""What the techniques on ONNX files share, before and after onnxruntime's quantizer; knows onnx, not torch."""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization.quant_utils import add_pre_process_metadata


def load_for_quantizer(path: Path) -> onnx.ModelProto:
    """The graph of a file without stored shapes, marked as ready.

    The exporter stores shapes of weights too, and the quantizer, which transposes weights, trips over those; it
    infers the shapes it needs by itself. The mark keeps it from advising, on the root logger, a preparation
    (constant folding, BatchNorm folding, shapes) that torch's exporter has done.
    """
    model = onnx.load(path)
    del model.graph.value_info[:]
    add_pre_process_metadata(model)
    return model


def strip(path: Path) -> Counter[str]:
    """Take the quantizer's notes out of the file that it wrote; how many nodes of each type are in it."""
    model = onnx.load(path)
    del model.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save(model, path)
    return Counter(node.op_type for node in model.graph.node)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the quantizer prints; and it cannot set the root logger up, as its first message otherwise does."""
    root, nowhere = logging.getLogger(), logging.NullHandler()
    root.addHandler(nowhere)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.removeHandler(nowhere)
