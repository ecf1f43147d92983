"""What a bundle expects its files to answer: compared with what the run recorded, before it is carried anywhere."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench import registry
from kdbench.bundle.rows import File
from kdbench.errors import StoreError
from kdbench.evidence import Results
from kdbench.measure.decisions import agreement, alike, differing
from kdbench.measure.device.answered import Carried
from kdbench.protocols import Output, TaskDescription
from kdbench.protocols.metric import metric_named
from kdbench.ragged import chosen, from_entries, same
from kdbench.results.predictions import WITH_OUTPUTS, Predictions
from kdbench.results.sample import Sample

LEAST_AGREEMENT = 0.99
"""The least agreement with what was recorded when a bundle is made. Near ties fall otherwise in another runtime, on
another processor or, with dynamic quantization, among other neighbours in a batch. A wrong file or wrong inputs fall
far below."""
LEAST_SAME_SEQUENCES = 0.9
"""The same share for sequences, which count as others once a single symbol is."""
FEW_NUMBERS = 2**20
"""So many bytes of an output's numbers go home from a device even if no metric of the task needs them: one that is
added later may."""

Entries = Mapping[str, Any]
Row = tuple[str, int]


def carried_outputs(task: TaskDescription, example_count: int) -> list[Carried]:
    """The task's outputs, and of which of them the numbers go home beside the decisions."""
    return [Carried(one.name, one.kind, one.blank, _are_numbers_kept(one, example_count)) for one in task.outputs]


def _are_numbers_kept(output: Output, example_count: int) -> bool:
    if output.kind not in WITH_OUTPUTS:
        return False
    registered = [metric_named(name) for name in output.metrics if not registry.is_file(name)]
    needed = any(metric.needs == "outputs" for metric in registered)
    return needed or 4 * example_count * output.width <= FEW_NUMBERS


def check_answers(
    results: Results, target: str, files: Sequence[File], sample: Sample, expected: Mapping[str, Entries]
) -> list[str]:
    """Compare the answers with those that the run recorded. Returns notes on files that differ a little.

    Raises StoreError where one differs by more.
    """
    recorded = _recorded(results, target)
    notes = []
    for file in files:
        for row in file.rows:
            name = f"{row[0]}, seed {row[1]},"
            for output, share in _agreements(results, row, recorded.get(row, {}), sample, expected[file.digest]):
                least = LEAST_SAME_SEQUENCES if output.kind == "sequence" else LEAST_AGREEMENT
                if share < least:
                    raise StoreError(
                        f"{name} {differing(output.kind, share)} here than was recorded; run the suite again on this "
                        "machine, then bundle."
                    )
                if not alike(output.kind, share):
                    notes.append(f"{name} {differing(output.kind, share)} here than was recorded.")
    return notes


def _recorded(results: Results, target: str) -> dict[Row, dict[str, Predictions | None]]:
    """Row -> output ("" for the first) -> what it was recorded to answer on the test split."""
    found: dict[Row, dict[str, Predictions | None]] = {}
    for record in results.scores():
        if record.target == target and record.split == "test":
            found.setdefault((record.case, record.seed), {})[record.output] = results.predictions(record)
    return found


def _agreements(
    results: Results,
    row: Row,
    recorded: Mapping[str, Predictions | None],
    sample: Sample,
    expected: Entries,
) -> Iterator[tuple[Output, float]]:
    """How far each output that decides agrees with what was recorded.

    Raises StoreError where there is no record, or that of other data.
    """
    folder: Path = results.folder
    found = recorded.get("")
    if found is None:
        raise StoreError(f"'{folder}' has no predictions of {row[0]}, seed {row[1]}; run the suite again.")
    if not same(chosen(found.targets, sample.index), sample.targets):
        raise StoreError(f"the sample in '{folder}' is not of the data that was tested; run the suite again.")
    for number, output in enumerate(results.outputs):
        stored = recorded.get(output.name if number else "")
        decided = from_entries(expected, str(number))
        if stored is not None and decided is not None:
            yield output, agreement(output.kind, chosen(stored.decisions, sample.index), decided)
