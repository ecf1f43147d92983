"""What holds for every test."""

import os
import re
import signal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts pytest in the background has it ignore Ctrl-C, and with it every process that a test starts
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    # as many threads in every worker as the machine has cores wait for each other, three times as long as one works
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the suites that tests run whole: what two of them have in common is computed once.

    The workers of pytest-xdist share it as well, for a store may be used by several runs at a time.
    """
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared-store"


WIDE = re.compile(r"scope=\"(module|package|session)\"")
"""A fixture that several tests share."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of a file with shared fixtures run in one worker of pytest-xdist, so that these are made once.

    pytest-xdist 3.8 has `--dist loadgroup` for that, which pytest 9.2 leaves without effect.
    """
    from xdist.scheduler import LoadScopeScheduling

    class BySharedFixture(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return file if _shares(config.rootpath / file) else nodeid

    return BySharedFixture(config, log)


@cache
def _shares(file: Path) -> bool:
    return WIDE.search(file.read_text(encoding="utf-8")) is not None
