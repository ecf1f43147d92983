"""The sentences and names that every form of the report shares."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench import stats
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.measure.target_id import HERE, TargetName, target_name
from kdbench.results.records import Environment
from kdbench.results.reference import is_reference

EXPLAINED = {
    stats.MOSTLY_OVERHEAD: "the cost of calling the runtime, not the model, decides this latency: a smaller model will "
    "hardly be faster here",
    stats.CONTENDED: "contended: other work took processor time during the measurement, so the tail is unreliable",
    stats.STOLEN: "stolen: this machine is a virtual one and its host withheld processor time during the measurement, "
    "so the tail is unreliable",
    stats.PROCESSES_DISAGREE: "unstable: the measuring processes' medians lie more than 10 % apart",
    stats.TOO_FEW: "too few samples or processes for an interval one can rely on",
}
"""Warning word of `kdbench.stats` -> its meaning for a reader."""
NOT_TIMED = "no latency was recorded"
UNRELIABLE_TAIL = (stats.CONTENDED, stats.STOLEN)
"""Words after which high percentiles tell of the neighbours, not of the file."""


def explained(warning: str) -> str:
    """A warning as a sentence part; sentences stay as they are."""
    return EXPLAINED.get(warning, warning)


def target_place(target: str) -> str:
    """ "cpu, 1 thread" for local-cpu-1t-fp32; a name that says less is its own words."""
    name = target_name(target)
    return _place(name, threads_name(target)) if name else target


def provider_place(target: str) -> str:
    """Like `target_place`, without the threads."""
    name = target_name(target)
    return _place(name, "") if name else target


def threads_name(target: str) -> str:
    """ "2 threads"; a name that does not say how many is its own words."""
    name = target_name(target)
    return counted(name.threads, "thread") if name else target


def _place(name: TargetName, threads: str) -> str:
    parts = [
        "" if name.device == HERE else name.device,
        f"{name.provider.replace('_', ' ')} (reference)" if is_reference(name.provider) else name.provider,
        threads,
        "" if name.precision == "fp32" else name.precision,
        f"machine {name.machine}" if name.machine else "",
    ]
    return ", ".join(part for part in parts if part)


def setting_name(evidence: Evidence, setting: Setting) -> str:
    """ "batch 1", with the target where there are several."""
    target, batch = setting
    return f"batch {batch}" if len(evidence.targets) < 2 else f"{target_place(target)}, batch {batch}"


def setting_place(setting: Setting) -> str:
    """Target and batch size, whole."""
    return f"{target_place(setting[0])}, batch {setting[1]}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def quoted(name: str) -> str:
    """A case's name within a sentence: in backticks, and with none inside."""
    return f"`{name.replace('`', chr(39))}`"


def quoted_list(names: Sequence[str], most: int = 4) -> str:
    """The names, or how many cases they are where a sentence has no room for them."""
    return listed([quoted(name) for name in names]) if len(names) <= most else f"{len(names)} cases"


def counted(count: int, noun: str) -> str:
    """1 case, 2 cases."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def students(evidence: Evidence) -> list[CaseView]:
    """Every case but the teachers."""
    return [case for case in evidence.cases if not case.teaches]


def baseline_name(evidence: Evidence) -> str:
    """The baseline's name, or that each has its own where students differ."""
    names = {case.baseline for case in students(evidence) if case.baseline}
    return "its baseline" if len(names) > 1 else next(iter(names), evidence.results.plan.baseline)


def processor(evidence: Evidence) -> str:
    """The processors that the environment records name; empty where none does."""
    names = [name for record in evidence.results.of(Environment) for name in processors_of(record.facts)]
    return listed(list(dict.fromkeys(names)))


def processors_of(facts: Mapping[str, Any]) -> list[str]:
    """The processors and GPUs that the facts of one environment name."""
    named = [str(facts[key]) for key in ("processor", "cpu_model", "cpu", "gpu_name", "gpu") if facts.get(key)]
    return [*named, *(str(gpu) for gpu in facts.get("gpus") or ())]


def seeds_name(evidence: Evidence) -> str:
    """n = 3 seeds; of cases in which nothing is trained, that there are none."""
    if evidence.results.plan.cases and not any(case.trained for case in evidence.results.plan.cases.values()):
        return "nothing was trained, so no seeds"
    return f"n = {counted(len(evidence.results.plan.seeds), 'seed')}"
