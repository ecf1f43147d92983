"""How long one file takes, alone or against another: samples, and the numbers that they give."""

from dataclasses import dataclass, field

from kdbench import stats

MAX_RATIO = 1.03
Samples = tuple[tuple[int, ...], ...]
"""[process][i]: nanoseconds of one call each, in the order they were made."""


class Verdict(str):
    """ "ok", "slower" or "cannot tell", by the gate's two stages (kdbench.timing.verdict_rule)."""

    said: str
    """The numbers behind it, as a sentence."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """New over reference, from rounds in which both took turns; above 1 is slower."""

    value: float
    """The median of the processes that decided."""
    low: float
    high: float
    """The range of these processes; of seven, without the lowest and the highest."""
    verdict: str
    """A `Verdict`, whatever text it is made from: a failing comparison with it shows the ratio."""
    max_ratio: float
    """The slow-down that must not go unseen."""
    reference_samples_ns: Samples = field(default=(), repr=False)

    def __post_init__(self) -> None:
        verdict = Verdict(self.verdict)
        verdict.said = (
            f"{self.value:.3f} times the reference's latency ({self.low:.3f} to {self.high:.3f} over the processes); "
            f"a slow-down of {self.max_ratio:g} must not go unseen."
        )
        object.__setattr__(self, "verdict", verdict)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One file on one provider at one batch size."""

    model: str
    provider_asked: str
    """onnxruntime's name of it; it ran kernels of the file, or there would be no result."""
    providers_got: tuple[str, ...]
    kernel_ns_by_provider: dict[str, int]
    """Kernel times of one call that was profiled and not timed."""
    runtime: str
    """Name and version."""
    target: str
    """Provider, threads and precision as they were asked for: cpu-1t-fp32."""
    effective_precision: str | None
    """Precision of its convolutions and matrix products, where the runtime tells."""
    batch_size: int
    samples_ns: Samples = field(repr=False)
    warnings: tuple[str, ...]
    """Faults of the machine or the samples, in the words of kdbench.stats."""
    ratio: Ratio | None = None
    """Against another file, where one was given."""

    @property
    def p50_ns(self) -> float:
        """The median of the processes' medians: each counts once."""
        return stats.median_of_process_medians(self.samples_ns)

    @property
    def p90_ns(self) -> float | None:
        """The 90th percentile of all calls; None below 64 of them."""
        return stats.percentile(self._pooled(), 0.9)

    @property
    def p99_ns(self) -> float | None:
        """The 99th percentile of all calls; None below 662 of them."""
        return stats.percentile(self._pooled(), 0.99)

    @property
    def setting(self) -> str:
        """Target and batch size: cpu-1t-fp32/batch 1."""
        return f"{self.target}/batch {self.batch_size}"

    def _pooled(self) -> list[int]:
        return [sample for process in self.samples_ns for sample in process]
