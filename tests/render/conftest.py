"""Results folders to render."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from folders import Folder

from kdbench.render import render


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Folder]:
    """A builder of a results folder under the test's own path."""

    def build(**fields: Any) -> Folder:
        return Folder(tmp_path / "results", **fields)

    return build


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine cases, three seeds, two batch sizes, three processes; one seed-independent teacher."""
    return Folder(tmp_path_factory.mktemp("quickstart") / "results").write()


@pytest.fixture(scope="session")
def report(quickstart: Path) -> Path:
    """The report on `quickstart`, in the folder a run would put it."""
    render(quickstart, quickstart / "report")
    return quickstart / "report"
