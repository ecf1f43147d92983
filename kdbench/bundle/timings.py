"""Makes facts of a device's answers about one file, by the rules that the measure stage follows here."""

from typing import Any

from kdbench.bundle.answers import Answers, Group, Predicted, Proved, ProvedFile, Timed, TimedFile
from kdbench.errors import KdbenchError, MeasureError, RecordError
from kdbench.timing import facts

UNPROVED = MeasureError("the run was stopped before it was proved which provider runs it.")


def facts_of(answers: Answers, digest: str, wanted: dict[str, str]) -> "list[dict[str, Any]] | KdbenchError":
    """The facts on a file's latency, memory and start at all lengths, or the error that says why there are none; an
    empty list where the run was stopped before they were measured.

    wanted: role -> digest of the file that it is compared with.
    Raises RecordError where answers contradict one another.
    """
    predicted = answers.predicted.get(digest)
    if not isinstance(predicted, Predicted):
        return predicted or []
    found: list[dict[str, Any]] = []
    for at in range(len(answers.header.measure.lengths)):
        facts = _facts_at(at, answers, digest, predicted, wanted)
        if isinstance(facts, KdbenchError):
            return facts
        found += facts
    return found


def _facts_at(
    at: int, answers: Answers, digest: str, predicted: Predicted, wanted: dict[str, str]
) -> "list[dict[str, Any]] | KdbenchError":
    """Those at one of the lengths."""
    group = _group(at, answers, digest, set(wanted.values()))
    if group is None:
        return []
    proof, timed = answers.proved.get(group, UNPROVED), []
    for answer in (proof, *answers.timed[group]):
        if isinstance(answer, MeasureError):
            return answer
        if isinstance(answer, Timed):
            timed.append(answer)
    assert isinstance(proof, Proved)
    references = {role: other for role, other in wanted.items() if _ran(other, proof, timed)}
    _check(answers, proof, timed, {digest, *references.values()})
    measure = answers.header.measure
    asked = facts.Asked(
        digest=digest,
        references=references,
        session={"threads_intra": 1, "threads_inter": 1, "graph_optimization": "all", **answers.header.session},
        batch_sizes=measure.batch_sizes,
        evaluated=predicted.decisions(0),
        memory=all((at, digest, size) in answers.memory for size in measure.batch_sizes),
        start=at == 0 and digest in answers.started,
        lengths=measure.lengths[at],
    )
    return facts.facts(asked, _heard(at, answers, timed, proof))


def _group(at: int, answers: Answers, digest: str, references: set[str]) -> Group | None:
    """The group in which a file was timed beside most of what it is compared with."""
    together = {
        group: set.union(set(), *(timed.digests for timed in processes if isinstance(timed, Timed)))
        for group, processes in answers.timed.items()
        if group[0] == at
    }
    fitting = [group for group, members in together.items() if digest in members or not members]
    return max(fitting, key=lambda group: len(references & together[group]), default=None)


def _ran(digest: str, proof: Proved, timed: list[Timed]) -> bool:
    """Whether a reference was timed without a failure; a failure belongs to the reference's own row."""
    entries = [*_timed(digest, timed), *_proved(digest, proof)]
    return len(entries) == 1 + len(timed) and not any(file.error for file in entries)


def _timed(digest: str, timed: list[Timed]) -> list[TimedFile]:
    return [file for answer in timed for file in answer.files if file.digest == digest]


def _proved(digest: str, proof: Proved) -> list[ProvedFile]:
    return [file for file in proof.files if file.digest == digest]


def _check(answers: Answers, proof: Proved, timed: list[Timed], digests: set[str]) -> None:
    """Raise RecordError where processes of one group contradict each other."""
    measure = answers.header.measure
    sizes = {str(size) for size in measure.batch_sizes}
    for digest in digests:
        entries, proved = _timed(digest, timed), _proved(digest, proof)
        if len(entries) != len(timed) or len(proved) != 1:
            raise _contradiction(answers, digest, "it is not in every process of its group")
        measured = [set(file.by_batch) for file in entries if not file.error]
        measured += [set(file.by_batch) for file in proved if not file.error]
        if any(found != sizes for found in measured):
            raise _contradiction(answers, digest, "its batch sizes are not those that were asked for")
        for size in sizes if not any(file.error for file in entries) else ():
            timings = [file.by_batch[size] for file in entries]
            if any(len(timing.samples_ns) % measure.round_call_count for timing in timings):
                raise _contradiction(answers, digest, "its calls are no whole rounds")
            if len({bool(timing.thread_cpu_ns) for timing in timings}) > 1:
                raise _contradiction(answers, digest, "only some of its processes read their processor time")


def _contradiction(answers: Answers, digest: str, what: str) -> RecordError:
    return RecordError(
        f"the record of {answers.header.device} contradicts itself: of the file {digest[:16]}, {what}; run the bundle "
        "again."
    )


def _heard(at: int, answers: Answers, timed: list[Timed], proof: Proved) -> facts.Heard:
    header = answers.header
    return facts.Heard(
        processes=[answer.made(header.runtime, header.runtime_version) for answer in timed],
        proof=proof.made(header.runtime, header.runtime_version),
        memory={
            (digest, size): peak if isinstance(peak, MeasureError) else peak.made()
            for (place, digest, size), peak in answers.memory.items()
            if place == at
        },
        start={
            digest: found if isinstance(found, MeasureError) else [each.made() for each in found]
            for digest, found in answers.started.items()
        },
        energy={},
        round_call_count=header.measure.round_call_count,
    )
