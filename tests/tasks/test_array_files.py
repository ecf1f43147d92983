import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kdbench.errors import DataError
from kdbench.protocols import TaskDescription
from kdbench.ragged import Ragged
from kdbench.tasks.array_files import ArrayFiles
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.batches import plain_batches
from kdbench.tasks.checks import check_targets
from kdbench.testing import check_task

CLASSES = {"label": {"kind": "classes"}}
SIGNALS = {"signal": {}}


def _arrays(count: int = 40) -> dict[str, Any]:
    random = np.random.default_rng(count)
    return {"signal": random.normal(3, 2, (count, 2, 8)), "label": np.arange(count) % 3}


def _saved(folder: Path, count: int = 40, name: str = "all.npz", **more: Any) -> str:
    arrays = {**_arrays(count), **more}
    np.savez(folder / name, **{key: array for key, array in arrays.items() if array is not None})
    return str(folder / name)


def _task(file: str, **fields: Any) -> ArrayFiles:
    given = {"inputs": SIGNALS, "outputs": CLASSES, **({} if "train" in fields else {"file": file}), **fields}
    return ArrayFiles.from_fields(given)


def _decoded(task: ArrayFiles, out: Path) -> tuple[ArrayData, TaskDescription]:
    out.mkdir()
    description = task.decode(out)
    data = ArrayData.open(out, TaskDescription.model_validate_json(description.model_dump_json()))
    for split in description.example_counts:
        check_targets(data.split(split), split, description)
    return data, description


def _refused(task: ArrayFiles, out: Path) -> str:
    out.mkdir(exist_ok=True)
    with pytest.raises(DataError) as refusal:
        task.decode(out)
    return str(refusal.value)


def _wrong(**fields: Any) -> str:
    with pytest.raises(ValidationError) as refusal:
        ArrayFiles.from_fields({"file": "all.npz", "inputs": SIGNALS, "outputs": CLASSES, **fields})
    return str(refusal.value)


def test_one_file_is_shared_out_in_equal_proportions_of_classes(tmp_path: Path) -> None:
    task = _task(_saved(tmp_path, 60), validation_fraction=0.1, test_fraction=0.2)
    data, description = _decoded(task, tmp_path / "out")
    assert description.example_counts == {"train": 42, "validation": 6, "test": 12}
    assert {split: np.bincount(data.targets(split)).tolist() for split in data.splits} == {
        **{"train": [14, 14, 14], "validation": [2, 2, 2], "test": [4, 4, 4]}
    }
    assert description.class_names == ("0", "1", "2")
    assert description.validation_origin == "train"


def test_a_model_gets_the_numbers_as_they_are_unless_scaling_is_asked_for(tmp_path: Path) -> None:
    file = _saved(tmp_path)
    data, description = _decoded(_task(file, split_seed=1), tmp_path / "out")
    (batch,) = plain_batches(data, "train", 64, torch.device("cpu"))
    given = np.sort(_arrays()["signal"].astype(np.float32).ravel())
    assert np.isin(batch.inputs[0].numpy().ravel(), given).all()
    assert description.inputs[0].preprocessing.model_dump() == {"scale": 1.0, "mean": (0.0,), "std": (1.0,)}


def test_standardized_inputs_have_mean_0_and_deviation_1_over_the_training_split(tmp_path: Path) -> None:
    task = _task(_saved(tmp_path), inputs={"signal": {"standardize": True}})
    data, _ = _decoded(task, tmp_path / "out")
    (batch,) = plain_batches(data, "train", 64, torch.device("cpu"))
    np.testing.assert_allclose(batch.inputs[0].mean((0, 2)), [0, 0], atol=1e-5)
    np.testing.assert_allclose(batch.inputs[0].std((0, 2), correction=0), [1, 1], atol=1e-5)


def test_files_of_their_own_are_the_splits_and_validation_comes_from_train(tmp_path: Path) -> None:
    train, test = _saved(tmp_path, 30, "train.npz"), _saved(tmp_path, 12, "test.npz")
    data, description = _decoded(_task("", train=train, test=test), tmp_path / "out")
    assert description.example_counts == {"train": 27, "validation": 3, "test": 12}
    np.testing.assert_array_equal(data.inputs("test")[0], _arrays(12)["signal"].astype(np.float32))
    own = _task("", train=train, test=test, validation=test)
    _, described = _decoded(own, tmp_path / "own")
    assert described.example_counts == {"train": 30, "validation": 12, "test": 12}
    assert (described.validation_origin, description.validation_origin) == ("own", "train")


def test_a_folder_of_npy_files_is_read_like_an_npz(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, array in _arrays().items():
        np.save(folder / f"{name}.npy", array)
    data, _ = _decoded(_task(str(folder)), tmp_path / "out")
    other, _ = _decoded(_task(_saved(tmp_path)), tmp_path / "other")
    np.testing.assert_array_equal(data.inputs("test")[0], other.inputs("test")[0])


def test_a_key_says_where_an_array_is_and_texts_become_classes(tmp_path: Path) -> None:
    names = np.array(["oak", "ash", "elm"])[np.arange(40) % 3]
    task = _task(
        _saved(tmp_path, species=names, x=_arrays()["signal"]),
        inputs={"wave": {"key": "x"}},
        outputs={"tree": {"kind": "classes", "key": "species"}},
    )
    data, description = _decoded(task, tmp_path / "out")
    assert description.class_names == ("ash", "elm", "oak")
    assert description.input_names == ("wave",)
    kept = {tuple(row.ravel()): label for row, label in zip(_arrays()["signal"].astype(np.float32), names, strict=True)}
    for row, target in zip(data.inputs("test")[0], data.targets("test"), strict=True):
        assert kept[tuple(row.ravel())] == description.class_names[target]


def test_class_names_may_be_said_for_numbers_and_need_not_all_occur(tmp_path: Path) -> None:
    outputs = {"label": {"kind": "classes", "class_names": ["a", "b", "c", "d"]}}
    _, description = _decoded(_task(_saved(tmp_path), outputs=outputs), tmp_path / "out")
    assert description.outputs[0].axes == (4,)


def test_split_by_says_it_of_each_example(tmp_path: Path) -> None:
    said = np.array(["train"] * 25 + ["validation"] * 5 + ["test"] * 10)
    data, description = _decoded(_task(_saved(tmp_path, which=said), split_by="which"), tmp_path / "out")
    assert description.example_counts == {"train": 25, "validation": 5, "test": 10}
    np.testing.assert_array_equal(data.inputs("test")[0], _arrays()["signal"][30:].astype(np.float32))


def test_a_group_stays_in_one_split(tmp_path: Path) -> None:
    patients = np.repeat(np.arange(20), 2)
    marked = _arrays()["signal"]
    marked[:, 0, 0] = patients
    task = _task(_saved(tmp_path, signal=marked, patient=patients), group_by="patient", test_fraction=0.3)
    data, description = _decoded(task, tmp_path / "out")
    seen = [{int(row[0, 0]) for row in data.inputs(split)[0]} for split in data.splits]
    assert set.union(*seen) == set(range(20))
    assert sum(map(len, seen)) == 20
    assert description.example_counts == {"train": 24, "validation": 4, "test": 12}


def test_the_same_seed_shares_out_alike_and_another_otherwise(tmp_path: Path) -> None:
    file = _saved(tmp_path)
    found = [_decoded(_task(file, split_seed=seed), tmp_path / str(n))[0] for n, seed in enumerate((0, 0, 1))]
    first, again, other = (data.inputs("test")[0] for data in found)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def _sentences() -> dict[str, np.ndarray]:
    """40 sentences of 1 to 10 tokens among 50, with a tag for each token, end to end."""
    lengths = 1 + np.arange(40) % 10
    tokens = np.random.default_rng(0).integers(1, 50, lengths.sum())
    return {"tokens": tokens, "tokens_lengths": lengths, "tags": tokens % 4, "tags_lengths": lengths}


TOKENS = {
    "tokens": {"axes": ["length"], "values": 50},
    "mask": {"role": "mask", "covers": "length", "dtype": "int64"},
}


def test_sentences_end_to_end_are_padded_with_a_mask_and_their_lengths_recorded(tmp_path: Path) -> None:
    task = _task(
        _saved(tmp_path, **_sentences()), inputs=TOKENS, axes={"length": {"most": 16, "multiple": 4}}, test_fraction=0.5
    )
    data, description = _decoded(task, tmp_path / "out")
    (axis,) = description.axes
    lengths = data.lengths("train")["length"]
    assert (axis.most, axis.multiple) == (16, 4)
    assert axis.lengths == {
        "median": int(np.quantile(lengths, 0.5, method="lower")),
        "p95": int(np.quantile(lengths, 0.95, method="lower")),
        "longest": lengths.max(),
    }
    (batch,) = plain_batches(data, "test", 64, torch.device("cpu"))
    tokens, mask = batch.inputs
    assert tokens.dtype == mask.dtype == torch.int64
    assert tokens.shape[1] % 4 == 0
    assert torch.equal(mask.sum(1), batch.lengths["length"])
    assert torch.equal(tokens != 0, mask == 1)


@pytest.mark.parametrize("form", ["lengths", "offsets", "rows"])
def test_the_three_forms_of_ragged_data_say_the_same(form: str, tmp_path: Path) -> None:
    said = _sentences()
    lengths, tokens = said["tokens_lengths"], said["tokens"]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.zeros((40, 12), np.int64)
    for place, length in enumerate(lengths):
        rows[place, :length] = tokens[offsets[place] : offsets[place + 1]]
    more = {
        "lengths": {"tokens": tokens, "tokens_lengths": lengths},
        "offsets": {"tokens": tokens, "tokens_offsets": offsets},
        "rows": {"tokens": rows, "tokens_lengths": lengths},
    }[form]
    data, _ = _decoded(_task(_saved(tmp_path, **more), inputs=TOKENS), tmp_path / "out")
    kept = {tuple(tokens[start:end]) for start, end in pairwise(offsets)}
    found = data.inputs("test")[0]
    assert isinstance(found, Ragged)
    assert {tuple(found[place]) for place in range(len(found))} <= kept


def test_an_axis_that_varies_may_stand_last_and_channels_are_standardized(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sound = random.normal([[[5.0], [7.0]]], 1, (40, 2, 30))
    inputs = {"sound": {"axes": [2, "time"], "standardize": True}}
    task = _task(_saved(tmp_path, sound=sound, sound_lengths=10 + np.arange(40) % 20), inputs=inputs)
    data, description = _decoded(task, tmp_path / "out")
    np.testing.assert_allclose(description.inputs[0].preprocessing.mean, [5, 7], atol=0.2)
    (batch,) = plain_batches(data, "test", 64, torch.device("cpu"))
    assert batch.inputs[0].shape == (9, 2, int(batch.lengths["time"].max()))
    assert description.input_shapes == ((2, description.axes[0].lengths["median"]),)


OUTPUTS: dict[str, tuple[dict[str, Any], Any, tuple[Any, ...]]] = {
    "values": ({"unit": "MW"}, np.arange(80.0).reshape(40, 2), (2,)),
    "multilabel": ({}, np.arange(120).reshape(40, 3) % 2, (3,)),
    "dense_classes": ({"ignore": 255}, np.arange(40 * 12).reshape(40, 3, 4) % 5, (5, 3, 4)),
    "embedding": ({"size": 6, "targets": "ids"}, np.arange(40) // 4, (6,)),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_kind_of_output_has_the_shape_of_its_kind(kind: str, tmp_path: Path) -> None:
    fields, targets, axes = OUTPUTS[kind]
    task = _task(_saved(tmp_path, y=targets), outputs={"y": {"kind": kind, **fields}})
    data, description = _decoded(task, tmp_path / "out")
    assert description.outputs[0].axes == axes
    assert task.kinds() == (kind,)
    assert data.targets("train").shape[1:] == np.shape(targets)[1:]


def test_values_carry_the_training_splits_mean_and_deviation(tmp_path: Path) -> None:
    task = _task(_saved(tmp_path, y=np.arange(40.0)), outputs={"y": {"kind": "values", "unit": "MW"}})
    data, description = _decoded(task, tmp_path / "out")
    output, train = description.outputs[0], data.targets("train")
    np.testing.assert_allclose([output.mean[0], output.scale[0]], [np.mean(train), np.std(train)])
    assert (output.value_names, output.unit, output.metrics) == (("y",), "MW", ("rmse",))


def test_tokens_and_sequences_follow_the_axis_that_varies(tmp_path: Path) -> None:
    arrays = _sentences() | {"said": np.ones(40, np.int64), "said_lengths": np.ones(40, np.int64)}
    outputs = {"tags": {"kind": "token_classes"}, "said": {"kind": "sequence", "subsampling": 2}}
    data, description = _decoded(_task(_saved(tmp_path, **arrays), inputs=TOKENS, outputs=outputs), tmp_path / "out")
    tags, said = description.outputs
    assert tags.axes == ("length", 4)
    assert (said.axes, said.frames, said.subsampling, said.class_count) == (("length", 2), "length", 2, 2)
    (batch,) = plain_batches(data, "test", 64, torch.device("cpu"))
    assert batch.targets[0].shape == batch.inputs[0].shape
    assert torch.equal(batch.targets[0][batch.inputs[1] == 1], batch.inputs[0][batch.inputs[1] == 1] % 4)


def test_several_outputs_keep_their_order_and_weights(tmp_path: Path) -> None:
    outputs = {"size": {"kind": "values", "loss_weight": 0.5}, **CLASSES}
    data, description = _decoded(_task(_saved(tmp_path, size=np.arange(40.0)), outputs=outputs), tmp_path / "out")
    assert description.output_names == ("size", "label")
    assert description.outputs[0].loss_weight == 0.5
    assert [len(array) for array in data.split("test").targets] == [9, 9]  # of 40 in three classes, each class rounded


def test_the_key_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, same, other = _saved(tmp_path / "a"), _saved(tmp_path / "b"), _saved(tmp_path, 41)
    assert _task(one).identity() == _task(same).identity() != _task(other).identity()
    with pytest.raises(DataError, match=r"file: there is no '.*absent.npz' to read"):
        _task(str(tmp_path / "absent.npz")).identity()


objects = np.array([np.zeros(2), np.zeros(3)], object)
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no such key": ({}, {"inputs": {"signl": {}}}, "has no array 'signl'. Did you mean 'signal'?"),
    "python objects": ({"signal": objects}, {}, "signal: holds Python objects, which are never read"),
    "counts differ": ({"label": np.arange(39) % 3}, {}, "label: has 39 examples, and signal has 40."),
    "texts as input": ({"signal": np.array(["a"] * 40)}, {}, "signal: must be numbers, and is <U1."),
    "missing numbers": ({"signal": np.full((40, 2), np.nan)}, {}, "signal: holds numbers that are not finite"),
    "other shape": ({}, {"inputs": {"signal": {"axes": [8, 2]}}}, "an example has shape (2, 8), and axes says (8, 2)."),
    "float ids": ({}, {"inputs": {"signal": {"values": 5}}}, "signal: must be whole numbers, and is float64."),
    "ids too large": (
        *({"signal": np.full((40, 4), 7)}, {"inputs": {"signal": {"values": 5}}}),
        "signal: must be ids from 0 to 4, and reaches from 0 to 7.",
    ),
    "negative class": ({"label": np.arange(40) % 3 - 1}, {}, "whole numbers from 0, and holds -1"),
    "a gap": ({"label": 2 * (np.arange(40) % 2)}, {}, "has no training example of class 1, but of 2"),
    "from one": ({"label": 1 + np.arange(40) % 3}, {}, "has no training example of class 0, but of 3"),
    "class beyond names": (
        *({}, {"outputs": {"label": {"kind": "classes", "class_names": ["a", "b"]}}}),
        "label: must be classes from 0 to 1, and one is 2.",
    ),
    "one-hot": ({"label": np.eye(40)}, {}, "has shape (40, 40), and an output of kind classes has (N,); of one-hot"),
    "numbers as classes": ({"label": np.linspace(0, 1, 40)}, {}, "where numbers are to be predicted, the output is of"),
    "labels not 0 or 1": (
        *({"label": 2 * np.ones((40, 2))}, {"outputs": {"label": {"kind": "multilabel"}}}),
        "must be 0 or 1 for each label.",
    ),
    "missing target": (
        *({"label": np.full(40, np.nan)}, {"outputs": {"label": {"kind": "values"}}}),
        "label: must be finite numbers; leave out examples without a target.",
    ),
    "value names": (
        *({}, {"outputs": {"label": {"kind": "values", "value_names": ["a", "b"]}}}),
        "label: has 1 numbers an example, and value_names 2 names.",
    ),
    "unknown split": ({"which": np.array(["trian"] * 40)}, {"split_by": "which"}, "Did you mean 'train'?"),
    "no test": ({"which": np.array(["train"] * 40)}, {"split_by": "which"}, "which puts no example into test."),
    "groups of another count": ({"who": np.arange(3)}, {"group_by": "who"}, "who: has shape (3,), and one entry an ex"),
    "too few groups": ({"who": np.arange(40) % 2}, {"group_by": "who"}, "of 40 examples leaves none for validation."),
    "empty": ({"signal": np.zeros((0, 3)), "label": np.zeros(0, int)}, {}, "signal: holds no example."),
    "one-dimensional": ({"signal": np.zeros(40)}, {"inputs": {"signal": {"axes": ["n"]}}}, "has shape (40,); examples"),
    "lengths too long": (
        *({"signal_lengths": np.full(40, 9)}, {"inputs": {"signal": {"axes": [2, "n"]}}}),
        "its lengths are 40 numbers that sum to 360, the longest 9; they do not go together.",
    ),
    "an empty example": (
        *({"signal_lengths": np.arange(40) % 9}, {"inputs": {"signal": {"axes": [2, "n"]}}}),
        "signal_lengths: example 0 is empty; leave such examples out.",
    ),
    "longer than most": (
        *({}, {"inputs": {"signal": {"axes": [2, "n"]}}, "axes": {"n": {"most": 4}}}),
        "axes.n: an example of train is 8 long, and sizes from 1 to 4 are allowed",
    ),
    "blank as a target": (
        {"label": np.zeros(40, int), "label_lengths": np.ones(40, int)},
        {"inputs": {"signal": {"axes": [2, "n"]}}, "outputs": {"label": {"kind": "sequence"}}},
        "label: holds 0, which is the blank and never a target.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_the_file_and_the_key(case: str, tmp_path: Path) -> None:
    arrays, fields, text = REFUSED[case]
    said = _refused(_task(_saved(tmp_path, **arrays), **fields), tmp_path / "out")
    assert text in said
    assert "all.npz" in said or said.startswith("axes.")


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no arrays")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name, text in (
        ("text.npz", "text.npz' (File is not a zip file)"),
        ("empty", "empty' holds no .npy file"),
        ("one.npy", "one.npy' is one array; put NAME.npy files into a folder"),
    ):
        assert text in _refused(_task(str(tmp_path / name)), tmp_path / "out")


def test_a_class_that_only_test_has_is_refused(tmp_path: Path) -> None:
    train, test = (
        _saved(tmp_path, 30, f"{name}.npz", label=np.array(labels)[np.arange(30) % 2])
        for name, labels in (("train", ["cat", "dog"]), ("test", ["cat", "doge"]))
    )
    said = _refused(_task("", train=train, test=test), tmp_path / "out")
    assert "test.npz': label: holds 'doge', of which there is no training example and no class name. Did you" in said


def test_a_group_in_two_files_is_refused(tmp_path: Path) -> None:
    train, test = (
        _saved(tmp_path, 30, f"{n}.npz", who=np.arange(30) + start) for n, start in (("train", 0), ("test", 29))
    )
    said = _refused(_task("", train=train, test=test, group_by="who"), tmp_path / "out")
    assert "test.npz': who: the group '29' is in train as well as in test." in said


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"file": None}, "the data is one `file` that is shared out, or a file each for `train` and `test`"),
        ({"train": "a.npz"}, "`file` is all examples, and `train` some of them"),
        ({"split_by": "a", "group_by": "b"}, "`split_by` says it all"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave nothing to train on"),
        ({"inputs": {}}, "at least 1 item"),
        ({"inputs": {"m": {"role": "mask", "covers": "n"}}}, "no input has one that varies"),
        ({"inputs": {"m": {"role": "mask"}}}, "a mask is made from the axis that it `covers`"),
        ({"inputs": {"x": {"axes": ["a", "b"]}}}, "at most one axis of an input varies"),
        ({"inputs": {"x": {"values": 3, "standardize": True}}}, "whole numbers are never scaled"),
        ({"inputs": {"x": {"mean": [0.0]}}}, "mean and std are given together"),
        ({"outputs": {"y": {"kind": "embedding"}}}, "needs it"),
        ({"outputs": {"y": {"kind": "embedding", "size": 6}}}, "ids, queries or pairs"),
        ({"outputs": {"y": {"kind": "class"}}}, "classes"),
        ({"outputs": {"y": {"kind": "values", "class_names": ["a"]}}}, "has no classes"),
        ({"axes": {"n": {}}}, "axes.n bounds the axis 'n', and no input has one that varies"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], text: str) -> None:
    assert text in _wrong(**fields)


def test_arrays_of_ones_own_keep_the_contract(tmp_path: Path) -> None:
    outputs = {"tags": {"kind": "token_classes"}, **CLASSES}
    check_task(_task(_saved(tmp_path, **_sentences()), inputs=TOKENS, outputs=outputs))


PAIRS = np.stack([np.arange(40) // 2, np.repeat(np.linspace(0, 1, 20), 2)], axis=1)
QUERIES = np.stack([np.arange(40) // 4, np.arange(40) % 4 == 0], axis=1)


@pytest.mark.parametrize(("said", "targets"), [("pairs", PAIRS), ("queries", QUERIES)])
def test_what_belongs_together_stays_in_one_split(said: str, targets: Any, tmp_path: Path) -> None:
    outputs = {"y": {"kind": "embedding", "size": 6, "targets": said}}
    data, description = _decoded(_task(_saved(tmp_path, y=targets), outputs=outputs), tmp_path / "out")
    numbers = [set(np.asarray(data.targets(split))[:, 0].tolist()) for split in description.example_counts]
    assert sum(map(len, numbers)) == len(set.union(*numbers)) == len(np.unique(targets[:, 0]))


@pytest.mark.parametrize(
    ("said", "targets", "told"),
    [
        ("ids", QUERIES, "has shape (40, 2), and an output of kind embedding has (N,)"),
        ("ids", np.linspace(0, 1, 40), "must be whole numbers"),
        ("queries", np.stack([np.arange(40) // 4, np.arange(40)], axis=1), "1 for a query and 0 for a document"),
        ("pairs", np.arange(40), "numbers of pairs, and scores"),
        ("pairs", np.stack([np.arange(40) // 4, np.ones(40)], axis=1), "have 4 examples of pair 0, and a pair has two"),
        ("pairs", np.stack([np.arange(40) // 2, np.arange(40)], axis=1), "different scores"),
    ],
)
def test_targets_of_an_embedding_that_say_something_else(said: str, targets: Any, told: str, tmp_path: Path) -> None:
    outputs = {"y": {"kind": "embedding", "size": 6, "targets": said}}
    with pytest.raises(DataError, match=re.escape(told)):
        _decoded(_task(_saved(tmp_path, y=targets), outputs=outputs), tmp_path / "out")
