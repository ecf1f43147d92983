"""A choice in words: sentences for the head of a report, and blocks of labelled lines. Decides nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdbench import units
from kdbench.choose import Choice, Comparison, DeviceChoice, Offer, OneForAll, choose, suite_limits
from kdbench.errors import KdbenchError
from kdbench.evidence import Evidence
from kdbench.evidence.intervals import LEVEL, Estimate
from kdbench.render.words.choice_words import (
    VALIDATION_SEEN,
    assured,
    best,
    change,
    faster,
    limited,
    nothing,
    smaller,
    within,
)
from kdbench.render.words.sanity_words import cautions
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import counted, explained, listed, quoted, quoted_list, setting_place, target_place
from kdbench.scale import ACCURACY, Scale

MOST = 6
"""Cases that a line names one by one; the rest is counted, and stands in the JSON."""


@dataclass(frozen=True)
class Block:
    """A heading, and (label, text) for each line under it."""

    title: str
    lines: tuple[tuple[str, str], ...]


def asked_choice(evidence: Evidence) -> Choice | str | None:
    """The choice under the suite's own limits; why not, where none can be made; None where the suite has no limits."""
    try:
        return choose(evidence) if suite_limits(evidence).as_written() else None
    except KdbenchError as error:
        return f"No choice was made: {error}"


def asked_sentences(evidence: Evidence) -> tuple[Sentence, ...]:
    """Sentences on the choice for the head of a report; none where the suite has no limits."""
    choice = asked_choice(evidence)
    if choice is None:
        return ()
    return (Sentence(choice),) if isinstance(choice, str) else choice_sentences(choice)


def choice_sentences(choice: Choice) -> tuple[Sentence, ...]:
    """For the head of a report: the pick of each device, one for all of them, and how it was chosen."""
    said = [_answer(choice, device) for device in choice.devices]
    said += [Sentence(f"One model for all {len(choice.devices)}: {text}") for text in _for_all(choice)]
    return (*said, Sentence(basis(choice)))


def _answer(choice: Choice, device: DeviceChoice) -> Sentence:
    where = f"On {_place(device)}{within(device.limits, choice.baseline, choice.scale)}"
    if device.pick is None:
        return Sentence(f"{where}: {nothing(device, choice.scale)}")
    parts = [
        f"{where}: ship {quoted(device.pick.case)}, {_numbers(device.pick, choice.scale)}.",
        *(
            f"Against {_named(other)}: {_compared(other, choice.scale)}."
            for other in device.pick.against
            if _compared(other, choice.scale)
        ),
        f"On the {device.split} split {sure}." if (sure := assured(device)) else "",
        *_others(device, choice.scale.name),
        f"It is {_sure(choice, device)}.",
    ]
    return Sentence(" ".join(part for part in parts if part), device.pick.warnings)


def _others(device: DeviceChoice, name: str) -> Iterator[str]:
    slower = [offer.case for offer in device.alike if offer.case not in device.as_fast]
    if device.as_fast:
        yield f"{quoted_list(device.as_fast)} cannot be told from it, in {name} or in latency."
    if slower:
        yield f"{quoted_list(slower)} cannot be told from the best in {name}, but can in latency."


def blocks(choice: Choice) -> list[Block]:
    """Doubts, then a block for each device and batch size, then one for all of them."""
    doubts = [("doubtful", one.text) for one in cautions(choice.findings)]
    found = [Block("Read this first", tuple(doubts))] if doubts else []
    for device in choice.devices:
        title = f"{_place(device)}{within(device.limits, choice.baseline, choice.scale)}"
        found.append(Block(title, tuple(_lines(choice, device))))
    said = _for_all(choice)
    if said:
        found.append(Block("One model for all of these", tuple(("pick", text) for text in said)))
    return found


def _lines(choice: Choice, device: DeviceChoice) -> Iterator[tuple[str, str]]:
    if device.pick is None:
        yield "pick", nothing(device, choice.scale)
    else:
        yield "pick", f"{quoted(device.pick.case)}, {_numbers(device.pick, choice.scale)}"
        yield "chosen by", _chosen_by(choice, device, device.pick.case)
        if sure := assured(device):
            yield "its loss", sure
        yield from (
            (f"against {_named(other)}", text)
            for other in device.pick.against
            if (text := _compared(other, choice.scale))
        )
    if device.alike:
        yield (
            f"alike in {choice.scale.name}",
            _some([_short(offer, offer.case in device.as_fast, choice.scale) for offer in device.alike]),
        )
    if device.worse:
        yield (
            "fit, less accurate" if choice.scale.name == ACCURACY else f"fit, of worse {choice.scale.name}",
            _some([quoted(name) for name in device.worse]),
        )
    if device.misses and device.pick:
        yield "do not fit", _some([f"{quoted(case)} ({text})" for case, text in _missed(device, choice.scale)])
    if device.excluded:
        yield "left out", _some([f"{quoted(case)} ({reason})" for case, reason in device.excluded.items()])
    if device.shares:
        yield "how sure", _sure(choice, device)
    if device.pick and device.pick.warnings:
        yield "read with care", "; ".join(explained(word) for word in device.pick.warnings)
    if device.teacher:
        yield "for reference", f"the teacher (no candidate), {_numbers(device.teacher, choice.scale)}"


def _some(texts: Sequence[str]) -> str:
    kept, rest = texts[:MOST], len(texts) - MOST
    return "; ".join([*kept, f"and {rest} more"] if rest > 0 else kept)


def _place(device: DeviceChoice) -> str:
    return setting_place(device.setting)


def _numbers(offer: Offer, scale: Scale) -> str:
    """Accuracy 96.9 ± 0.5 %, p50 21.0 µs, 12.6 KiB, 9.33 MiB of memory."""
    parts = []
    if offer.score:
        parts.append(f"{scale.name} {_rate(offer.score, scale)} {scale.of_values}".rstrip())
    if offer.latency_p50_ns:
        parts.append(f"p50 {units.latency(offer.latency_p50_ns.value)}")
    if offer.file_bytes is not None:
        parts.append(units.size(offer.file_bytes))
    if offer.memory_bytes is not None:
        parts.append(f"{units.size(offer.memory_bytes)} of memory")
    return ", ".join(parts)


def _short(offer: Offer, as_fast: bool, scale: Scale) -> str:
    """`soft` (97.9 ± 1.1 %, 7.15 µs, 95.0 KiB); says where it is as fast as the pick."""
    value = f"{_rate(offer.score, scale)} {scale.of_values}".rstrip() if offer.score else units.MISSING
    p50 = units.latency(offer.latency_p50_ns.value) if offer.latency_p50_ns else units.MISSING
    return f"{quoted(offer.case)} ({value}, {p50}, {units.size(offer.file_bytes or 0)}{', as fast' if as_fast else ''})"


def _chosen_by(choice: Choice, device: DeviceChoice, case: str) -> str:
    """The accuracy that decided, and how it stands to the baseline's on the same split."""
    rate, baseline = device.split_value[case], device.baseline_value
    scale = choice.scale
    text = f"{scale.name} {scale.said(rate)} on the {device.split} split"
    if baseline is None or case == choice.baseline:
        return text
    apart = f"{scale.change(rate - baseline)} {scale.of_differences}".rstrip()
    return f"{text}, {apart} against {quoted(choice.baseline)}"


def _rate(score: Estimate, scale: Scale) -> str:
    if score.half is None:
        return " and ".join(scale.text(value) for value in score.values)
    return scale.interval(score.value, score.low, score.high, scale.decimals([score.half], score.values))


def _named(comparison: Comparison) -> str:
    return "the teacher" if comparison.case == "teacher" else quoted(comparison.case)


def _compared(comparison: Comparison, scale: Scale) -> str:
    """Loses 0.4 points (−0.1 to 0.9) of accuracy, is 3.1x (2.9 to 3.3) faster and 12x smaller."""
    parts = []
    if comparison.score:
        parts.append(f"it {change(comparison.score, scale)}")
    if comparison.speedup:
        parts.append(faster(comparison.speedup, "it"))
    if comparison.compression_ratio:
        parts.append(f"is {smaller(comparison.compression_ratio)}")
    return listed(parts) if parts else ""


def _sure(choice: Choice, device: DeviceChoice) -> str:
    """The pick in 83 % of 1,000 resamples, else `a` in 12 % and nothing fits in 5 %."""
    pick = device.pick.case if device.pick else None
    others = [f"{quoted(case)} in {_share(share)}" for case, share in device.shares.items() if case != pick][:3]
    nothing = 1 - sum(device.shares.values())
    if nothing > 1e-9 and pick:
        others.append(f"nothing fits in {_share(nothing)}")
    count = f"{choice.resample_count:,} resamples"
    if pick is None:
        return f"something fits in {_share(1 - nothing)} of {count}: {listed(others)}"
    rest = f", else {listed(others)}" if others else ""
    return f"the pick in {_share(device.shares.get(pick, 0.0))} of {count}{rest}"


def _share(share: float) -> str:
    return f"{units.percent(share, 0 if share >= 0.01 else 1)} %"


def _missed(device: DeviceChoice, scale: Scale) -> Iterator[tuple[str, str]]:
    for case in dict.fromkeys(miss.case for miss in device.misses):
        yield case, ", ".join(limited(miss, scale) for miss in device.misses if miss.case == case)


def _for_all(choice: Choice) -> list[str]:
    """The one file for all devices; empty for a single device, and where some device has no choice."""
    if len(choice.devices) < 2 or any(device.undecided for device in choice.devices):
        return []
    if choice.one_for_all is None:
        return ["no case fits on all of them."]
    case = quoted(choice.one_for_all.case)
    if all(device.pick and device.pick.case == choice.one_for_all.case for device in choice.devices):
        return [f"{case}, the pick everywhere."]
    return [f"{case}. {_worst(choice.one_for_all, choice.scale)}"]


def _worst(one: OneForAll, scale: Scale) -> str:
    side = "below" if scale.higher else "above"
    good = "accurate" if scale.name == ACCURACY else "good"
    slow = f"{units.ratio(one.slowdown)} slower than the pick on {setting_place(one.slowest)}"
    loss = f"{scale.amount(max(one.loss, 0.0))} {side} the pick on {setting_place(one.worst)}"
    if one.alike_everywhere:
        told = f"It fits and cannot be told from the best in {scale.name} on any of them; of such cases it is the one "
        return f"{told}whose worst latency is best: {slow if one.slowdown > 1 else 'as fast as every pick'}."
    return (
        f"No case that fits everywhere is as {good} as the best everywhere; it is the one whose worst {scale.name} is "
        f"best: {loss}, and at most {slow}."
    )


def basis(choice: Choice) -> str:
    """The split, the rule and the noise that the choice rests on."""
    few = [device.seed_count for device in choice.devices if device.example_noise_only]
    said = [
        _split_words(choice),
        f"Of the cases that keep to the limits, those that cannot be told from {best(choice.scale)} are alike; of "
        "these the fastest, and of equally fast ones the smallest.",
        f"{counted(few[0], 'seed')}: too few to tell cases apart by, so the split's examples alone said who is alike."
        if few
        else "",
        "Nothing was trained, so there are no seeds: the split's examples alone said who is alike."
        if any(device.untrained for device in choice.devices)
        else "",
        f"Intervals hold {100 * LEVEL:.0f} %; resamples draw seeds, examples and measuring processes again.",
        f"Nothing was timed on {listed(choice.untimed)}." if choice.untimed else "",
    ]
    return " ".join(part for part in said if part)


def _split_words(choice: Choice) -> str:
    """Which split decided; a device whose record was merged may have answered test examples only."""
    name = choice.scale.name
    on_test = list(dict.fromkeys(target_place(device.target) for device in choice.devices if device.split == "test"))
    if any(device.is_validation_seen for device in choice.devices):
        return f"{VALIDATION_SEEN} So the choice was made on the test split, and the pick's {name} flatters it."
    if not on_test:
        return "Chosen on the validation split, told in numbers of the test split."
    if all(device.split == "test" for device in choice.devices):
        return f"There is no validation split: the choice was made on the test split, so the pick's {name} flatters it."
    return (
        "Chosen on the validation split, told in numbers of the test split; "
        f"on {', and on '.join(on_test)}, only test examples were answered, so there the pick's {name} flatters it."
    )
