"""Quantizing an ONNX file with ranges from samples; knows onnxruntime's quantizer, and no technique."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.quant_utils import QuantFormat, QuantType
from onnxruntime.quantization.quantize import quantize_static

from kdbench.errors import DataError, TechniqueError, nearest
from kdbench.techniques import _onnx

Sample = dict[str, np.ndarray]
"""One input of the model: array by input name, batch 1."""

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
TYPES = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}


def quantize(
    source: Path, result: Path, samples: Sequence[Sample], method: str, activation_type: str, keep_float: Sequence[str]
) -> None:
    """Write `source` as a QDQ model: int8 weights per channel, activations of `activation_type`.

    Raises DataError for samples that are not finite or all one number, TechniqueError when a kept node does not
    exist or nothing was quantized.
    """
    _check_samples(samples)
    model = _onnx.load_for_quantizer(source)
    _check_nodes(model, keep_float)
    with _onnx.quiet():
        quantize_static(
            model,
            result,
            _Reader(samples),
            quant_format=QuantFormat.QDQ,
            activation_type=TYPES[activation_type],
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=METHODS[method],
            nodes_to_exclude=list(keep_float),
            extra_options=_options(method, symmetric=activation_type == "int8"),
        )
    if not _onnx.strip(result)["QuantizeLinear"]:
        raise TechniqueError("nothing was quantized: the file has no layer with an 8-bit kernel outside keep_float.")


def _options(method: str, symmetric: bool) -> dict[str, Any]:
    """symmetric: ranges around 0, without a zero point. Otherwise the half below 0 is not wasted after a ReLU."""
    options: dict[str, Any] = {"ActivationSymmetric": symmetric, "CalibTensorRangeSymmetric": symmetric}
    if method != "minmax":
        options["CalibStridedMinMax"] = 1  # histograms sample by sample: else every activation of every sample is held
    return options


def _check_samples(samples: Sequence[Sample]) -> None:
    for name in samples[0]:
        low = min(float(sample[name].min()) for sample in samples)
        high = max(float(sample[name].max()) for sample in samples)
        if not np.isfinite([low, high]).all():
            raise DataError(f"the calibration inputs '{name}' hold NaN or infinity; clean the training data.")
        if low == high:
            raise DataError(
                f"all {len(samples)} calibration inputs '{name}' hold the one number {low:g}, which gives no range; "
                "raise samples, or look at the training data."
            )


def _check_nodes(model: onnx.ModelProto, keep_float: Sequence[str]) -> None:
    names = [node.name for node in model.graph.node]
    for name in keep_float:
        if name not in names:
            raise TechniqueError(f"keep_float: the file has no node '{name}'. {nearest(name, names)}")


class _Reader(CalibrationDataReader):
    """The samples one by one, as the quantizer asks for them."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.rest = iter(samples)

    def get_next(self) -> Any:
        return next(self.rest, None)

    def __len__(self) -> int:
        return len(self.samples)

    def set_range(self, start_index: int, end_index: int) -> None:
        self.rest = iter(self.samples[start_index:end_index])
