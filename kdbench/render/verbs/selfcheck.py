"""The findings of a self-check, as text and as JSON."""

import json
import math
from dataclasses import asdict

from kdbench import units
from kdbench.check.resampled_noise import MOST_FALSE, TOLERANCES
from kdbench.check.selfcheck import SelfCheck
from kdbench.evidence.intervals import LEVEL
from kdbench.render.words.words import counted

WIDTH = 18


def selfcheck_text(found: SelfCheck) -> str:
    """A line for each thing to know, then whether the tolerance is sound here, and what so few pairs cannot say."""
    lines = [f"  {name:<{WIDTH}} {said}" for name, said in _facts(found).items()]
    return "\n".join([_head(found), *lines, verdict(found), *_few(found)])


def selfcheck_json(found: SelfCheck) -> str:
    """Everything, the raw ratios included."""
    low, high = found.false_alarms
    said = {
        "pair_count": len(found.trials),
        "false_alarm_count": found.alarms,
        "false_alarm_interval": [low, high],
        "undecided_count": found.doubts,
        "second_stage_count": found.confirmations,
        "wall_ns_per_row": found.wall_ns,
        "sound": found.is_sound,
        "said": verdict(found),
    }
    return json.dumps({**said, **asdict(found)}, indent=1)


def verdict(found: SelfCheck) -> str:
    """Whether the tolerance is sound for this model here, or which one is."""
    asked, sound = f"{found.max_ratio:g}", found.expected.sound_ratio
    if found.is_sound:
        return f"As far as {len(found.trials)} pairs tell, a tolerance of {asked} is sound here for this model."
    if found.alarms:
        return f"A tolerance of {asked} is not sound here: {_alarms(found)} called the file slower than its own copy."
    if sound is None:
        return f"No tolerance up to {TOLERANCES[-1]:g} is sound here for this model: the machine is too busy for it."
    return f"A tolerance of {asked} is not sound here for this model; max_ratio: {sound:g} is."


def _head(found: SelfCheck) -> str:
    session = found.session
    where = f"{session['provider']}, {counted(session['threads_intra'], 'thread')}, batch {found.batch_size}"
    pairs = counted(len(found.trials), "pair")
    return (
        f"{found.model} against its own copy on {where}: {pairs} under the gate's rule, tolerance "
        f"{found.max_ratio:g}; {units.latency(found.latency_ns)} a call."
    )


def _facts(found: SelfCheck) -> dict[str, str]:
    expected, count = found.expected, len(found.trials)
    seen = expected.smallest_seen
    busy = sum("contended" in trial.warnings for trial in found.trials)
    return {
        "false alarms": f"{_alarms(found)}: {_bounds(found)}; {_share(expected.false_alarm_fraction)} expected",
        "left undecided": f"{found.doubts} of {count}; {_share(expected.doubt_fraction)} expected",
        "second stage": f"{found.confirmations} of {count} needed its fresh processes",
        "spread": f"a process's ratio scatters by {_share(expected.process_sd)}, at most {_share(expected.widest)}",
        "smallest slow-down": f"{_share(seen)} is seen in more than 95 of 100" if seen else "not even 2x is seen",
        "cost": f"{units.duration(found.wall_ns)} a row in the mean{_with_confirmation(found)}",
        "machine": f"contended in {busy} of {count}" if busy else "nobody else computed here",
    }


def _with_confirmation(found: SelfCheck) -> str:
    confirmed = [trial.wall_ns for trial in found.trials if trial.second]
    return f", {units.duration(sum(confirmed) / len(confirmed))} with the second stage" if confirmed else ""


def _alarms(found: SelfCheck) -> str:
    return f"{found.alarms} of {len(found.trials)}"


def _bounds(found: SelfCheck) -> str:
    low, high = found.false_alarms
    return f"below {_share(high)}" if low == 0 else f"{_share(low)} to {_share(high)}"


def _share(rate: float) -> str:
    """Two digits are enough of what is estimated; nothing is "0 %", not "0.0 %"."""
    return f"{units.number(100 * rate, 2 if 0 < rate < 0.00995 else 1 if 0 < rate < 0.0995 else 0)} %"


def _few(found: SelfCheck) -> list[str]:
    needed = math.ceil(math.log(1 - LEVEL) / math.log(1 - MOST_FALSE))
    if len(found.trials) >= needed:
        return []
    draws = f"{found.expected.draw_count:,} draws from the processes seen"
    return [
        f"Expected: the rule on {draws}, neighbours kept together. {len(found.trials)} pairs by themselves cannot show "
        f"a rate of false alarms below {_share(MOST_FALSE)}: --pairs {needed} could."
    ]
