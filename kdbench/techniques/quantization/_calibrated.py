"""Quantizing an ONNX file with ranges from samples; knows onnxruntime's quantizer, and no technique."""

import copy
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, TensorsData, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantType, save_and_reload_model_with_shape_infer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from kdbench.errors import DataError, TechniqueError, nearest
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.techniques.quantization import _onnx

Sample = dict[str, np.ndarray]
"""Inputs of the model by name: one example, or a padded batch of examples of unequal length."""

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
TYPES = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}
OPERATORS = sorted({*QLinearOpsRegistry, *QDQRegistry})
"""All that the quantizer knows, as `quantize_static` takes them by default."""

BATCH = 32
"""Samples in one pass when outputs are compared."""


@dataclass(frozen=True)
class Scheme:
    """The choices of an 8-bit quantization."""

    method: str
    activation_type: str
    symmetric: bool = False
    per_channel: bool = True
    percentile: float = 99.999
    operators: tuple[str, ...] = tuple(OPERATORS)


def known_operators(named: tuple[str, ...]) -> tuple[str, ...]:
    """The operators that are named, or all. Raises TechniqueError for one that the quantizer does not know."""
    for name in named:
        if name not in OPERATORS:
            raise TechniqueError(f"operators: the quantizer knows no '{name}'. {nearest(name, OPERATORS)}")
    return named or tuple(OPERATORS)


class Quantizable:
    """A float file, calibrated once, from which any choice of layers can be quantized.

    Raises DataError for samples that are not finite or all one number; masks, lengths and ids are not looked at.
    """

    def __init__(self, source: Path, samples: Sequence[Sample], scheme: Scheme) -> None:
        with _onnx.quiet():
            self.model: onnx.ModelProto = save_and_reload_model_with_shape_infer(_onnx.load_for_quantizer(source))
        own = {value.name for value in self.model.graph.input}  # of several senses a file may take one alone
        self.samples = [{name: array for name, array in sample.items() if name in own} for sample in samples]
        _check_samples(self.samples)
        self.source, self.scheme = source, scheme
        with _onnx.quiet():
            self.ranges = _ranges(self.model, self.samples, scheme)

    def write(self, result: Path, exclude: Collection[str] = (), only: Collection[str] = ()) -> None:
        """The QDQ model: int8 weights; nodes in `exclude`, or all but those in `only`, stay as they are.

        Raises TechniqueError where no layer's weights became integers.
        """
        with _onnx.quiet():
            quantizer = QDQQuantizer(  # type: ignore[no-untyped-call]
                copy.deepcopy(self.model),
                self.scheme.per_channel,
                False,  # reduce_range: 7-bit weights, for processors whose 8-bit sums saturate
                QuantType.QInt8,
                TYPES[self.scheme.activation_type],
                self.ranges,
                list(only),
                list(exclude),
                list(self.scheme.operators),
                {"ActivationSymmetric": self.scheme.symmetric},
            )
            quantizer.quantize_model()  # type: ignore[no-untyped-call]
            quantizer.model.save_model_to_file(result)  # type: ignore[no-untyped-call]
        _onnx.strip(result)
        if not _onnx.integer_weights(onnx.load(result)):
            raise TechniqueError("nothing was quantized: no layer with constant weights is left to become integers.")

    def most_sensitive(self, count: int, exclude: Collection[str]) -> list[str]:
        """The `count` layers whose rounding alone moves the outputs most, the worst first.

        Each layer is quantized by itself, and the mean squared difference of the outputs to the float file's is taken
        over all samples. Of several outputs each counts in parts of its own mean square, so that units do not matter.
        It costs as many passes over the samples as there are layers. Raises TechniqueError where nothing would be left
        to quantize.
        """
        layers = [node.name for node in _onnx.layers(self.model) if node.name not in exclude]
        if count >= len(layers):
            raise TechniqueError(f"sensitive {count} leaves nothing to quantize: the file has {len(layers)} layers.")
        expected = self._outputs(self.source)
        errors = {name: self._error(name, expected) for name in layers}
        return sorted(layers, key=lambda name: -errors[name])[:count]

    def _error(self, layer: str, expected: list[np.ndarray]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "one.onnx"
            self.write(path, only=[layer])
            found = self._outputs(path)
        errors = [float(np.square(a.astype(np.float64) - b).mean()) for a, b in zip(found, expected, strict=True)]
        if len(errors) == 1:
            return errors[0]
        sizes = [float(np.square(output.astype(np.float64)).mean()) for output in expected]
        return sum(error / size for error, size in zip(errors, sizes, strict=True) if size > 0)

    def _outputs(self, path: Path) -> list[np.ndarray]:
        """Each output's numbers over all single examples, at their own lengths: (N, ...), or flat where they vary."""
        session = OnnxruntimeSession(str(path), SessionSpec())
        found = [session.run_checked(feed) for feed in _batches(self.samples)]
        same = [len({output.shape[1:] for output in outputs}) == 1 for outputs in zip(*found, strict=True)]
        return [
            np.concatenate(outputs if fits else [output.ravel() for output in outputs])
            for fits, outputs in zip(same, zip(*found, strict=True), strict=True)
        ]


def _batches(samples: Sequence[Sample]) -> Iterator[Sample]:
    """The single examples, those of one length together."""
    by_shape: dict[tuple[tuple[int, ...], ...], list[Sample]] = {}
    for sample in samples:
        if all(len(array) == 1 for array in sample.values()):
            by_shape.setdefault(tuple(array.shape for array in sample.values()), []).append(sample)
    for alike in by_shape.values():
        for first in range(0, len(alike), BATCH):
            part = alike[first : first + BATCH]
            yield {name: np.concatenate([sample[name] for sample in part]) for name in part[0]}


def _ranges(model: onnx.ModelProto, samples: Sequence[Sample], scheme: Scheme) -> TensorsData:
    """The range of every activation, by the library's calibrator.

    Raises TechniqueError where a histogram cannot hold it.
    """
    options: dict[str, Any] = {"symmetric": scheme.symmetric}
    if scheme.method == "percentile":
        options["percentile"] = scheme.percentile
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            list(scheme.operators),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=METHODS[scheme.method],
            extra_options=options,
        )
        # histograms sample by sample: else every activation of every sample is held
        for part in [samples] if scheme.method == "minmax" else [[sample] for sample in samples]:
            try:
                calibrator.collect_data(_Reader(part))
            except ValueError as error:
                if "Too many bins" not in str(error):
                    raise
                raise TechniqueError(
                    f"method {scheme.method} counts activations in bins, and one is too far from the others for that "
                    "(an attention mask of -3.4e38 is); say `operators: [MatMul, Gemm, Gather]`, or use "
                    "dynamic_quantization."
                ) from None
        found: TensorsData = calibrator.compute_data()
        return found


def _check_samples(samples: Sequence[Sample]) -> None:
    for name, first in samples[0].items():
        if first.dtype.kind != "f":
            continue
        low = min(float(sample[name].min()) for sample in samples)
        high = max(float(sample[name].max()) for sample in samples)
        if not np.isfinite([low, high]).all():
            raise DataError(f"the calibration inputs '{name}' hold NaN or infinity; clean the training data.")
        if low == high:
            raise DataError(
                f"all {len(samples)} calibration inputs '{name}' hold the one number {low:g}, which gives no range; "
                "raise samples, or look at the training data."
            )


class _Reader(CalibrationDataReader):
    """The samples one by one, as the calibrator asks for them."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.rest = iter(samples)

    def get_next(self) -> Any:
        return next(self.rest, None)
