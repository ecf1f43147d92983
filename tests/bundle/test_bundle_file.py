"""What goes into a bundle, and what is refused before there is one."""

import ast
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from carried import FILES, KEPT, SAMPLE, model_path

from kdbench.bundle import Asked, bundle
from kdbench.errors import KdbenchError, StoreError, UnknownName
from kdbench.results.trust import Confirmed


def manifest(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        said: dict[str, object] = json.loads(archive.read("manifest.json"))
        return said


def rows(path: Path) -> set[tuple[str, int]]:
    return {(case, seed) for model in manifest(path)["models"] for case, seed in model["rows"]}  # type: ignore[attr-defined]


def test_a_file_of_two_rows_is_carried_once_for_both(bundled: Path) -> None:
    models = manifest(bundled)["models"]
    assert len(models) == len(set(FILES.values()))  # type: ignore[arg-type]
    assert rows(bundled) == set(FILES)


def test_a_bundle_has_the_same_bytes_whenever_it_is_made(kept_results: Path, tmp_path: Path) -> None:
    first, again = (bundle(kept_results, tmp_path / name).path for name in ("first.pyz", "again.pyz"))
    assert again.read_bytes() == first.read_bytes()


def test_a_case_is_carried_with_the_baseline_and_the_teacher(results: Path, tmp_path: Path) -> None:
    made = bundle(results, tmp_path / "soft.pyz", Asked(cases=("soft",)))
    assert rows(made.path) == {("soft", 0), ("from-scratch", 0), ("copy", 0), ("from-scratch", 1), ("teacher", 0)}


def test_a_seed_is_carried_without_the_others_but_for_what_it_was_timed_beside(results: Path, tmp_path: Path) -> None:
    made = bundle(results, tmp_path / "one.pyz", Asked(seeds=("1",)))
    assert rows(made.path) == {("from-scratch", 1), ("from-scratch", 0), ("copy", 0), ("teacher", 0)}


def test_fewer_examples_are_spread_over_the_whole_sample(results: Path, tmp_path: Path) -> None:
    made = bundle(results, tmp_path / "ten.pyz", Asked(examples=10, batch_sizes=(4, 1)))
    said = manifest(made.path)
    assert made.example_count == 10
    with zipfile.ZipFile(made.path) as archive:
        carried = archive.read(f"files/{said['sample']['inputs']}")  # type: ignore[index]
    with np.load(io.BytesIO(carried)) as inputs, np.load(results / SAMPLE) as kept:
        assert np.array_equal(inputs["image"], kept["image"][::3])
        assert kept["index"][::3].tolist() == list(range(0, 90, 9))
    assert said["measure"]["batch_sizes"] == [4, 1]  # type: ignore[index]
    assert bundle(results, tmp_path / "all.pyz", Asked(examples=10**6)).example_count == KEPT


def test_every_source_in_a_bundle_is_python_3_9(bundled: Path) -> None:
    with zipfile.ZipFile(bundled) as archive:
        sources = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}
    assert {"__main__.py", "kdbench/measure/device/command.py"} <= set(sources)
    for text in sources.values():
        ast.parse(text, feature_version=(3, 9))
    ast.parse(sources["__main__.py"], feature_version=(3, 4))


def test_an_old_python_compiles_every_source(bundled: Path, tmp_path: Path) -> None:
    old = shutil.which("python3.9")
    if old is None or subprocess.run([old, "-c", ""], capture_output=True).returncode:
        pytest.skip("there is no python3.9 here")
    with zipfile.ZipFile(bundled) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                archive.extract(name, tmp_path)
    done = subprocess.run([old, "-m", "compileall", "-q", str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_python_that_is_too_old_is_told_so_in_a_sentence(bundled: Path) -> None:
    with zipfile.ZipFile(bundled) as archive:
        source = archive.read("__main__.py").decode()
    older = "import sys; sys.version_info = (3, 8, 2); sys.version = '3.8.2 (old)'\n" + source
    done = subprocess.run([sys.executable, "-c", older], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "this bundle needs Python 3.9 or newer, this is 3.8.2.\n")


def _no_sample(folder: Path) -> None:
    (folder / SAMPLE).unlink()


def _spoil_sample(folder: Path) -> None:
    (folder / SAMPLE).write_bytes(b"PK no archive")


def _change_model(folder: Path) -> None:
    shutil.copy(model_path(folder, ("teacher", 0)), model_path(folder, ("soft", 0)))


def _lose_model(folder: Path) -> None:
    model_path(folder, ("soft", 0)).unlink()


def _change_answers(folder: Path) -> None:
    """Every wrong answer becomes the other wrong class: as often right as recorded."""
    path = folder / "predictions/soft-0.npz"
    with np.load(path) as arrays:
        said, truth = arrays["test"], arrays["test_targets"]
    np.savez(path, test=np.where(said == truth, said, 3 - said - truth), test_targets=truth)


def _change_row(folder: Path) -> None:
    path = folder / "predictions/soft-0.npz"
    with np.load(path) as arrays:
        np.savez(path, test=(arrays["test"] + 1) % 3, test_targets=arrays["test_targets"])


def _change_targets(folder: Path) -> None:
    """The test split in another order."""
    path = folder / "predictions/soft-0.npz"
    with np.load(path) as arrays:
        np.savez(path, **{name: np.roll(arrays[name], 1) for name in ("test", "test_targets")})


def _lose_answers(folder: Path) -> None:
    (folder / "predictions/soft-0.npz").unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_no_sample, "keeps no sample of its inputs; run the suite again"),
        (_spoil_sample, "the sample .* is damaged"),
        (_change_model, "is not the file that was measured"),
        (_lose_model, "lacks a model that its records name"),
        (_change_answers, r"soft, seed 0, gives \d\d.\d% of the examples another class here than was recorded"),
        (_change_row, "is not what soft, seed 0 was recorded with"),
        (_change_targets, "is not of the data that was tested"),
        (_lose_answers, "has no predictions of soft, seed 0"),
    ],
)
def test_a_folder_that_is_not_as_its_run_left_it_is_not_bundled(
    results: Path, tmp_path: Path, spoil: "object", sentence: str
) -> None:
    spoil(results)  # type: ignore[operator]
    with pytest.raises(StoreError, match=sentence):
        bundle(results, tmp_path / "spoilt.pyz")
    assert not list(tmp_path.glob("spoilt*"))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Asked(cases=("sotf",)), "no case matches 'sotf'. Did you mean 'soft'?"),
        (Asked(seeds=("7",)), "no seed matches '7'. Known: 0, 1."),
        (Asked(target="local-cuda-1t-fp32"), "there is no target 'local-cuda-1t-fp32'. Did you mean"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(
    kept_results: Path, tmp_path: Path, asked: Asked, sentence: str
) -> None:
    with pytest.raises(UnknownName, match=sentence.replace("?", r"\?")):
        bundle(kept_results, tmp_path / "x.pyz", asked)


def test_models_that_no_python_starts_from_one_file_are_refused(
    kept_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdbench.bundle.pack.MOST_BYTES", 1000)
    with pytest.raises(StoreError, match="take more than the 2 GB that Python starts from one file"):
        bundle(kept_results, tmp_path / "x.pyz")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(kept_results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KdbenchError, match=r"cannot write .*; name another file with -o"):
        bundle(kept_results, tmp_path / "file" / "x.pyz")


def test_a_target_of_a_third_partys_runtime_is_not_bundled(kept_results: Path, tmp_path: Path) -> None:
    target = "local-cpu-1t-fp32"
    confirmed = Confirmed({target: {"session": {"provider": "echo", "runtime": "echo.py:Echo"}}})
    with pytest.raises(StoreError, match=r"runs files in echo\.py:Echo, and a bundle carries onnxruntime's"):
        bundle(kept_results, tmp_path / "b.pyz", Asked(target=target), confirmed)
