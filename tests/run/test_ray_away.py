"""A node without the run's store fetches what a stage rests on, and brings back what it made: here without Ray."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench import registry
from kdbench.errors import StoreError
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.protocols.recipe import Recipe
from kdbench.run.executors import ray_away, ray_shelf
from kdbench.run.executors.ray_away import Away
from kdbench.run.executors.ray_shelf import Shelf
from kdbench.stages.names import PROGRESS
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import run_stages


class Handle:
    """A shelf whose methods answer at once, as an actor's do after a while."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def remote(*arguments: Any) -> Any:
            self.asked.append(name)
            return getattr(self._shelf, name)(*arguments)

        return type("Method", (), {"remote": staticmethod(remote)})


def part(kind: str, name: str, **fields: object) -> PartSpec:
    return spec_of(kind, name, registry.resolve(kind, name).from_fields(fields))


DECODE = StageSpec("decode", 1, {"task": part("task", "digits")})


def training(epochs: int = 1) -> StageSpec:
    recipe = PartSpec("recipe", "recipe", 1, Recipe(epochs=epochs, learning_rate=0.05).to_fields())
    parts = {"task": part("task", "digits"), "model": part("model", "mlp", width=8), "recipe:train": recipe}
    return StageSpec("train", 1, parts, {"data": DECODE.key}, seed=0, numerics={"device": "cpu"})


@pytest.fixture
def head(tmp_path: Path) -> Store:
    """The run's store, with decoded data."""
    store = Store(tmp_path / "head")
    run_stages([DECODE.to_json()], str(store.root))
    return store


@pytest.fixture
def handle(head: Store, monkeypatch: pytest.MonkeyPatch) -> Handle:
    monkeypatch.setattr(ray_shelf, "PIECE_BYTES", 10_000)
    monkeypatch.setattr(ray_away, "PIECE_BYTES", 10_000)
    monkeypatch.setattr(ray_away, "SECONDS_BETWEEN", 0.001)
    return Handle(Shelf(str(head.root)))


def away(handle: Handle, folder: Path) -> Away:
    def get(given: Any) -> Any:
        return given

    return Away(handle, Store(folder), get)


def files(store: Store, key: str) -> dict[str, bytes]:
    """Every file of a finished stage that does not say when it was made."""
    folder = store.folder(key)
    names = set(store.manifest(key)) - {"stage.json", "log.txt", "records.json"}
    return {name: (folder / name).read_bytes() for name in names}


def test_a_stage_made_elsewhere_is_the_one_that_is_made_here(head: Store, handle: Handle, tmp_path: Path) -> None:
    spec = training()
    (outcome,) = away(handle, tmp_path / "node").run([spec])
    assert (outcome.status, outcome.reason) == ("done", "")
    head.verify(spec.key)
    found = files(head, spec.key)
    assert len(handle.asked) - len({*handle.asked}) > 10  # in pieces
    head.discard(spec.key)
    run_stages([spec.to_json()], str(head.root))
    assert files(head, spec.key) == found
    assert not list((head.root / "scratch").iterdir())
    assert not [path for path in (head.root / "locks").iterdir() if "-" in path.name]


def test_a_node_fetches_nothing_twice(handle: Handle, tmp_path: Path) -> None:
    away(handle, tmp_path / "node").run([training(1)])
    handle.asked.clear()
    away(handle, tmp_path / "node").run([training(2)])
    assert "manifest" not in handle.asked
    assert "publish" in handle.asked


def test_a_node_keeps_no_more_than_it_may(handle: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Store(tmp_path / "node")
    away(handle, tmp_path / "node").run([training(1)])
    monkeypatch.setattr(ray_away, "KEEP_BYTES", 1)
    away(handle, tmp_path / "node").run([training(2)])
    assert {entry.key for entry in node.entries()} == {DECODE.key, training(2).key}  # what it needed, and what it made


def test_a_lost_workers_checkpoint_is_gone_on_from(head: Store, handle: Handle, tmp_path: Path) -> None:
    """What the first node's training had written when the node was lost is what the second begins with."""
    key, content = training().key, bytes(range(256)) * 100
    first, second = Store(tmp_path / "first"), Store(tmp_path / "second")
    (first.scratch(key) / "checkpoint-0.pt").write_bytes(content)
    (first.scratch(key) / PROGRESS).write_text("0.4")
    lost = away(handle, first.root)
    lost._tell(key)
    assert head.progress(key) == 0.4
    away(handle, second.root)._fetch_checkpoints(key)
    assert (second.scratch(key) / "checkpoint-0.pt").read_bytes() == content
    handle.asked.clear()
    lost._tell(key)
    assert "write" not in handle.asked  # it was sent already


def test_files_that_did_not_arrive_whole_are_refused(head: Store, handle: Handle, tmp_path: Path) -> None:
    whole = handle._shelf.piece
    handle._shelf.piece = lambda key, name, start: whole(key, name, start)[:-1]  # type: ignore[method-assign]
    with pytest.raises(StoreError, match=r"did not arrive whole on its way between two nodes; run again"):
        away(handle, tmp_path / "node").run([training()])
    place = handle._shelf.begin("k" * 32)
    handle._shelf.write(place, "a", b"torn")
    with pytest.raises(StoreError, match="'a' did not arrive whole"):
        handle._shelf.publish("k" * 32, place, {"a": (9, "0" * 64)})
    assert not head.has("k" * 32)
    assert not list((head.root / "scratch").iterdir())


def test_a_failed_stage_leaves_its_log_with_the_run(head: Store, handle: Handle, tmp_path: Path) -> None:
    spec = StageSpec("train", 1, {**training().parts, "model": part("model", "unet")}, training().inputs, seed=0)
    (outcome,) = away(handle, tmp_path / "node").run([spec])
    assert outcome.status == "failed"
    assert outcome.reason in (head.root / "failed" / f"{spec.key}.txt").read_text()


def test_an_empty_file_is_sent(head: Store, handle: Handle, tmp_path: Path) -> None:
    node = Store(tmp_path / "node")
    (node.scratch("e" * 32) / "empty").touch()
    np.save(node.scratch("e" * 32) / "some.npy", np.arange(5))
    node.publish("e" * 32)
    away(handle, tmp_path / "node")._send("e" * 32)
    assert head.manifest("e" * 32) == node.manifest("e" * 32)
