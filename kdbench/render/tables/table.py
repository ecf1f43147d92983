"""The decision table: one row a case, every number already text. What shows it adds only the dress."""

from collections.abc import Iterator, Sequence

from kdbench.evidence import Evidence, ScoreView
from kdbench.evidence.intervals import FEWEST, LEVEL
from kdbench.render.tables.cells import Table
from kdbench.render.tables.columns import case_column, filled
from kdbench.render.tables.latency_columns import asked_columns, latency_columns
from kdbench.render.tables.score_columns import ALIKE, COUNTS, accuracy_columns, accuracy_places, has_teacher
from kdbench.render.tables.size_columns import cost_column, size_columns, size_places
from kdbench.render.tables.throughput_columns import throughput_legend
from kdbench.render.tables.use_columns import use_legend
from kdbench.render.words.words import counted, listed, target_place
from kdbench.scale import Scale


def build_table(evidence: Evidence) -> Table:
    """The whole table of a results folder, with every column that its records carry."""
    specs = [
        *accuracy_columns(evidence),
        *size_columns(evidence),
        cost_column(),
        *asked_columns(evidence),
        *(spec for setting in evidence.settings for spec in latency_columns(evidence, setting)),
    ]
    columns = [case_column(evidence.cases), *filled(specs, evidence.cases)]
    return Table(evidence.cases, tuple(columns), _legend(evidence))


def _legend(evidence: Evidence) -> tuple[str, ...]:
    count = len(evidence.results.plan.seeds)
    level, scale = f"{100 * LEVEL:.0f} %", evidence.scale
    few = f"{counted(count, 'seed')} {'is' if count == 1 else 'are'} too few for an interval; the values stand there"
    views = [view for case in evidence.cases for view in case.score.values()]
    untrained = [view for view in views if view.is_untrained]
    trained = len(untrained) < len(views)
    said = {
        f"Where nothing was trained there is one file, which no seed had a part in: its {scale.name}'s "
        f"{level} interval is over test examples alone.": bool(untrained),
        f"{scale.heading} on the test split: mean and {level} t interval over {counted(count, 'seed')}.": trained
        and count >= FEWEST,
        f"{scale.heading} on the test split: {few}.": trained and count < FEWEST,
        _example_noise(views, scale): bool(views),
        "Everything holds for this one teacher.": has_teacher(evidence),
        _groups(evidence): True,
        "Without a letter behind Faster: timed beside another baseline, on another machine or in fewer than "
        f"{FEWEST} processes, so compared with nobody.": _lacks_letters(evidence),
        f"Differences are paired on seeds and test examples, with their {level} interval; {COUNTS} marks a "
        f"Holm-adjusted p below {1 - LEVEL:.2f}.": any(v.difference and v.difference.p is not None for v in views),
        f'"{ALIKE}": right and wrong on exactly the same ones for every seed.': any(
            view.difference and view.difference.low == view.difference.high == 0 for view in views
        ),
        f"Faster and smaller are ratios, above 1 is better; their {level} interval is over measuring processes and "
        "seeds.": bool(evidence.settings),
        "Training is the wall time of every stage behind one seed of a case, without the teacher's.": True,
        "Memory is the peak of a process of its own over what it held before the file was loaded.": any(
            case.memory_bytes for case in evidence.cases
        ),
        "As asked is the share of kernel time that the asked provider took (of nodes, where its kernels are only "
        "started), the least of all batch sizes; the rest ran elsewhere: see 'What ran where'.": any(
            view.elsewhere for case in evidence.cases for view in case.execution.values()
        ),
        **dict.fromkeys(_shared_places(evidence), True),
        **dict.fromkeys(throughput_legend(evidence), True),
        **dict.fromkeys(use_legend(evidence), True),
        **dict.fromkeys(_samples(evidence), True),
        _references(evidence): True,
    }
    return tuple(sentence for sentence, holds in said.items() if sentence and holds)


def _groups(evidence: Evidence) -> str:
    """What a letter behind an accuracy or a speed-up says; empty if there are no letters."""
    scale = evidence.scale
    accuracy = any(view.letters for case in evidence.cases for view in case.score.values())
    latency = any(view.letters for case in evidence.cases for view in case.latency.values())
    said = {
        f"behind {scale.article} {scale.name}, in {scale.name}": accuracy,
        "behind Faster, in latency at that setting": latency,
    }
    places = "; ".join(place for place, holds in said.items() if holds)
    return f"Cases that share a letter cannot be told apart (all pairs, Holm): {places}." if places else ""


def _lacks_letters(evidence: Evidence) -> bool:
    """Whether a case was timed where others have a letter for their latency, but has none itself."""
    timed = [[case.latency[s].letters for case in evidence.cases if s in case.latency] for s in evidence.settings]
    return any(any(letters) and not all(letters) for letters in timed)


def _samples(evidence: Evidence) -> Iterator[str]:
    """A warning for each device that answered a part of the test examples only."""
    for target in evidence.targets:
        views = [case.score[target] for case in evidence.cases if target in case.score]
        sampled = [view for view in views if (view.split_example_count or 0) > view.example_count]
        if sampled:
            yield (
                f"{evidence.scale.heading} on {target_place(target)} is of {sampled[0].example_count} of the "
                f"{sampled[0].split_example_count} test examples: compare it within that target only."
            )


def _shared_places(evidence: Evidence) -> Iterator[str]:
    """Which targets share the columns whose headings name one of them."""
    for topic, found in ((evidence.scale.heading, accuracy_places(evidence)), ("Size", size_places(evidence))):
        for place in found:
            if place.name and len(place.targets) > 1:
                others = "; ".join(target_place(target) for target in place.targets[1:])
                yield f"{topic} on {place.name} is the same on {others}."


def _references(evidence: Evidence) -> str:
    """Which targets were timed for reference only."""
    names = [target_place(target) for target in evidence.targets if target in evidence.results.reference_targets]
    verb = "is no deployment target" if len(names) == 1 else "are no deployment targets"
    return f"{listed(names)} {verb}: timed for reference, never chosen." if names else ""


def _example_noise(views: Sequence[ScoreView], scale: Scale) -> str:
    """How far another draw of test examples would move an accuracy, which intervals over seeds leave out."""
    if not views:
        return ""
    middle = sorted(views, key=lambda view: view.estimate.value)[len(views) // 2]
    half = middle.example_half
    if half is None:
        return ""
    decimals = None if scale.is_fraction else scale.decimals([half])
    return (
        f"Another {middle.example_count} test examples would by themselves move {scale.article} {scale.name} of "
        f"{scale.said(middle.estimate.value)} by about ±{scale.amount(half, decimals)}."
    )
