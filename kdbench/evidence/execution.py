"""Where each file ran: nodes and kernel time by provider, the precision, and whether the answers were the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.measure.runtimes import OWN, runtime_class
from kdbench.results.records import Latency

Counts = dict[str, float]
"""Provider -> its number. The asked provider comes first, then the others, the largest number first."""
SYNCHRONOUS = frozenset(
    provider.name
    for place in OWN.values()
    for provider in runtime_class(place).providers.values()
    if not provider.is_asynchronous
)
"""Providers whose profile holds how long a kernel worked; others only say how long starting it took."""


@dataclass(frozen=True)
class ExecutionView:
    """One case at one setting, over all its seeds. None or empty: not recorded."""

    asked: str
    """The provider that was asked for, by its runtime's name."""
    node_counts: Counts
    """Nodes of the file's graph that each provider was given, before fusion; mean over seeds."""
    kernel_counts: Counts
    """Kernels of one inference by provider; mean over seeds. A graph that a provider took whole counts as one."""
    kernel_time_shares: Counts
    """Share of kernel time by provider; empty for an asynchronous provider."""
    is_asynchronous: bool
    precision_asked: str
    effective_precisions: tuple[str, ...]
    """One, unless the seeds differ."""
    int8_kernel_fraction: float | None
    """Share of convolutions and matrix products that ran in int8; mean over seeds."""
    answers_agreement: float | None
    """Share of the timed examples for which the timed sessions gave the evaluated class; the lowest of all seeds."""
    options: dict[str, str]
    """The options that the provider was given."""
    runtime: str
    notes: tuple[str, ...] = ()
    """What else the runtime said of how it computed."""

    @property
    def is_known(self) -> bool:
        """Whether a record says where it ran."""
        return bool(self.node_counts or self.kernel_counts)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The other providers that ran a part of it."""
        named = dict.fromkeys((*self.node_counts, *self.kernel_counts, *self.kernel_time_shares))
        return tuple(name for name in named if name != self.asked)

    @property
    def asked_share(self) -> float | None:
        """The asked provider's share of the work: of kernel time, else of nodes, else of kernels."""
        return _share(self.kernel_time_shares or self.node_counts or self.kernel_counts, self.asked)

    @property
    def node_share(self) -> float | None:
        """The share of nodes that the asked provider was given; where unknown, its share of kernels."""
        return _share(self.node_counts or self.kernel_counts, self.asked)


def execution_view(records: Sequence[Latency]) -> ExecutionView:
    """Combine the timings of one case at one setting, one record a seed."""
    first = records[0]
    asked = first.provider_asked
    is_asynchronous = asked not in SYNCHRONOUS
    times = {} if is_asynchronous else _means([record.kernel_ns_by_provider for record in records], asked)
    total = sum(times.values())
    int8 = [r.int8_kernel_fraction for r in records if r.int8_kernel_fraction is not None]
    agreements = [r.answers_agreement_fraction for r in records if r.answers_agreement_fraction is not None]
    return ExecutionView(
        asked=asked,
        node_counts=_means([record.assigned_node_count_by_provider for record in records], asked),
        kernel_counts=_means([record.node_count_by_provider for record in records], asked),
        kernel_time_shares={name: time / total for name, time in times.items()},
        is_asynchronous=is_asynchronous,
        precision_asked=first.precision,
        effective_precisions=tuple(dict.fromkeys(r.effective_precision for r in records if r.effective_precision)),
        int8_kernel_fraction=float(np.mean(int8)) if int8 else None,
        answers_agreement=min(agreements, default=None),
        options=dict(first.provider_options),
        runtime=f"{first.runtime} {first.runtime_version}",
        notes=tuple(dict.fromkeys(r.execution_note for r in records if r.execution_note)),
    )


def _means(counts: Sequence[Mapping[str, int] | None], first: str) -> Counts:
    """Means over seeds by name: `first`, then the largest. Empty where a seed has none, or all are zero."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one or {})
    if not all(counts) or not sum(total.values()):
        return {}
    ordered = [first, *(name for name, count in total.most_common() if name != first and count)]
    return {name: total[name] / len(counts) for name in ordered}


def _share(counts: Counts, name: str) -> float | None:
    return counts[name] / sum(counts.values()) if counts else None
