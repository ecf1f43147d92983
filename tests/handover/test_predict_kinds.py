"""predict.py on every kind of output: its answers to stored examples are those of the evaluate stage, and its words."""

import re
from pathlib import Path

import kind_folders
import numpy as np
import pytest
from PIL import Image
from test_predict import run

from kdbench.evidence import read_results
from kdbench.handover.get import get
from kdbench.handover.predicting import answers
from kdbench.measure.decisions import decide
from kdbench.results.records import Score

SAID = {
    "values": (r"east -?[\d.e-]+ m, north -?[\d.e-]+ m", "rmse "),
    "dense_classes": (r"(sky|land|sea) [\d.]+%.*", "mean_iou "),
    "multilabel": (r"(none|(red|green|blue) [\d.]+.*)\tweight -?[\d.e-]+ kg", "macro_f1 "),
    "token_classes": (r"((O|B-PER|I-PER) ?)+", "macro_f1 "),
    "sequence": (r"[abc]*", "token_error_rate "),
}
"""Kind -> what is printed of an example, and of all."""


@pytest.mark.parametrize("kind", kind_folders.KINDS)
def test_answers_are_those_of_the_harness(kind: str, tmp_path: Path) -> None:
    folder = kind_folders.write_folder(tmp_path / "results", kind)
    out = get(folder, "other", tmp_path / "out").folder
    lines = run(out, "--each", "-o", str(tmp_path / "kept")).splitlines()
    results = read_results(folder)
    score = next(record for record in results.of(Score, "other") if record.decides)
    stored = results.predictions(score)
    assert stored is not None
    words, name = SAID[kind]
    assert len([line for line in lines if "inputs.npz[" in line]) == kind_folders.TESTED
    assert all(re.fullmatch(words, line.partition("\t")[2]) for line in lines[: kind_folders.TESTED])
    output = results.outputs[0]
    several = f".{output.name}" if len(results.outputs) > 1 else ""
    for number in range(kind_folders.TESTED):
        place = tmp_path / "kept" / f"inputs-{number}{several}"
        if kind == "dense_classes":
            mine = np.asarray(Image.open(place.with_name(f"{place.name}.png")))
        else:
            (mine,) = decide(kind, np.load(f"{place}.npy")[np.newaxis], output.blank)
        np.testing.assert_array_equal(mine, stored.decisions[number])
    assert lines[kind_folders.TESTED].startswith(name)
    if score.metric == name.strip():
        assert lines[kind_folders.TESTED + 1] == f"recorded {score.value:.4f} on {kind_folders.TARGET}"
        assert lines[kind_folders.TESTED] == f"{name}{score.value:.4f}"


def test_an_embedding_is_kept_as_numbers_and_shown_in_part(tmp_path: Path) -> None:
    output = {"output": "place", "kind": "embedding"}
    place = np.array([0.25, -1, 3, 0.5, 7], np.float32)
    assert answers.told(output, place) == "0.25 -1 3 0.5 ... (5 numbers)"
    answers.Keeper(str(tmp_path / "kept"), [output]).keep("a b/rows.csv:3", (place,))
    np.testing.assert_array_equal(np.load(tmp_path / "kept" / "rows-3.npy"), place)


def test_a_sequence_is_read_by_the_best_path() -> None:
    """Graves et al. 2006, section 3.2: repetitions become one, then blanks go; a blank parts two of the same."""
    output = {"output": "said", "kind": "sequence", "class_names": ["-", "a", "b"], "blank": 0}
    path = [1, 1, 0, 1, 2, 2, 0]
    assert answers.told(output, np.eye(3)[path]) == "aab"
    words = {**output, "class_names": ["", "one", "two"]}
    assert answers.told(words, np.eye(3)[path]) == "one one two"


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"vector": np.zeros((2, 4), np.float32)}, "vector is 4, and the model takes 3."),
        ({"image": np.zeros((2, 3), np.float32)}, "lacks 'vector'; it needs vector."),
        ({"vector": np.zeros((2, 3), np.float32), "targets": np.zeros((3, 2))}, "its arrays differ in how many"),
    ],
)
def test_arrays_of_another_model_are_refused_in_a_sentence(
    arrays: dict[str, np.ndarray], sentence: str, vectors: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    said = run(vectors, str(tmp_path / "a.npz"), code=2)
    assert sentence in said
    assert len(said.splitlines()) == 1


def test_what_is_no_array_is_refused_in_a_sentence(vectors: Path, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("x")
    assert "cannot be read as an .npz" in run(vectors, str(tmp_path / "a.npz"), code=2)
    assert run(vectors, "cat.png", code=2) == (
        "cat.png is no .npz; this model takes arrays, and names of files that end in .npz.\n"
    )


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of values, handed over."""
    place = tmp_path_factory.mktemp("values")
    return get(kind_folders.write_folder(place / "results", "values"), "other", place / "out").folder
