"""One bundle and one real run of it, for all tests of this folder."""

import shutil
from pathlib import Path

import pytest
from carried import Ran, run_bundle, write_results

from kdbench.bundle import bundle


@pytest.fixture(scope="session")
def kept_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results") / "out")


@pytest.fixture
def results(kept_results: Path, tmp_path: Path) -> Path:
    """A copy of the results folder, to be changed."""
    return Path(shutil.copytree(kept_results, tmp_path / "results"))


@pytest.fixture(scope="session")
def bundled(kept_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(kept_results, tmp_path_factory.mktemp("bundle") / "small.pyz").path


@pytest.fixture(scope="session")
def ran(bundled: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """How the run on this machine, called `board`, ended, and its record."""
    record = tmp_path_factory.mktemp("device") / "record.jsonl"
    return run_bundle(bundled, "--out", record, "--device", "board"), record


@pytest.fixture(scope="session")
def record(ran: tuple[Ran, Path]) -> Path:
    return ran[1]
