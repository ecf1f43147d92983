"""A metric's values and differences as text, in its own unit and direction. Knows no record and no metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kdbench import units

FRACTION = "fraction"
ACCURACY = "accuracy"
MOST_DECIMALS = 6


WAYS = {"higher": "drop", "lower": "rise"}
"""Which values are better -> what a loss is called."""


@dataclass(frozen=True)
class Scale:
    """How the values of one metric are written, and which way is better."""

    name: str = ACCURACY
    """The metric's label, as it stands in mid-sentence."""
    unit: str = FRACTION
    """"fraction": in per cent, differences in points; else the values' own unit, "" for a plain number."""
    higher: bool = True
    """Whether larger values are better."""

    @classmethod
    def of(cls, name: str, unit: str, unit_name: str, direction: str) -> "Scale":
        """From what a metric declares (`kdbench.protocols.metric`)."""
        return cls(name, FRACTION if unit == FRACTION else unit_name, direction == "higher")

    @property
    def way(self) -> str:
        """Where a value goes that gets worse: it drops, or rises."""
        return WAYS["higher" if self.higher else "lower"]

    @property
    def heading(self) -> str:
        """The name at the head of a column or a sentence."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def article(self) -> str:
        """Before the name: an accuracy, a macro F1, an RMSE."""
        spelt = self.name[:2].isupper()
        return "an" if self.name[:1] in ("AEFHILMNORSX" if spelt else "aeiou") else "a"

    @property
    def is_fraction(self) -> bool:
        return self.unit == FRACTION

    @property
    def of_values(self) -> str:
        """The unit of a value, as a heading has it: "%", "MW"; "" for a plain number."""
        return "%" if self.is_fraction else self.unit

    @property
    def of_differences(self) -> str:
        """The unit of a difference: "points", "MW"."""
        return "points" if self.is_fraction else self.unit

    @property
    def factor(self) -> float:
        """What a value is multiplied with where numbers stand without their unit, on the axis of a figure."""
        return 100.0 if self.is_fraction else 1.0

    @property
    def axis(self) -> str:
        """The label of an axis: accuracy, %; RMSE, MW."""
        return f"{self.name}, {self.of_values}" if self.of_values else self.name

    def goodness(self, value: float) -> float:
        """The value, or its negative where lower is better: the larger the better."""
        return value if self.higher else -value

    def decimals(self, uncertainties: Sequence[float], values: Sequence[float] = ()) -> int:
        """Decimals in which values of such an uncertainty are written: to its first digit's place.

        Without an uncertainty three digits of the smallest of `values`.
        """
        if self.is_fraction:
            return units.decimals_for([100 * one for one in uncertainties])
        known = sorted(one for one in uncertainties if one > 0)
        if known:
            return min(MOST_DECIMALS, max(0, -math.floor(math.log10(known[len(known) // 2]))))
        smallest = min((abs(value) for value in values if value), default=1.0)
        return min(MOST_DECIMALS, max(0, 2 - math.floor(math.log10(smallest))))

    def text(self, value: float, decimals: int | None = None) -> str:
        """A value without its unit: 96.7, 0.432."""
        if self.is_fraction:
            return units.percent(value, 1 if decimals is None else decimals)
        return units.three_digits(value) if decimals is None else units.number(value, decimals)

    def said(self, value: float, decimals: int | None = None) -> str:
        """A value with its unit: 96.7 %, 0.432 MW, 0.91."""
        return f"{self.text(value, decimals)} {self.of_values}".rstrip()

    def amount(self, difference: float, decimals: int | None = None) -> str:
        """The size of a difference with its unit, without its sign: 0.8 points, 0.4 MW."""
        return f"{self.text(abs(difference), decimals)} {self.of_differences}".rstrip()

    def interval(self, value: float, low: float | None, high: float | None, decimals: int) -> str:
        """96.7 ± 0.9, or 98.0 (93.1 to 99.4) where one side is wider; without an interval the value alone."""
        text = self.text(value, decimals)
        if low is None or high is None:
            return text
        above, below = high - value, value - low
        if math.isclose(above, below, rel_tol=1e-6) or self.text(above, decimals) == self.text(below, decimals):
            return f"{text} ± {self.text((high - low) / 2, decimals)}"
        return f"{text} ({self.text(low, decimals)} to {self.text(high, decimals)})"

    def change(self, difference: float, decimals: int | None = None) -> str:
        """A difference without its unit, always with its sign; zero has none."""
        text = self.text(difference, decimals)
        return f"+{text}" if difference > 0 and text.strip("0.") else text

    def change_interval(self, difference: float, low: float | None, high: float | None, decimals: int = 1) -> str:
        """+0.4 (−0.1 to 0.9); without an interval the difference alone."""
        text = self.change(difference, decimals)
        return (
            text
            if low is None or high is None
            else f"{text} ({self.text(low, decimals)} to {self.text(high, decimals)})"
        )
