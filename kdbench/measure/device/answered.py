"""A model's answers as a bundle and a record carry them: what each output decides, and its numbers where they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdbench.errors import MeasureError
from kdbench.files import reason
from kdbench.measure.decisions import agreement, decide

if TYPE_CHECKING:
    from kdbench.ragged import Stored

Entries = Mapping[str, Any]
"""Those of an .npz: `0` has the decisions of the first output, `0_outputs` its numbers, `1` and `1_outputs` the next
one's; where examples differ in length with `_offsets` beside them."""
MOST_NUMBER_BYTES = 4 * 2**20
"""Bytes of numbers that a bundle expects of each output of each model: as many examples as fit; all decisions."""


@dataclass(frozen=True)
class Carried:
    """One output of the task, and what of it goes home."""

    name: str
    kind: str
    blank: int = 0
    numbers: bool = False
    """Whether its numbers go home beside what they decide: a metric needs them."""


def carried_entries(outputs: Sequence[Carried], answers: Sequence[Stored]) -> dict[str, Any]:
    """What a device's record has of one model's answers to all examples."""
    from kdbench.ragged import as_entries

    found: dict[str, Any] = {}
    for number, (output, given) in enumerate(zip(outputs, answers)):
        found.update(as_entries(str(number), decided(output, given)))
        if output.numbers:
            found.update(as_entries(f"{number}_outputs", given))
    return found


def expected_entries(outputs: Sequence[Carried], answers: Sequence[Stored]) -> dict[str, Any]:
    """What a bundle expects of one model: all decisions, and the numbers of its first examples."""
    import numpy

    from kdbench.ragged import as_entries, chosen

    found: dict[str, Any] = {}
    for number, (output, given) in enumerate(zip(outputs, answers)):
        found.update(as_entries(str(number), decided(output, given)))
        values = given if isinstance(given, numpy.ndarray) else given.values
        count = max(1, min(len(given), len(given) * MOST_NUMBER_BYTES // max(1, values.nbytes)))
        found.update(as_entries(f"{number}_outputs", chosen(given, numpy.arange(count))))
    return found


def decided(output: Carried, answers: Stored) -> Stored:
    """Decisions of an output's answers to all examples."""
    import numpy

    from kdbench.ragged import Ragged

    found = decide(output.kind, answers, output.blank)
    return found if isinstance(found, numpy.ndarray) else Ragged.of(found)


def compared(output: Carried, number: int, answers: Stored, expected: Entries) -> dict[str, float]:
    """How far an output's answers are those that a bundle expects.

    Raises MeasureError where these have another shape.
    """
    import numpy

    from kdbench.ragged import from_entries

    wanted, numbers = from_entries(expected, str(number)), from_entries(expected, f"{number}_outputs")
    if wanted is None or numbers is None or not len(numbers):
        raise MeasureError(f"the bundle says nothing of the output '{output.name}'; copy it again.")
    try:
        given = [(numpy.asarray(answers[place]), numpy.asarray(numbers[place])) for place in range(len(numbers))]
        unlike = next(((len(answers), *one.shape) for one, two in given if one.shape != two.shape), None)
        if unlike is not None or len(wanted) != len(answers):
            raise MeasureError(f"'{output.name}' has another shape here than expected, {unlike or (len(answers),)}.")
        share = agreement(output.kind, decided(output, answers), wanted)
        difference = float(max(numpy.abs(one - two).max(initial=0.0) for one, two in given))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise MeasureError(f"what is expected of '{output.name}' cannot be compared ({reason(error)}).") from None
    if not numpy.isfinite([share, difference]).all():
        raise MeasureError(f"what is expected of '{output.name}' are no finite numbers; copy the bundle again.")
    return {"agreement_fraction": share, "max_abs_difference": difference}
