"""The answer of a report: what to look at on each device, what differs in accuracy, what is smallest, what failed."""

from kdbench import units
from kdbench.evidence import Evidence
from kdbench.evidence.differences import Difference
from kdbench.render.tables.score_columns import distinct, rates
from kdbench.render.words.answer import answer
from kdbench.render.words.choice_words import SAME_SIZE, change, smaller
from kdbench.render.words.ranking_words import macs_mislead, orders_agree
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import baseline_name, counted, listed, quoted, quoted_list, seeds_name, students
from kdbench.results.records import TEACHER
from kdbench.scale import Scale


def sentences(evidence: Evidence) -> tuple[Sentence, ...]:
    """Every sentence that the records carry; at least one."""
    said = [
        *answer(evidence),
        *(Sentence(_accuracy(evidence, target, named)) for target, named in distinct(evidence, rates)),
        Sentence(_size(evidence)),
        Sentence(orders_agree(evidence)),
        Sentence(macs_mislead(evidence)),
        Sentence(_trouble(evidence)),
    ]
    return tuple(sentence for sentence in said if sentence.text) or (Sentence("Nothing was measured."),)


def _accuracy(evidence: Evidence, target: str, named: str) -> str:
    scale = evidence.scale
    compared = {
        case.name: difference
        for case in students(evidence)
        if target in case.score and (difference := case.score[target].difference)
    }
    if not compared:
        return ""
    if all(difference.p is None for difference in compared.values()):
        few = next((difference.untold for difference in compared.values() if difference.untold), None)
        why = few or f"{seeds_name(evidence)} are too few to tell any case from another"
        return f"{scale.heading}{named}: {why}."
    counting = {name: difference for name, difference in compared.items() if difference.counts}
    rest = len(compared) - len(counting)
    against = f"{scale.heading}{named} against {_baseline(evidence)} ({seeds_name(evidence)}, Holm-adjusted)"
    if not counting:
        return f"{against}: none of {counted(rest, 'case')} can be told from it."
    other = f"; the other {rest} cannot be told from it" if rest else ""
    return f"{against}: {_differing(counting, scale)}{other}."


def _baseline(evidence: Evidence) -> str:
    name = baseline_name(evidence)
    return quoted(name) if evidence.case(name) else name


def _differing(counting: dict[str, Difference], scale: Scale, most: int = 4) -> str:
    if len(counting) <= most:
        return listed([f"{quoted(name)} {change(difference, scale)}" for name, difference in counting.items()])
    gaining = [name for name, difference in counting.items() if scale.goodness(difference.value) > 0]
    losing = [name for name in counting if name not in gaining]
    said = [f"{quoted_list(names, most)} {verb}" for verb, names in (("gain", gaining), ("lose", losing)) if names]
    return listed(said)


def _size(evidence: Evidence) -> str:
    sized = [(size, case) for case in students(evidence) for size in case.size.values()]
    if not sized:
        return ""
    smallest, case = min(sized, key=lambda pair: pair[0].file_bytes)
    text = f"The smallest file is {quoted(case.name)}, {units.size(smallest.file_bytes)}"
    for role, whose in ((TEACHER, "the teacher's"), ("baseline", f"that of {quoted(case.baseline or '')}")):
        ratio = smallest.compression_ratio.get(role)
        if ratio and case.name != case.baseline:
            return f"{text}, {smaller(ratio)} than {whose}." if ratio >= SAME_SIZE else f"{text}."
    return f"{text}."


def _trouble(evidence: Evidence) -> str:
    troubled = [case.name for case in evidence.cases if case.problems]
    return f"Not everything went well with {quoted_list(troubled)}: see 'What went wrong'." if troubled else ""
