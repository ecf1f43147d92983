"""A teacher's outputs on disk: the bytes that numpy would write, in any order, across a kill, and in smaller forms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import softmax

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Input, Output, SymbolicAxis, TaskDescription
from kdbench.protocols.stored_outputs import StoredOutputs
from kdbench.ragged import Ragged
from kdbench.stages import _output_table
from kdbench.stages._output_forms import OutputForm
from kdbench.stages._output_table import OutputTable
from kdbench.stages._stored_outputs import StoredTable

WHOLE, CPU = StoredOutputs(), torch.device("cpu")
CODES = np.array([3, 5, 8, 13])
NAMES = tuple("abcdef")
CLASSES = Output(axes=(2,), class_names=NAMES[:2])
PICTURES = TaskDescription(
    inputs=(Input(name="image", axes=(1, 2, 2)),), outputs=(CLASSES,), example_counts={"train": 20, "test": 2}
)
TOKENS = TaskDescription(
    inputs=(Input(name="ids", axes=("length",), dtype="int64"),),
    outputs=(Output(kind="token_classes", axes=("length", 6), class_names=NAMES, ignore=-1),),
    axes=(SymbolicAxis(name="length", lengths={"median": 2, "p95": 3, "longest": 3}),),
    example_counts={"train": 20, "test": 2},
)
LENGTHS = {3: 2, 5: 1, 8: 3, 13: 2}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_output_table, "CHECKPOINT_SECONDS", 0.0)


def fill(table: OutputTable, *codes: int) -> None:
    """Give code c the logits (c, -c), and note it."""
    index = torch.tensor(codes)
    table.put(np.array(codes), [torch.stack([index, -index], 1).float()], Batch((), (), index, index))
    table.save_now_and_then()


def logits(code: int) -> Tensor:
    return torch.randn(LENGTHS[code], 6, generator=torch.Generator().manual_seed(code))


def fill_tokens(table: OutputTable, *codes: int) -> None:
    lengths = torch.tensor([LENGTHS[code] for code in codes])
    padded = torch.full((len(codes), 3, 6), 99.0)
    for row, code in zip(padded, codes, strict=True):
        row[: LENGTHS[code]] = logits(code)
    index = torch.tensor(codes)
    table.put(np.array(codes), [padded], Batch((), (), index, index, {"length": lengths}))
    table.save_now_and_then()


def test_rows_in_any_order_are_the_file_that_numpy_writes(tmp_path: Path) -> None:
    table = OutputTable(PICTURES, CODES, tmp_path, WHOLE)
    fill(table, 13, 4, 5)
    fill(table, 8, 3, 5)
    table.end(probabilities=False)
    np.save(tmp_path / "expected.npy", np.stack([CODES, -CODES], 1).astype(np.float32))
    assert (tmp_path / "outputs0.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"outputs0.npy", "codes.npy", "expected.npy"}


def test_a_killed_stage_goes_on_from_the_rows_that_it_had(tmp_path: Path) -> None:
    killed = OutputTable(PICTURES, CODES, tmp_path, WHOLE)
    fill(killed, 5, 4)
    fill(killed, 13, 5)
    table = OutputTable(PICTURES, CODES, tmp_path, WHOLE)
    assert table.missing.tolist() == [3, 8]
    fill(table, 3, 8)
    table.end(probabilities=False)
    (found,) = StoredTable.open(tmp_path, PICTURES).outputs(np.arange(4), CPU)
    assert found.tolist() == [[3, -3], [5, -5], [8, -8], [13, -13]]


def test_a_checkpoint_whose_rows_are_gone_is_none(tmp_path: Path) -> None:
    fill(OutputTable(PICTURES, CODES, tmp_path, WHOLE), 3, 5)
    (tmp_path / "checkpoint-outputs0.npy").unlink()
    assert OutputTable(PICTURES, CODES, tmp_path, WHOLE).missing.tolist() == CODES.tolist()


@pytest.mark.parametrize("stored", [WHOLE, StoredOutputs(top_k=5)], ids=["whole", "top_k"])
def test_rows_of_unequal_length_go_on_behind_those_of_a_killed_stage(tmp_path: Path, stored: StoredOutputs) -> None:
    """All but one of the classes tell the last: its logit is the one that the others leave."""
    fill_tokens(OutputTable(TOKENS, CODES, tmp_path, stored), 3, 5)
    table = OutputTable(TOKENS, CODES, tmp_path, stored)
    assert table.missing.tolist() == [8, 13]
    fill_tokens(table, 8, 13)
    table.end(probabilities=False)
    found = StoredTable.open(tmp_path, TOKENS)
    assert found.varies
    assert all(isinstance(column, Ragged) for columns in found.columns for column in columns)
    (rows,) = found.outputs(np.array([3, 0, 2, 1]), CPU)
    assert rows.shape == (4, 3, 6)
    for row, code in zip(rows, (13, 3, 8, 5), strict=True):
        torch.testing.assert_close(row[: LENGTHS[code]], logits(code))


def test_the_largest_logits_keep_their_probabilities_and_the_others_share_the_rest() -> None:
    """By hand: logits log(8, 4, 2, 1, 1) have probabilities 1/2, 1/4, 1/8, 1/16, 1/16."""
    form = OutputForm(Output(axes=(5,), class_names=NAMES[:5]), StoredOutputs(top_k=2))
    given = torch.tensor([[2.0, 8.0, 1.0, 4.0, 1.0]]).log()
    (restored,) = form.unpacked(form.packed(given), CPU)
    assert restored.softmax(0).tolist() == pytest.approx([1 / 12, 1 / 2, 1 / 12, 1 / 4, 1 / 12])
    assert restored[[1, 3]].tolist() == given[0, [1, 3]].tolist()
    warm = softmax(restored / 4, 0)  # at another temperature the k logits are the teacher's still
    assert float(warm[1] / warm[3]) == pytest.approx(2 ** (1 / 4))
    assert float(warm[1] / warm[0]) == pytest.approx((8 / (4 / 3)) ** (1 / 4))


def test_a_class_at_each_place_is_packed_along_the_classes() -> None:
    maps = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    output, stored = Output(kind="dense_classes", axes=(6, 3, 4), class_names=NAMES), StoredOutputs(top_k=5)
    form = OutputForm(output, stored)
    numbers, classes = form.packed(maps)
    assert (numbers.shape, classes.shape) == ((2, 3, 4, 6), (2, 3, 4, 5))
    torch.testing.assert_close(form.unpacked([numbers, classes], CPU), maps)
    assert stored.row_bytes(PICTURES.model_copy(update={"outputs": (output,)})) * 2 == numbers.nbytes + classes.nbytes


def test_a_number_that_half_precision_does_not_hold_is_refused() -> None:
    form = OutputForm(CLASSES, StoredOutputs(precision="fp16"))
    assert form.unpacked(form.packed(torch.tensor([[-65504.0, 0.1]])), CPU).tolist() == [[-65504.0, 0.0999755859375]]
    with pytest.raises(TechniqueError, match=r"'logits' reaches 7e\+04, and half precision ends at 65,504"):
        form.packed(torch.tensor([[7e4, 0.0]]))
