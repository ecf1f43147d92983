"""The measure stage: files of one target go round together; each keeps its own and its references' times."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.errors import KdbenchError, MeasureError
from kdbench.files import sha256_of
from kdbench.measure.inputs import MOST_FEEDS
from kdbench.stages import _session
from kdbench.stages._inputs import write_inputs
from kdbench.stages.names import PREDICTIONS
from kdbench.stages.work import Fact, Work, read_description
from kdbench.timing import one_file_alone
from kdbench.timing.facts import Asked, Heard
from kdbench.timing.facts import facts as facts_of

REFERENCES = ("baseline", "teacher", "origin")
FILES_PER_PROCESS = 40
"""So many files stay loaded together; a longer list is timed in several groups, its references in each."""
ROUNDS = 20
"""Turns that each file gets; short enough that files compared lie milliseconds apart."""


def measure(works: list[Work]) -> Iterator[tuple[str, list[Fact] | KdbenchError]]:
    """(key, its facts, or why it alone has none) of each stage, as soon as its group is done.

    All works have one target.
    """
    for group in _groups([_File(work) for work in works]):
        yield from _Group(group).facts()


class _File:
    """One stage's file and its references, by digest."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.digest, self.path = _file(work, "model")
        self.references = {role: _file(work, role) for role in REFERENCES if role in work.spec.inputs}

    def paths(self) -> dict[str, Path]:
        """Digest -> path of all that must take part."""
        return {**dict(self.references.values()), self.digest: self.path}

    def asked(self) -> Asked:
        """The facts that are asked for of this file."""
        with np.load(self.work.input("answers") / PREDICTIONS) as predictions:
            evaluated = predictions["test"]
        settings = self.work.spec.settings
        return Asked(
            digest=self.digest,
            references={role: digest for role, (digest, _) in self.references.items()},
            session=settings["target"]["session"],
            batch_sizes=settings["batch_sizes"],
            evaluated=evaluated,
            memory=settings["memory"],
            start=settings["start"],
            energy=settings["energy"],
            repeat=settings["repeat"],
        )


def _file(work: Work, role: str) -> tuple[str, Path]:
    path = _session.model_file(work, role)
    return sha256_of(path), path


def _groups(files: list[_File]) -> Iterator[list[_File]]:
    """In order, as many as have no more than FILES_PER_PROCESS distinct files with their references."""
    group: list[_File] = []
    held: set[str] = set()
    for file in files:
        if group and len(held | file.paths().keys()) > FILES_PER_PROCESS:
            yield group
            group, held = [], set()
        group.append(file)
        held |= file.paths().keys()
    if group:
        yield group


@dataclass
class _Group:
    """Files that are timed together, in the folder of the first one's stage."""

    files: list[_File]

    def facts(self) -> Iterator[tuple[str, list[Fact] | KdbenchError]]:
        """By key. Where a process that times them dies, each file is timed alone, beside its references."""
        try:
            heard = self._heard()
        except MeasureError as error:
            if len(self.files) == 1:
                yield self.files[0].work.spec.key, error
                return
            for file in self.files:
                yield from _Group([file]).facts()
            return
        for file in self.files:
            yield file.work.spec.key, facts_of(file.asked(), heard)

    def _heard(self) -> Heard:
        """The answers of all processes: first of those that may run beside others, then of those that are timed.

        Raises MeasureError where one that times several files dies.
        """
        lead = self.files[0].work
        settings = lead.spec.settings
        sizes, paths = settings["batch_sizes"], self._paths()
        with tempfile.TemporaryDirectory(dir=lead.out) as scratch:
            folder = Path(scratch)
            client = _session.client(lead, folder)
            data, count = lead.input("data"), MOST_FEEDS * max(sizes)
            inputs = write_inputs(data, read_description(data), "test", folder / "inputs.npz", count)
            memory = one_file_alone.memory(client, paths, inputs, sizes) if settings["memory"] else {}
            proof = client.prove(paths, inputs, sizes)
            sound = {digest: path for digest, path in paths.items() if not isinstance(proof[digest], MeasureError)}
            processes = [
                client.time(sound, inputs, sizes, number, rule(settings))
                for number in range(settings["processes"] if sound else 0)
            ]
            return Heard(
                processes=processes,
                proof=proof,
                memory=memory,
                start=one_file_alone.start(client, self._asking("start", sound), inputs, sizes[0]),
                energy=one_file_alone.energy(client, self._asking("energy", sound), inputs, sizes, lead.log.info),
                round_call_count=rule(settings)["round_call_count"],
            )

    def _paths(self) -> dict[str, Path]:
        """Digest -> path of all that take part, each content once."""
        return {digest: path for file in self.files for digest, path in file.paths().items()}

    def _asking(self, what: str, sound: dict[str, Path]) -> dict[str, Path]:
        """The files, without the references, whose setting of that name is true."""
        asking = {file.digest for file in self.files if file.work.spec.settings[what]}
        return {digest: path for digest, path in sound.items() if digest in asking}


def rule(settings: dict[str, Any]) -> dict[str, int]:
    """How long to time, as a job says it."""
    calls = settings["calls"]
    return {"round_call_count": max(1, calls // ROUNDS), "min_calls": calls, "min_ns": round(settings["seconds"] * 1e9)}
