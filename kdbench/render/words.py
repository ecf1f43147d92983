"""The sentences and names that every form of the report shares."""

from collections.abc import Sequence

from kdbench import stats
from kdbench.evidence import Evidence, Setting
from kdbench.records import Environment

EXPLAINED = {
    stats.MOSTLY_OVERHEAD: "the cost of calling the runtime, not the model, decides this latency: a smaller model will "
    "hardly be faster here",
    stats.CONTENDED: "contended: other work took processor time during the measurement, so the tail is unreliable",
    stats.PROCESSES_DISAGREE: "unstable: the measuring processes' medians lie more than 10 % apart",
    stats.TOO_FEW: "too few samples or processes for an interval one can rely on",
}
"""What a word of `kdbench.stats` means to a reader."""


def explained(warning: str) -> str:
    """A warning as a sentence part; sentences stay as they are."""
    return EXPLAINED.get(warning, warning)


def setting_name(evidence: Evidence, setting: Setting) -> str:
    """ "batch 1", with the target where there are several."""
    target, batch = setting
    return f"batch {batch}" if len(evidence.targets) < 2 else f"{target}, batch {batch}"


def setting_place(setting: Setting) -> str:
    """Target and batch size, whole."""
    return f"{setting[0]}, batch {setting[1]}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def counted(count: int, noun: str) -> str:
    """1 case, 2 cases."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def processor(evidence: Evidence) -> str:
    """What it ran on, as the environment records say it; empty where none does."""
    names = []
    for record in evidence.results.of(Environment):
        facts = record.facts or {}
        names += [str(facts[key]) for key in ("processor", "cpu_model", "cpu", "gpu_name", "gpu") if facts.get(key)]
    return listed(list(dict.fromkeys(names)))


def seeds_name(evidence: Evidence) -> str:
    """n = 3 seeds."""
    return f"n = {counted(len(evidence.results.plan.seeds), 'seed')}"
