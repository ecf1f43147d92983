"""What a failed stage says: one sentence, never empty, with the line of the user's own code."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kdbench.errors import TrainingError
from kdbench.stages.failure_text import sentence
from kdbench.stages.spec import StageSpec
from kdbench.stages.worker import run_stages

NO_SPACE = "no space left on the disk of the store"


def raised(source: str, path: str = "<string>") -> BaseException:
    """What a piece of code raises, as if it stood in the file `path`."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011  # whatever the source raises
        exec(compile(source, path, "exec"), {"torch": torch, "json": json})
    trace = caught.value.__traceback__
    return caught.value.with_traceback(trace and trace.tb_next)  # the first frame is this function


def test_a_users_own_error_has_their_file_and_line() -> None:
    assert sentence(raised("\n\nraise ValueError('too few')", "mine.py")) == "mine.py:3: ValueError: too few"


def test_an_error_of_a_library_has_the_line_of_the_user_who_called_it() -> None:
    said = sentence(raised("x = 1\ntorch.ones(2, 3) @ torch.ones(2, 3)", "nets.py"))
    assert said.startswith("nets.py:2: RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    assert sentence(raised("json.loads('{')", "nets.py")).startswith("nets.py:1: JSONDecodeError: ")


def test_an_error_outside_a_users_code_has_no_place() -> None:
    assert sentence(raised("torch.ones(2, 3) @ torch.ones(2, 3)")).startswith("RuntimeError: mat1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("'\\n   Some tensors share memory.\\n Do this.'", "RuntimeError: Some tensors share memory."),
        ("", "RuntimeError: (no message)"),
        ('\'Missing key(s):\\n\\t"a", "b"\'', 'RuntimeError: Missing key(s): "a", "b"'),
        ("'\\x1b[31mno\\x1b[0m such layer'", "RuntimeError: no such layer"),
    ],
)
def test_the_text_is_never_empty_half_or_coloured(text: str, said: str) -> None:
    assert sentence(raised(f"raise RuntimeError({text})")) == said


def test_leaving_the_process_is_a_failure_with_its_place() -> None:
    said = sentence(raised("import sys\nsys.exit(0)", "mine.py"))
    assert said.startswith("mine.py:2: the code ended its process with sys.exit(0)")


def test_our_own_sentences_stand_alone() -> None:
    assert sentence(TrainingError("it diverged.")) == "it diverged."


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_write_cut_short_is_a_full_disk() -> None:
    with pytest.raises(OSError, match="requested and") as numpys, open("/dev/full", "wb") as full:
        np.ones(10**6).tofile(full)
    assert sentence(numpys.value).startswith(NO_SPACE)
    with pytest.raises(RuntimeError) as torchs:
        torch.save(torch.ones(10**6), "/dev/full")
    assert sentence(torchs.value).startswith(NO_SPACE)
    assert sentence(OSError(errno.ENOSPC, "No space left on device")).startswith(NO_SPACE)
    assert not sentence(OSError(errno.EACCES, "Permission denied")).startswith(NO_SPACE)


@pytest.mark.parametrize("part", ["locks", "scratch"])
def test_a_store_that_cannot_be_written_fails_its_stages_and_raises_nothing(part: str, tmp_path: Path) -> None:
    specs = [StageSpec("gather", 1, seed=seed).to_json() for seed in (0, 1)]
    (tmp_path / part).touch()
    outcomes = run_stages(specs, str(tmp_path))
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert all("cannot write the store" in outcome.reason for outcome in outcomes)
