"""Results folders to render."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from folders import Folder
from hostile import spoil_plan, write_hostile

from kdbench.evidence import evidence
from kdbench.render import render
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Drawer
from kdbench.render.report.files import draw


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
def drawn(quickstart: Path) -> Mapping[Drawer, Figure]:
    """The figures of `quickstart` for a page, not yet saved."""
    return draw(evidence(quickstart))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose every name and text tries to break a format, with its report."""
    path = write_hostile(tmp_path_factory.mktemp("hostile") / "results")
    spoil_plan(path)
    render(path, path / "report", ("html", "markdown", "latex", "csv"))
    return path


@pytest.fixture(scope="session")
def report(quickstart: Path) -> Path:
    """The report on `quickstart`, in the folder a run would put it."""
    render(quickstart, quickstart / "report")
    return quickstart / "report"
