"""Parts of sentences about a choice, for `kdbench choose` and for the report's answer."""

from collections.abc import Callable

from kdbench import units
from kdbench.choose import DeviceChoice, Limits, Miss
from kdbench.evidence.differences import Difference
from kdbench.evidence.intervals import Estimate
from kdbench.render.words.words import listed, quoted
from kdbench.scale import ACCURACY, Scale

VALUES: dict[str, Callable[[float], str]] = {
    "latency_p50": lambda ns: f"p50 {units.latency(ns)}",
    "bytes": lambda count: f"a file of {units.size(count)}",
    "memory": lambda count: f"{units.size(count)} of memory",
}
"""A number that a limit bounds, as text; a drop has its metric's own."""
VALIDATION_SEEN = (
    "Some cases start from weights of a file, which may have been trained on the validation examples: those were taken "
    "from the training examples."
)
"""Why validation was passed over. A task says `validation_unseen: true` where it is not so."""
SAME_SIZE = 1.005
"""Files whose sizes have a smaller ratio are called equally large."""


def within(limits: Limits, baseline: str, scale: Scale) -> str:
    """ ", with p50 at most 2ms"; empty without limits."""
    text, side = limits.written(), "below" if scale.higher else "above"
    asked = {
        "latency_p50": f"p50 at most {text.get('latency_p50')}",
        "bytes": f"a file of at most {text.get('bytes')}",
        **{key: f"at most {lost} {side} {quoted(baseline)}" for key, lost in limits.losses.items()},
        "memory": f"at most {text.get('memory')} of memory",
    }
    return ", with " + listed([words for name, words in asked.items() if name in text]) if text else ""


def limited(miss: Miss, scale: Scale) -> str:
    """A number that a limit bounds: p50 1.2 ms, 1.7 points below the baseline, 0.6 MW above the baseline."""
    if miss.limit in VALUES:
        return VALUES[miss.limit](miss.value)
    lost = f"{units.percent(miss.value)} %" if miss.is_share else scale.amount(miss.value)
    return f"{lost} {'below' if scale.higher else 'above'} the baseline"


def assured(device: DeviceChoice) -> str:
    """Whether the pick keeps to the limit on the metric for certain; empty where that is not limited."""
    if device.assured is None or device.pick is None:
        return ""
    ((_, text),) = device.limits.losses.items()
    if device.pick.case not in device.assured:
        return f"by its mean it keeps to {text}; that it does cannot be told for certain"
    return f"it keeps to {text} for certain (one-sided 5 %, adjusted by Holm for all candidates)"


def nothing(device: DeviceChoice, scale: Scale) -> str:
    """Why nothing is chosen on a device, as a sentence without its beginning."""
    if device.undecided is not None:
        return f"no choice is made: {device.undecided}."
    ways = "; ".join(_obstacle(device.limits, miss, scale) for miss in device.obstacles)
    return f"nothing fits. In the way: {ways}."


def _obstacle(limits: Limits, miss: Miss, scale: Scale) -> str:
    """`a` comes nearest with 12.0 MiB of memory against 8MiB (1.5x), and keeps to every other limit."""
    alone = ", and keeps to every other limit" if miss.alone else ", and misses other limits too"
    ratio = f" ({units.ratio(miss.value / miss.bound)})" if miss.limit in VALUES else ""
    missing = f"{limited(miss, scale)} against {limits.written()[miss.limit]}{ratio}"
    return f"{quoted(miss.case)} comes nearest with {missing}{alone if len(limits.written()) > 1 else ''}"


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


def change(difference: Difference, scale: Scale) -> str:
    """Loses 0.4 points (−0.1 to 0.9); has an RMSE higher by 0.4 MW (0.1 to 0.7).

    One that is shown as 0 is neither a gain nor a loss.
    """
    sign = 1 if difference.value > 0 else -1
    if difference.low is None or difference.high is None:
        return _changed(sign, scale.text(abs(difference.value)), scale)
    if difference.low == difference.high == 0:
        return "is right on exactly the same examples" if scale.is_fraction else f"has exactly the same {scale.name}"
    low, high = sorted((sign * difference.low, sign * difference.high))
    decimals = scale.decimals([(high - low) / 2])
    value = scale.text(abs(difference.value), decimals)
    if _is_zero(value):
        low, high = sorted((difference.low, difference.high))
    return f"{_changed(sign, value, scale)} ({scale.text(low, decimals)} to {scale.text(high, decimals)})"


def _changed(sign: int, amount: str, scale: Scale) -> str:
    """Gains 0.4 points; of another metric than accuracy its name too."""
    by = f"{amount} {scale.of_differences}".rstrip()
    named = "" if scale.name == ACCURACY else f" of {scale.name}"
    if _is_zero(amount):
        return f"differs by {by}{named}"
    if scale.is_fraction and scale.higher:
        return f"{'gains' if sign > 0 else 'loses'} {by}{named}"
    return f"{'raises' if sign > 0 else 'lowers'} {scale.name} by {by}"


def best(scale: Scale) -> str:
    """What the best case is called: the most accurate, the one with the lowest RMSE."""
    if scale.name == ACCURACY:
        return "the most accurate"
    return f"the one with the {'highest' if scale.higher else 'lowest'} {scale.name}"


def _is_zero(text: str) -> bool:
    return not text.strip("0.,")
