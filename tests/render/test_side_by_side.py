"""Results of the same cases in one table: a column each, values as the reports have them."""

from dataclasses import replace
from pathlib import Path

import folders
import pytest

from kdbench.evidence import Evidence, evidence
from kdbench.render import render_all
from kdbench.render.report.side_by_side import side_by_side


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Evidence]:
    root = tmp_path_factory.mktemp("people")
    steps = {name: folders.STEPS[name] for name in ("from-scratch", "soft")}
    made = []
    for person in ("ann", "ben"):
        one = evidence(folders.Folder(root / person, steps=steps).write())
        plan = one.results.plan.model_copy(update={"suite": f"digits-of-{person}"})
        made.append(replace(one, results=replace(one.results, plan=plan)))
    return made


def test_cases_stand_in_rows_and_people_in_columns(found: list[Evidence]) -> None:
    table = side_by_side(found)
    assert table is not None
    assert table.columns == ("ann", "ben")
    assert [case for case, _ in table.rows] == ["teacher", "from-scratch", "soft"]
    view = found[0].case("soft")
    assert view is not None
    mean = next(iter(view.score.values())).estimate.value
    cell = dict(table.rows)["soft"][0]
    assert float(cell.split(" ± ")[0]) == pytest.approx(100 * mean, abs=0.06)
    assert table.markdown().splitlines()[0] == "Accuracy (%), on the test split of each:"


def test_other_cases_are_not_set_beside_them(found: list[Evidence]) -> None:
    assert side_by_side(found[:1]) is None
    assert side_by_side([found[0], replace(found[1], cases=found[1].cases[:2])]) is None


def test_the_page_of_all_has_the_table(found: list[Evidence], tmp_path: Path) -> None:
    page = render_all(found[0].results.folder.parent, tmp_path, ("html",))[0]
    text = page.read_text(encoding="utf-8")
    assert "Side by side" in text
    assert text.index("Side by side") < text.index("from-scratch")
