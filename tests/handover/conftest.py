"""Results folders to hand files over from."""

from pathlib import Path

import pytest
from handed import Source, write_pictures

from kdbench.protocols.part import PartSpec


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Source:
    source = Source(tmp_path_factory.mktemp("digits"))
    source.write()
    return source


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "data")


@pytest.fixture(scope="session", params=[False, True], ids=["colour", "grey"])
def folder_of_images(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Source:
    fields = {"root": str(pictures), "image_size": 12, "grayscale": request.param, "origin": "Drawn for this test."}
    source = Source(tmp_path_factory.mktemp("images"), PartSpec("task", "image_folder", 1, fields))
    source.write()
    return source
