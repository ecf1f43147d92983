"""Examples per second, and the gain from larger batches and more threads on one provider. Knows no text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kdbench.evidence.grids import quotient
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.latency import LatencyView
from kdbench.evidence.views import CaseView, Evidence, Setting
from kdbench.measure.target_id import target_name
from kdbench.results.records import CallSize


@dataclass(frozen=True)
class ProviderSweep:
    """One provider of one device in one precision at each thread count and batch size it was measured with."""

    settings: tuple[Setting, ...]
    """Sorted by threads, then by batch size."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The provider's targets, the one with the fewest threads first."""
        return tuple(dict.fromkeys(target for target, _ in self.settings))

    @property
    def more_threads(self) -> tuple[tuple[Setting, Setting], ...]:
        """Pairs (setting with more threads, setting with the fewest) of the same batch size."""
        fewest = self.targets[0]
        pairs = ((setting, (fewest, setting[1])) for setting in self.settings if setting[0] != fewest)
        return tuple(pair for pair in pairs if pair[1] in self.settings)


def throughput(view: LatencyView, batch_size: int) -> Estimate:
    """Examples per second of one caller whose calls follow each other: batch size / p50, with the p50's interval."""
    return _a_second(view, batch_size)


def amount_throughput(evidence: Evidence, case: CaseView, setting: Setting) -> tuple[Estimate, str] | None:
    """Tokens, or seconds of sound, per second of such a caller, and their name.

    None where a case was not timed there, or examples do not vary in length.
    """
    view, told = case.latency.get(setting), evidence.results.amount(setting[1])
    return None if view is None or told is None else (_a_second(view, told[0]), told[1])


def _a_second(view: LatencyView, amount: float) -> Estimate:
    """amount / p50, for so much of something in a call."""
    p50, whole = view.p50_ns, 1e9 * amount
    low = None if p50.high is None else whole / p50.high
    high = None if p50.low is None else whole / p50.low
    return Estimate(whole / p50.value, low, high, tuple(whole / value for value in p50.values))


def is_varied(evidence: Evidence) -> bool:
    """Whether more than one batch size or thread count was measured: else throughput is the latency again."""
    threads = {name.threads for target, _ in evidence.settings if (name := target_name(target))}
    return len(threads) > 1 or len({batch for _, batch in evidence.settings}) > 1


def provider_sweeps(evidence: Evidence) -> tuple[ProviderSweep, ...]:
    """Every provider that was measured at several settings, in the order of the targets."""
    found: dict[object, list[Setting]] = {}
    for setting in evidence.settings:
        found.setdefault(_provider(setting[0]), []).append(setting)
    return tuple(ProviderSweep(tuple(sorted(several, key=_order))) for several in found.values() if len(several) > 1)


def _provider(target: str) -> object:
    """A key that is equal for targets that differ in their threads alone. A name without threads is its own key."""
    name = target_name(target)
    return replace(name, threads=0) if name else target


def _order(setting: Setting) -> tuple[int, CallSize]:
    name = target_name(setting[0])
    return (name.threads if name else 0, setting[1])


def speedup_over(case: CaseView, setting: Setting, other: Setting, of: CaseView | None = None) -> Estimate | None:
    """The latency at another setting, of the same case or of another, / a case's at this one; None where untimed.

    The two were timed one after the other, so the machine's drift between them is in the ratio.
    """
    before = (of or case).latency.get(other)
    if setting not in case.latency or before is None:
        return None
    return quotient(before.p50_ns, case.latency[setting].p50_ns)


def outstanding(found: Mapping[Setting, Estimate]) -> Setting | None:
    """The setting with the highest throughput, if its interval lies above every other; else None."""
    if len(found) < 2:
        return None
    best = max(found, key=lambda setting: found[setting].value)
    overlapping = (found[best].overlaps(other) for setting, other in found.items() if setting != best)
    return None if any(overlapping) else best
