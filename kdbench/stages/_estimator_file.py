"""An estimator as an ONNX file: written, compared with the estimator itself, counted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from torch import Tensor

from kdbench.errors import ExportError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.models.columns import estimator_feature_count, estimator_features
from kdbench.models.estimator_graphs import whole
from kdbench.models.fitted_estimators import Fitted
from kdbench.protocols import TaskDescription
from kdbench.stages.work import Fact

TOLERANCE = 1e-3
"""Largest difference of scores allowed, relative to the largest score (at least 1); the same as for networks."""
TIPPED = 0.05
"""Share of examples whose scores may differ by more: trees and neighbours are step functions, and an input that float32
rounds to the other side of a threshold, or one of two neighbours equally far away, tips an example to the next step.
Digits, whose pixels are whole numbers, have such neighbours for one example in sixty."""
DISAGREEING = 0.01
"""Share of examples for which the file may decide on another class."""


def write(fitted: Fitted, task: TaskDescription, path: Path, opset: int) -> None:
    """One file with the task's inputs, a dynamic batch axis and its output, (B, classes) or (B, values).

    The scores of trees and neighbours are means of what was taught (mostly probabilities), those of a linear model are
    logits, those of support vector machines margins.
    """
    onnx.save(whole(fitted.graph(estimator_feature_count("an estimator", task), opset), task, opset), path)
    onnx.checker.check_model(path, full_check=True)


def answer(fitted: Fitted, task: TaskDescription, inputs: Sequence[Tensor]) -> np.ndarray:
    """The task's inputs, (B, ...) each -> (B, classes)."""
    return fitted.scores(estimator_features(task, inputs).numpy())


def parity(fitted: Fitted, path: Path, task: TaskDescription, inputs: Sequence[Tensor]) -> float:
    """The largest difference of scores among the examples that do not tip; at batches of 1, 5 and all of `inputs`.

    Raises ExportError where more than TIPPED of them differ by more than TOLERANCE, or more than DISAGREEING are
    decided otherwise.
    """
    session = OnnxruntimeSession(str(path), SessionSpec())
    worst = 0.0
    for batch in (1, 5, len(inputs[0])):
        some = [tensor[:batch] for tensor in inputs]
        expected = answer(fitted, task, some)
        got = session.run_checked({name: t.numpy() for name, t in zip(task.input_names, some, strict=True)})[0]
        if got.shape != expected.shape:
            raise ExportError(f"at batch {batch} the file gives shape {got.shape}, the estimator {expected.shape}.")
        worst = max(worst, difference(got, expected, task.outputs[0].kind))
    return worst


def difference(got: np.ndarray, expected: np.ndarray, kind: str = "classes") -> float:
    """The largest difference of scores among examples that do not tip. Raises ExportError like `parity`.

    Values decide nothing, so that of them only differences count.
    """
    each = np.abs(got - expected).max(1)
    same = each <= TOLERANCE * max(1.0, float(np.abs(expected).max()))
    decided = (got.argmax(1) == expected.argmax(1)) | (kind != "classes")
    if (~same).mean() > TIPPED or (~decided).mean() > DISAGREEING:
        raise ExportError(
            f"of {len(got)} examples the file scores {(~same).sum()} otherwise than the estimator, by up to "
            f"{each.max():.3g}, and decides {(~decided).sum()} otherwise."
        )
    return float(each[same].max(initial=0.0))


def counts(fitted: Fitted) -> Fact:
    """The numbers that were learnt (`Fitted.numbers`), those that are not zero, multiply-accumulates of one example."""
    numbers = fitted.numbers()
    macs = {} if fitted.mac_count is None else {"mac_count": fitted.mac_count}
    return {
        "parameter_count": sum(array.size for array in numbers),
        "nonzero_parameter_count": sum(int(np.count_nonzero(array)) for array in numbers),
        **macs,
        "mac_rule": fitted.mac_rule,
    }
