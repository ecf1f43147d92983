"""The measure stage: files of one target go round together; each keeps its own and its references' times."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.errors import KdbenchError
from kdbench.files import sha256_of
from kdbench.measure.inputs import MOST_FEEDS
from kdbench.stages._inputs import write_inputs
from kdbench.stages._session import PROGRAM, ask, model_file, pack
from kdbench.stages.names import PREDICTIONS
from kdbench.stages.work import Fact, Work, read_description
from kdbench.timing import one_file_alone
from kdbench.timing.facts import Asked, Heard, by_digest
from kdbench.timing.facts import facts as facts_of

REFERENCES = ("baseline", "teacher", "origin")
FILES_PER_PROCESS = 40
"""So many files stay loaded together; a longer list is timed in several groups, its references in each."""
ROUNDS = 20
"""Turns that each file gets; short enough that files compared lie milliseconds apart."""


def measure(works: list[Work]) -> dict[str, list[Fact] | KdbenchError]:
    """The facts of each stage, or why it alone has none. All works have one target."""
    results: dict[str, list[Fact] | KdbenchError] = {}
    for group in _groups([_File(work) for work in works]):
        results |= _Group(group).facts()
    return results


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
        """What its facts are made for."""
        with np.load(self.work.input("answers") / PREDICTIONS) as predictions:
            evaluated = predictions["test"]
        references = {role: digest for role, (digest, _) in self.references.items()}
        return Asked(self.digest, references, self.work.spec.settings, evaluated)


def _file(work: Work, role: str) -> tuple[str, Path]:
    path = model_file(work, role)
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

    def facts(self) -> dict[str, list[Fact] | KdbenchError]:
        """Of each stage, by key."""
        lead = self.files[0].work
        settings = lead.spec.settings
        task = read_description(lead.input("data"))
        count = MOST_FEEDS * max(settings["batch_sizes"])
        inputs = write_inputs(lead.input("data"), task, "test", lead.out / "inputs.npz", count)
        pack(lead)
        heard = self._ask(lead, str(inputs), settings)
        _clean(lead, inputs)
        return {file.work.spec.key: facts_of(file.asked(), heard) for file in self.files}

    def _ask(self, lead: Work, inputs: str, settings: dict[str, Any]) -> Heard:
        """All the processes: first those that may stand beside others, then the timed ones, then one file alone."""
        named = self._named()
        shared = {"files": list(named.values()), "inputs": inputs, "batch_sizes": settings["batch_sizes"]}
        memory = one_file_alone.memory(lead, list(named.values()), inputs) if settings["memory"] else {}
        proof = ask(lead, "prove", lead.out / "prove", **shared)
        processes = [
            ask(lead, "time", lead.out / f"time-{number}", process=number, **shared, **rule(settings))
            for number in range(settings["processes"])
        ]
        return Heard(
            processes=processes,
            proof=by_digest(proof),
            memory=memory,
            start=one_file_alone.start(lead, [named[file.digest] for file in self._asking("start")], inputs),
            energy=one_file_alone.energy(lead, [named[file.digest] for file in self._asking("energy")], inputs),
            round_call_count=rule(settings)["round_call_count"],
        )

    def _named(self) -> dict[str, dict[str, str]]:
        """Digest -> a job's entry, of all that take part."""
        paths = {digest: path for file in self.files for digest, path in file.paths().items()}
        return {digest: {"digest": digest, "path": str(path)} for digest, path in paths.items()}

    def _asking(self, what: str) -> list[_File]:
        """The files for which a setting is true, each content once."""
        return list({file.digest: file for file in self.files if file.work.spec.settings[what]}.values())


def rule(settings: dict[str, Any]) -> dict[str, int]:
    """How long to time, as a job says it."""
    calls = settings["calls"]
    return {"round_call_count": max(1, calls // ROUNDS), "min_calls": calls, "min_ns": round(settings["seconds"] * 1e9)}


def _clean(work: Work, inputs: Path) -> None:
    """Remove what the processes wrote; all of it is in the facts."""
    for folder in work.out.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    work.remove([inputs.name, PROGRAM])
