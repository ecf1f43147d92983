"""A folder in the store is complete or not there; damage is noticed; a claim dies with its holder."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kdbench.errors import DamagedStage, StoreError
from kdbench.stages.store import Store, older_than

KEY = "ab" + "0" * 30


def publish(store: Store, key: str = KEY, text: str = "result") -> Path:
    with store.claim(key):
        scratch = store.scratch(key)
        (scratch / "model.onnx").write_text(text)
        (scratch / "stage.json").write_text(json.dumps({"spec": {"kind": "train"}}))
        return store.publish(key)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_published_stage_is_there_whole_and_its_scratch_is_gone(store: Store) -> None:
    assert not store.has(KEY)
    folder = publish(store)
    assert store.has(KEY)
    assert (folder / "model.onnx").read_text() == "result"
    assert list((store.root / "scratch").iterdir()) == []
    store.verify(KEY)


def test_a_file_of_another_length_is_not_a_result(store: Store) -> None:
    (publish(store) / "model.onnx").write_text("resul")
    assert not store.has(KEY)


def test_a_changed_byte_is_noticed_by_its_digest(store: Store) -> None:
    (publish(store) / "model.onnx").write_text("resulT")
    assert store.has(KEY)
    with pytest.raises(DamagedStage, match=r"model\.onnx' is not what was stored"):
        store.verify(KEY)


def test_a_torn_manifest_is_damage_and_no_result(store: Store) -> None:
    (publish(store) / "manifest.json").write_text('{"model.onnx": [6,')
    assert not store.has(KEY)
    with pytest.raises(DamagedStage):
        store.verify(KEY)


def test_publishing_again_replaces_what_was_damaged(store: Store) -> None:
    (publish(store) / "model.onnx").write_text("resulT")
    publish(store)
    store.verify(KEY)


def test_a_failure_keeps_the_log_and_is_never_a_result(store: Store) -> None:
    with store.claim(KEY):
        (store.scratch(KEY) / "half").write_text("half")
        place = store.fail(KEY, "why it failed")
    assert place.read_text() == "why it failed"
    assert not store.has(KEY)
    assert list((store.root / "scratch").iterdir()) == []


def test_a_claim_is_exclusive(store: Store) -> None:
    order = []

    def wait() -> None:
        with store.claim(KEY):
            order.append("second")

    with store.claim(KEY):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_killed_holder_frees_its_claim_and_leaves_its_scratch(store: Store) -> None:
    code = (
        "import sys, time; from pathlib import Path; from kdbench.stages.store import Store\n"
        f"store = Store(Path({str(store.root)!r}))\n"
        f"with store.claim({KEY!r}):\n"
        f"    (store.scratch({KEY!r}) / 'checkpoint').write_text('so far')\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
        with store.claim(KEY):
            assert (store.scratch(KEY) / "checkpoint").read_text() == "so far"


def test_discarding_leaves_a_claimed_stage_alone(store: Store) -> None:
    publish(store)
    with store.claim(KEY):
        store.discard(KEY)
        assert store.has(KEY)
    store.discard(KEY)
    assert not store.has(KEY)


def test_entries_tell_kind_size_and_last_use(store: Store) -> None:
    publish(store)
    other = "cd" + "0" * 30
    publish(store, other, "a longer result")
    manifest = store.folder(KEY) / "manifest.json"
    os.utime(manifest, (0, 0))
    large, small = store.entries()
    assert (large.key, large.kind) == (other, "train")
    assert large.byte_count - small.byte_count == len("a longer result") - len("result")
    assert [entry.key for entry in older_than([large, small], days=1)] == [KEY]
    store.touch(KEY)
    assert older_than(store.entries(), days=1) == []


def test_scratch_of_killed_runs_is_swept_but_not_of_running_ones(store: Store) -> None:
    (store.root / "scratch" / "dead").mkdir()
    (store.root / "scratch" / "dead" / "half").write_text("12345")
    with store.claim(KEY):
        store.scratch(KEY)
        assert store.remove_scratch() == 5
        assert [path.name for path in (store.root / "scratch").iterdir()] == [KEY]


def test_a_store_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write the store '.*' \(Not a directory\); name another folder"):
        Store(tmp_path / "file" / "store")


def test_a_stage_whose_files_say_nonsense_is_none_and_is_listed_as_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number, text in enumerate(["[]", '{"a": 1}', '{"a": [1]}', "{", '{"a": [{}, "x"]}']):
        folder = store.folder(f"key{number}")
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(text)
        assert not store.has(f"key{number}")
    assert {entry.kind for entry in store.entries()} == {"damaged"}
    with pytest.raises(DamagedStage, match=r"stage\.json' is damaged"):
        store.read_json("key0", "stage.json")


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "repeats").rmdir()
    (tmp_path / "repeats").touch()
    with pytest.raises(StoreError, match=r"cannot write the store .* name another folder with --store"):
        store.ask_again("key")
    with pytest.raises(StoreError, match="cannot write the store"):
        Store(tmp_path / "repeats" / "below")
