"""The report's answer for one device and batch size: the case that `kdbench choose` picks there, and what it costs."""

from kdbench import units
from kdbench.choose import DeviceChoice, Offer, device_choice, suite_limits
from kdbench.errors import KdbenchError
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.answers import SPLIT
from kdbench.render.words.choice_words import VALIDATION_SEEN, assured, best, change, faster, nothing, smaller, within
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import counted, listed, quoted, quoted_list, setting_place
from kdbench.results.records import TEACHER
from kdbench.scale import ACCURACY, Scale


def answer(evidence: Evidence) -> tuple[Sentence, ...]:
    """One sentence or a few for every device and batch size, then how the cases in them were found."""
    said: list[Sentence] = []
    chosen: list[DeviceChoice] = []
    for setting in evidence.deployed:
        where = f"On {setting_place(setting)}"
        try:
            device = device_choice(evidence, setting, suite_limits(evidence).at(setting[0]))
        except KdbenchError as error:
            said.append(Sentence(f"{where}: no choice is made: {error}"))
            continue
        said.append(_device(evidence, where, device))
        chosen += [device] if device.pick else []
    return (*said, Sentence(_basis(chosen, evidence.scale)))


def _device(evidence: Evidence, where: str, device: DeviceChoice) -> Sentence:
    start = f"{where}{within(device.limits, evidence.results.plan.baseline, evidence.scale)}"
    if device.pick is None:
        return Sentence(
            " ".join(part for part in (f"{start}: {nothing(device, evidence.scale)}", _left_out(device)) if part)
        )
    parts = [
        f"{start}: {quoted(device.pick.case)} {_against(device.pick, evidence.scale)}.",
        f"On the {device.split} split {sure}." if (sure := assured(device)) else "",
        _others(device, evidence.scale.name),
        _faster_still(evidence, device, device.pick.case),
        _left_out(device),
    ]
    return Sentence(" ".join(part for part in parts if part), device.pick.warnings)


def _against(pick: Offer, scale: Scale) -> str:
    """Is 3.3x (3.1 to 3.5) faster than the teacher and 8.0x smaller, and loses 1.7 points (−3.8 to 0.4).

    Without a teacher it stands against its baseline; the baseline itself has its own numbers.
    """
    others = [one for one in pick.against if one.speedup or one.score]
    if not others:
        has = "is right in" if scale.name == ACCURACY else f"has {scale.name}"
        accuracy = f" and {has} {scale.said(pick.score.value)}" if pick.score else ""
        p50 = f"takes {units.latency(pick.latency_p50_ns.value)}" if pick.latency_p50_ns else "is the pick"
        return f"{p50}{accuracy}"
    other = others[0]
    name = "the teacher" if other.case == TEACHER else quoted(other.case)
    parts = [faster(other.speedup, name)] if other.speedup else []
    if other.compression_ratio:
        size = smaller(other.compression_ratio)
        parts.append(size if parts else f"is {size} than {name}")
    loss = f", and {change(other.score, scale)}" if other.score else ""
    return f"{listed(parts)}{loss}"


def _others(device: DeviceChoice, name: str) -> str:
    """The cases that are as accurate as the best: first those as fast as the pick, then the slower ones."""
    same = list(device.as_fast)
    slower = [offer.case for offer in device.alike if offer.case not in same]
    if not slower and not device.worse and len(same) > 4:
        return f"None of the other {counted(len(same), 'case')} can be told from it, in {name} or in latency."
    parts = []
    if same:
        parts.append(f"{quoted_list(same)} cannot be told from it, in {name} or in latency")
    if slower:
        verb = "is" if len(slower) == 1 else "are"
        alike = f"can neither in {name}" if same else f"cannot be told from it in {name}"
        parts.append(f"{quoted_list(slower)} {alike} and {verb} slower")
    return f"{'; '.join(parts)}." if parts else ""


def _faster_still(evidence: Evidence, device: DeviceChoice, pick: str) -> str:
    """The fastest of the less accurate cases, where its latency can be told from the pick's."""
    setting = device.setting
    views = {name: case for name in (pick, *device.worse) if (case := evidence.case(name))}
    first = min(views.values(), key=lambda case: case.latency[setting].placed_ns.value)
    if first.name == pick or first.latency[setting].placed_ns.overlaps(views[pick].latency[setting].placed_ns):
        return ""
    price = _price(first, device.target, evidence.scale)
    return f"{quoted(first.name)} is faster still{_speed(evidence, first, setting)}{price}."


def _speed(evidence: Evidence, case: CaseView, setting: Setting) -> str:
    taught = TEACHER in case.latency[setting].speedup and evidence.case(case.teacher or TEACHER) is not None
    role = TEACHER if taught else "baseline"
    speedup = case.latency[setting].speedup.get(role)
    name = "the teacher" if role == TEACHER else quoted(case.baseline or "")
    return f" ({units.ratio(speedup.value, speedup.low, speedup.high)} {name})" if speedup else ""


def _price(case: CaseView, target: str, scale: Scale) -> str:
    difference = case.score[target].difference
    return f", but {change(difference, scale)} against {quoted(case.baseline or '')}" if difference else ""


def _left_out(device: DeviceChoice) -> str:
    """The cases that could not be chosen: after a merge, those that were not on the device."""
    if not device.excluded:
        return ""
    count = len(device.excluded) + len(device.split_value)
    names = quoted_list(list(device.excluded))
    them = names if names.startswith("`") else "see `kdbench choose`"
    return f"Left out are {len(device.excluded)} of {counted(count, 'case')} ({them})."


def _basis(chosen: list[DeviceChoice], scale: Scale) -> str:
    """The rule by which the cases were named; empty where none is."""
    splits = [device.split for device in chosen]
    if not splits:
        return ""
    by = f"on the {' or '.join(dict.fromkeys(splits))} split"
    said = (
        f"The case that is named first is the one that `kdbench choose` picks: {by}, of the cases that cannot be told "
        f"from {best(scale)} (each by its own 95 % interval, unadjusted) the fastest, and of equally fast ones the "
        "smallest."
    )
    seen = any(device.is_validation_seen for device in chosen)
    reason = VALIDATION_SEEN if seen else "There is no validation split to choose by."
    flattered = f"{reason} The {scale.name} of the case that is named flatters it."
    return f"{said} {flattered}" if set(splits) == {SPLIT} else said
