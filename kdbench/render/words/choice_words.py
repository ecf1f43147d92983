"""Parts of sentences about a choice, for `kdbench choose` and for the report's answer."""

from collections.abc import Callable

from kdbench import units
from kdbench.choose import DeviceChoice, Limits, Miss
from kdbench.evidence.intervals import Difference, Estimate
from kdbench.render.words.words import listed, quoted

VALUES: dict[str, Callable[[float], str]] = {
    "accuracy_drop": lambda rate: f"{units.percent(rate)} points below the baseline",
    "latency_p50": lambda ns: f"p50 {units.latency(ns)}",
    "bytes": lambda count: f"a file of {units.size(count)}",
    "memory": lambda count: f"{units.size(count)} of memory",
}
"""A number that a limit bounds, as text."""
VALIDATION_SEEN = (
    "Some cases start from weights of a file, which may have been trained on the validation examples: those were taken "
    "from the training examples."
)
"""Why validation was passed over. A task says `validation_unseen: true` where it is not so."""
SAME_SIZE = 1.005
"""Files whose sizes have a smaller ratio are called equally large."""


def within(limits: Limits, baseline: str) -> str:
    """ ", with p50 at most 2ms"; empty without limits."""
    text = limits.written()
    asked = {
        "latency_p50": f"p50 at most {text.get('latency_p50')}",
        "bytes": f"a file of at most {text.get('bytes')}",
        "accuracy_drop": f"at most {text.get('accuracy_drop')} below {quoted(baseline)}",
        "memory": f"at most {text.get('memory')} of memory",
    }
    return ", with " + listed([words for name, words in asked.items() if name in text]) if text else ""


def nothing(device: DeviceChoice) -> str:
    """Why nothing is chosen on a device, as a sentence without its beginning."""
    if device.undecided is not None:
        return f"no choice is made: {device.undecided}."
    ways = "; ".join(_obstacle(device.limits, miss) for miss in device.obstacles)
    return f"nothing fits. In the way: {ways}."


def _obstacle(limits: Limits, miss: Miss) -> str:
    """`a` comes nearest with 12.0 MiB of memory against 8MiB (1.5x), and keeps to every other limit."""
    alone = ", and keeps to every other limit" if miss.alone else ", and misses other limits too"
    ratio = f" ({units.ratio(miss.value / miss.bound)})" if miss.limit != "accuracy_drop" else ""
    missing = f"{VALUES[miss.limit](miss.value)} against {limits.written()[miss.limit]}{ratio}"
    return f"{quoted(miss.case)} comes nearest with {missing}{alone if len(limits.bounds()) > 1 else ''}"


def faster(speedup: Estimate, reference: str) -> str:
    """A ratio in the direction in which it is above 1; one whose interval holds 1 says so."""
    low, high = speedup.low, speedup.high
    if low is not None and high is not None and low <= 1 <= high:
        return f"is as fast as {reference}, {units.ratio(speedup.value, low, high)}"
    if speedup.value >= 1:
        return f"is {units.ratio(speedup.value, low, high)} faster than {reference}"
    turned = (None, None) if low is None or high is None else (1 / high, 1 / low)
    return f"is {units.ratio(1 / speedup.value, *turned)} slower than {reference}"


def smaller(ratio: float) -> str:
    """8.0x smaller; of a ratio of sizes, the other's over its own."""
    larger = max(ratio, 1 / ratio)
    if larger < SAME_SIZE:
        return "of the same size"
    return f"{units.ratio(larger)} {'smaller' if ratio > 1 else 'larger'}"


def change(difference: Difference) -> str:
    """Loses 0.4 points (−0.1 to 0.9); one that is shown as 0 is neither a gain nor a loss."""
    verb, sign = ("gains", 1) if difference.value > 0 else ("loses", -1)
    if difference.low is None or difference.high is None:
        return _changed(verb, units.percent(abs(difference.value)))
    if difference.low == difference.high == 0:
        return "is right on exactly the same examples"
    low, high = sorted((sign * difference.low, sign * difference.high))
    decimals = units.decimals_for([50 * (high - low)])
    value = units.percent(abs(difference.value), decimals)
    if float(value) == 0:
        low, high = sorted((difference.low, difference.high))
    return f"{_changed(verb, value)} ({units.percent(low, decimals)} to {units.percent(high, decimals)})"


def _changed(verb: str, points: str) -> str:
    return f"{verb} {points} points" if float(points) else f"differs by {points} points"
