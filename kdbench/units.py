"""Turns numbers into text, and text with a unit into numbers; nothing else does. Numbers are in ns, bytes or rates."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

MISSING = "–"
"""Stands where there is no number; the reason is shown beside it."""
MINUS = "\N{MINUS SIGN}"
FIGURE_SPACE, PUNCTUATION_SPACE = "\N{FIGURE SPACE}", "\N{PUNCTUATION SPACE}"
BLANKS = str.maketrans(
    {
        **dict.fromkeys("0123456789±", FIGURE_SPACE),
        ".": PUNCTUATION_SPACE,
        ",": PUNCTUATION_SPACE,
        " ": "\N{NO-BREAK SPACE}",
    }
)
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Unit:
    """A unit's name, and how many base units (ns, bytes) it holds."""

    name: str
    size: float


NANOSECONDS = (Unit("ns", 1.0), Unit("µs", 1e3), Unit("ms", 1e6), Unit("s", 1e9))
BYTES = (Unit("B", 1.0), Unit("KiB", 2.0**10), Unit("MiB", 2.0**20), Unit("GiB", 2.0**30))
COUNTS = (Unit("", 1.0), Unit("k", 1e3), Unit("M", 1e6), Unit("G", 1e9))


def common_unit(values: Sequence[float], units: Sequence[Unit]) -> Unit:
    """The largest unit in which the smallest of `values` is at least 1: one heading for a whole column."""
    smallest = min((value for value in values if value > 0), default=0.0)
    return max((unit for unit in units if unit.size <= smallest), key=lambda unit: unit.size, default=units[0])


def decimals_for(uncertainties: Sequence[float]) -> int:
    """Decimals of a rate in per cent whose uncertainty is the middle one of these: its first digit's place, 1 or 2.

    One answer for a column keeps its decimal points under each other.
    """
    known = sorted(value for value in uncertainties if value > 0)
    if not known:
        return 1
    middle = known[len(known) // 2]
    exponent = math.floor(math.log10(middle))
    return min(2, max(1, -exponent))


def number(value: float, decimals: int) -> str:
    """A plain number with a real minus sign; never a negative zero."""
    text = f"{value:,.{decimals}f}"
    return f"{MINUS}{text[1:]}" if text.startswith("-") and text.strip("-0.,") else text.lstrip("-")


def three_digits(value: float) -> str:
    """Three significant digits, without an exponent: 0.0123, 1.23, 12.3, 1,230."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.2e}"))))
    return number(round(value, 2 - exponent), max(0, 2 - exponent))


def in_unit(value: float, unit: Unit) -> str:
    """Three digits of `value` (in base units) in `unit`, without its name: the heading has it."""
    return three_digits(value / unit.size)


def latency(nanoseconds: float) -> str:
    """52.1 µs: three digits and the unit that fits."""
    unit = common_unit([nanoseconds], NANOSECONDS)
    return f"{in_unit(nanoseconds, unit)} {unit.name}"


def size(count: float) -> str:
    """48.2 KiB: three digits and the unit that fits."""
    unit = common_unit([count], BYTES)
    return f"{number(count, 0) if unit.size == 1 else in_unit(count, unit)} {unit.name}"


def duration(nanoseconds: float) -> str:
    """How long something took: 0.4 s, 12 s, 3 min 05 s, 2 h 10 min."""
    seconds = nanoseconds / 1e9
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def period(first: str, last: str) -> str:
    """From one ISO 8601 moment to another, to the minute; text that is no moment stays as it is."""
    try:
        start, end = (datetime.fromisoformat(moment).astimezone(UTC) for moment in (first, last))
    except ValueError:
        return " to ".join(dict.fromkeys((first, last)))
    begun, ended = f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"
    if begun == ended:
        return f"{begun} UTC"
    return f"{begun} to {ended[11:] if begun[:10] == ended[:10] else ended} UTC"


def percent(rate: float, decimals: int = 1) -> str:
    """A rate (0 to 1) in per cent, without the sign: the heading or sentence has it."""
    return number(100 * rate, decimals)


def percent_interval(rate: float, half: float | None, decimals: int) -> str:
    """96.7 ± 0.9, both given as rates; without an interval the value alone."""
    if half is None:
        return percent(rate, decimals)
    return f"{percent(rate, decimals)} ± {percent(half, decimals)}"


def points(difference: float, decimals: int = 1) -> str:
    """A difference of two rates in points, always with its sign; zero has none."""
    text = percent(difference, decimals)
    return f"+{text}" if difference > 0 and text.strip("0.") else text


def points_interval(difference: float, low: float | None, high: float | None, decimals: int = 1) -> str:
    """+0.4 (−0.1 to 0.9) points; without an interval the value alone."""
    if low is None or high is None:
        return points(difference, decimals)
    return f"{points(difference, decimals)} ({percent(low, decimals)} to {percent(high, decimals)})"


def ratio(value: float, low: float | None = None, high: float | None = None) -> str:
    """3.1x (2.9 to 3.3): two digits, more where the interval is narrower than they show."""
    decimals = 0 if value >= 99.5 else 1 if value >= 9.95 else 2
    if low is None or high is None:
        return f"{number(value, decimals)}x"
    if decimals == 2 and high - low >= 0.15:
        decimals = 1
    return f"{number(value, decimals)}x ({number(low, decimals)} to {number(high, decimals)})"


def p_value(value: float) -> str:
    """0.031, 0.40, below a thousandth "< 0.001"."""
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def mark(place: int) -> str:
    """The sign of footnote number `place` (from 1)."""
    return str(place).translate(SUPERSCRIPTS)


def aligned(texts: Sequence[str]) -> list[str]:
    """The texts padded with blanks as wide as digits, so that right-aligned decimal points stand under each other."""
    tails = [len(text.partition(".")[2]) if _is_number(text) else 0 for text in texts]
    widest = max(tails, default=0)
    return [
        text + (PUNCTUATION_SPACE if tail == 0 and widest else "") + FIGURE_SPACE * (widest - tail)
        if _is_number(text)
        else text
        for text, tail in zip(texts, tails, strict=True)
    ]


def padded(text: str, longest: str) -> str:
    """The text, then blanks as wide as what `longest` has beyond it."""
    return text + longest[len(text) :].translate(BLANKS)


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or text.startswith(MINUS)


DURATIONS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}
"""Both signs for micro: U+00B5 and the Greek letter."""
SIZES = {
    **{"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9},
    **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
POINT_UNITS = {"pt": 0.01, "pts": 0.01, "%": 0.01}
"""Both mean a hundredth of the accuracy itself: 1 % of 90 % is not meant."""
NUMBER = r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
ANY_QUANTITY = re.compile(r"((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*([^\d.,+\s-].*|)")
QUANTITY = re.compile(NUMBER + r"\s*([a-zA-Zµμ%]*)")


def parse_duration(text: str) -> float:
    """Nanoseconds from text such as 2ms, 800us or 1.5 s. Raises ValueError."""
    return _above_zero(_parsed(text, DURATIONS, "a duration", "2ms"), text, "a duration")


def parse_size(text: str) -> float:
    """Bytes from text: 1MiB is 1,048,576, 1MB is 1,000,000. Raises ValueError."""
    return _above_zero(_parsed(text, SIZES, "a size", "1MiB"), text, "a size")


def parse_difference(text: str, what: str = "a drop in accuracy") -> float:
    """A difference of two rates from text: 1pt and 1% are 0.01; 0pt is allowed. Raises ValueError."""
    return _parsed(text, POINT_UNITS, what, "1pt")


def parse_quantity(text: str) -> tuple[float | None, str]:
    """A number and its unit, whatever that is: 0.4 MW, 3%, 5e-4; no number where there is none."""
    match = ANY_QUANTITY.fullmatch(text.strip())
    value = float(match[1]) if match else math.inf
    return (value, match[2].strip()) if match and math.isfinite(value) else (None, "")


def quantity_pattern(units: Collection[str]) -> str:
    """A regular expression for JSON Schema that matches a number with one of the units."""
    return rf"^\s*{NUMBER}\s*({'|'.join(units)})\s*$"


def _parsed(text: str, units: Mapping[str, float], what: str, example: str) -> float:
    match = QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(f"{what} is a number with one of {', '.join(units)}, such as {example}; got {text!r}")
    value = float(match[1]) * units[match[2]]
    if not math.isfinite(value):
        raise ValueError(f"{what} is a number that a computer can hold; got {text!r}")
    return value


def _above_zero(value: float, text: str, what: str) -> float:
    if value == 0:
        raise ValueError(f"{what} is above 0; got {text!r}")
    return value
