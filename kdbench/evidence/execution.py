"""What ran where: shares of nodes and of kernel time by provider, precision, and whether the answers were the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.measure.providers import TABLE
from kdbench.results.records import Latency

Counts = dict[str, float]
"""Provider -> a number of its; the asked one first, then the others, the largest first."""
SYNCHRONOUS = frozenset(provider.name for provider in TABLE.values() if not provider.is_asynchronous)
"""Providers whose profile holds the time of a kernel's work, not of starting it."""


@dataclass(frozen=True)
class ExecutionView:
    """One case at one setting, its seeds together. What is None or empty was not recorded."""

    asked: str
    """The provider, as its runtime calls it."""
    node_counts: Counts
    """Nodes of the file's graph that each was given, before fusion: mean over seeds."""
    kernel_counts: Counts
    """Kernels of one inference: mean over seeds. A graph that a provider took whole is one."""
    kernel_time_shares: Counts
    """Empty for an asynchronous provider too."""
    is_asynchronous: bool
    precision_asked: str
    effective_precisions: tuple[str, ...]
    """One, unless the seeds differ."""
    int8_kernel_fraction: float | None
    """Of convolutions and matrix products; mean over seeds."""
    answers_agreement: float | None
    """Share of the timed examples that the timed sessions gave the evaluated class; the least of all seeds."""
    options: dict[str, str]
    """What the provider was told."""
    runtime: str

    @property
    def is_known(self) -> bool:
        """Whether anything says where it ran."""
        return bool(self.node_counts or self.kernel_counts)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Providers beside the asked one that had a part in it."""
        named = dict.fromkeys((*self.node_counts, *self.kernel_counts, *self.kernel_time_shares))
        return tuple(name for name in named if name != self.asked)

    @property
    def asked_share(self) -> float | None:
        """What the asked provider did: of kernel time, else of nodes, else of kernels."""
        return _share(self.kernel_time_shares or self.node_counts or self.kernel_counts, self.asked)

    @property
    def node_share(self) -> float | None:
        """What the asked provider was given of the nodes, else ran of the kernels."""
        return _share(self.node_counts or self.kernel_counts, self.asked)


def execution_view(records: Sequence[Latency]) -> ExecutionView:
    """From the records of a case's seeds."""
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
    )


def _means(counts: Sequence[Mapping[str, int] | None], first: str) -> Counts:
    """Means by name, `first` and then the largest first; empty where a seed lacks them or all are none."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one or {})
    if not all(counts) or not sum(total.values()):
        return {}
    ordered = [first, *(name for name, count in total.most_common() if name != first and count)]
    return {name: total[name] / len(counts) for name in ordered}


def _share(counts: Counts, name: str) -> float | None:
    return counts[name] / sum(counts.values()) if counts else None
