"""Peak memory, start and energy of one file, each in processes of its own. Makes no records."""

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kdbench.errors import MeasureError
from kdbench.measure import energy as counters
from kdbench.measure.answers import OrError, Peak, Spent, Started
from kdbench.measure.client import MEDIAN, Client, Files, Lengths
from kdbench.measure.providers import TABLE

STARTS = 3
"""Fresh processes that time one file's start, as few as an interval can be made of."""
ENERGY_PROCESSES = 3
ENERGY_NS = 2_000_000_000
"""Time of calls in each process: NVML's counter steps about ten times a second, which is 5 % of two seconds."""
IDLE_NS = 1_000_000_000

At = tuple[str, int]
"""A file's digest, and a batch size."""
Answer = TypeVar("Answer")


def memory(
    client: Client, files: Files, inputs: Path, batch_sizes: Sequence[int], lengths: Lengths = MEDIAN
) -> dict[At, OrError[Peak]]:
    """Peak memory of each file at each batch size; several processes at a time, because nothing is timed."""

    def peak(at: At) -> OrError[Peak]:
        digest, batch_size = at
        try:
            return client.memory({digest: files[digest]}, inputs, batch_size, lengths)
        except MeasureError as error:
            return error

    asked = [(digest, size) for digest in files for size in batch_sizes]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(asked, pool.map(peak, asked), strict=True))


def start(
    client: Client, files: Files, inputs: Path, batch_size: int, lengths: Lengths = MEDIAN
) -> dict[str, OrError[list[Started]]]:
    """By digest, the starts of STARTS processes, one process at a time.

    Where the provider builds an engine for each file, one more process comes first: it finds no engine, and builds it.
    """
    cached = _keeps_engines(client.session)
    found: dict[str, OrError[list[Started]]] = {}
    for digest, path in files.items():
        with tempfile.TemporaryDirectory(prefix="engine-", dir=client.folder) as engines:
            fields = {"engine_cache": engines} if cached else {}
            ask = partial(client.start, {digest: path}, inputs, batch_size, lengths, **fields)
            found[digest] = _repeated(STARTS + cached, ask)
    return found


def energy(
    client: Client,
    files: Files,
    inputs: Path,
    batch_sizes: Sequence[int],
    say: Callable[[str], None],
    lengths: Lengths = MEDIAN,
) -> dict[At, OrError[list[Spent]]]:
    """Energy of each file at each batch size in ENERGY_PROCESSES processes, one at a time; empty without a counter.

    `say` is told why there is no counter.
    """
    name, reason = counters.counter(client.session["provider"])
    if name is None:
        if files:
            say(f"no energy is measured: {reason}")
        return {}
    found: dict[At, OrError[list[Spent]]] = {}
    for digest, path in files.items():
        for size in batch_sizes:
            ask = partial(client.energy, {digest: path}, inputs, size, ENERGY_NS, IDLE_NS, lengths)
            found[digest, size] = _repeated(ENERGY_PROCESSES, ask)
    return found


def _repeated(count: int, ask: Callable[[], Answer]) -> OrError[list[Answer]]:
    try:
        return [ask() for _ in range(count)]
    except MeasureError as error:
        return error


def _keeps_engines(session: dict[str, Any]) -> bool:
    """Whether the provider builds an engine of a file and can keep it, and the suite does not say itself where."""
    provider = TABLE.get(session["provider"])
    options = provider.engine_cache if provider else {}
    return bool(options) and not options.keys() & session.get("options", {}).keys()
