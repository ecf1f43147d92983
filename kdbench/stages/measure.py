"""The measure stage: files of one target go round together; each keeps its own and its references' times."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.errors import KdbenchError, MeasureError
from kdbench.files import sha256_of
from kdbench.measure.client import Client, Lengths
from kdbench.measure.inputs import MOST_FEEDS
from kdbench.stages import _session
from kdbench.stages._inputs import write_inputs
from kdbench.stages.names import PREDICTIONS
from kdbench.stages.work import Fact, Work, read_description
from kdbench.tasks.examples import lengths_to_measure
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

    def asked(self, lengths: Lengths) -> Asked:
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
            lengths=lengths,
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
            yield file.work.spec.key, _together([facts_of(file.asked(lengths), found) for lengths, found in heard])

    def _heard(self) -> list[tuple[Lengths, Heard]]:
        """The answers of all processes, for each of the lengths to measure at.

        Raises MeasureError where a process that times several files dies.
        """
        lead = self.files[0].work
        settings, data = lead.spec.settings, lead.input("data")
        task = read_description(data)
        with tempfile.TemporaryDirectory(dir=lead.out) as scratch:
            folder = Path(scratch)
            count = MOST_FEEDS * max(settings["batch_sizes"])
            inputs = write_inputs(data, task, "test", folder / "inputs.npz", np.arange(count))
            client = _session.client(lead, folder)
            at = lengths_to_measure(task, settings.get("lengths"))
            return [(lengths, self._heard_at(lengths, client, inputs, lengths == at[0])) for lengths in at]

    def _heard_at(self, lengths: Lengths, client: Client, inputs: Path, first: bool) -> Heard:
        """First the answers of processes that may run beside others, then of those that are timed.

        Start and energy are taken at the first lengths only.
        """
        lead = self.files[0].work
        settings = lead.spec.settings
        sizes, paths = settings["batch_sizes"], self._paths()
        memory = one_file_alone.memory(client, paths, inputs, sizes, lengths) if settings["memory"] else {}
        proof = client.prove(paths, inputs, sizes, lengths)
        sound = {digest: path for digest, path in paths.items() if not isinstance(proof[digest], MeasureError)}
        processes = [
            client.time(sound, inputs, sizes, number, rule(settings), lengths)
            for number in range(settings["processes"] if sound else 0)
        ]
        start, energy = (self._asking(what, sound) if first else {} for what in ("start", "energy"))
        return Heard(
            processes=processes,
            proof=proof,
            memory=memory,
            start=one_file_alone.start(client, start, inputs, sizes[0], lengths),
            energy=one_file_alone.energy(client, energy, inputs, sizes, lead.log.info, lengths),
            round_call_count=rule(settings)["round_call_count"],
        )

    def _paths(self) -> dict[str, Path]:
        """Digest -> path of all that take part, each content once."""
        return {digest: path for file in self.files for digest, path in file.paths().items()}

    def _asking(self, what: str, sound: dict[str, Path]) -> dict[str, Path]:
        """The files, without the references, whose setting of that name is true."""
        asking = {file.digest for file in self.files if file.work.spec.settings[what]}
        return {digest: path for digest, path in sound.items() if digest in asking}


def _together(found: list[list[Fact] | KdbenchError]) -> list[Fact] | KdbenchError:
    """The facts at all lengths, or the first reason why there are none."""
    facts: list[Fact] = []
    for each in found:
        if isinstance(each, KdbenchError):
            return each
        facts += each
    return facts


def rule(settings: dict[str, Any]) -> dict[str, int]:
    """How long to time, as a job says it."""
    calls = settings["calls"]
    return {"round_call_count": max(1, calls // ROUNDS), "min_calls": calls, "min_ns": round(settings["seconds"] * 1e9)}
