"""Letters and fronts of a few names."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kdbench.evidence.groups import letters, pareto_front

NAMES = ["a", "b", "c", "d", "e"]
PAIRS = list(combinations(range(len(NAMES)), 2))


def apart(count: int, *pairs: tuple[int, int]) -> NDArray[np.bool_]:
    found = np.zeros((count, count), dtype=np.bool_)
    for one, other in pairs:
        found[one, other] = found[other, one] = True
    return found


def test_nobody_apart_is_one_group() -> None:
    assert letters(["x", "y"], apart(2)) == {"x": "a", "y": "a"}


def test_the_middle_shares_a_letter_with_both_ends() -> None:
    found = letters(["best", "middle", "worst"], apart(3, (0, 2)))
    assert found == {"best": "a", "middle": "ab", "worst": "b"}


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_names_share_a_letter_exactly_when_they_are_not_apart(pairs: set[tuple[int, int]]) -> None:
    found = letters(NAMES, apart(5, *pairs))
    for one, other in PAIRS:
        assert bool(set(found[NAMES[one]]) & set(found[NAMES[other]])) == ((one, other) not in pairs)
    assert "a" in found[NAMES[0]]


def test_more_groups_than_letters_are_no_letters() -> None:
    """Cases that only neighbours cannot be told from: a group for each two of them."""
    chain = [f"case-{place:03}" for place in range(300)]
    far = np.abs(np.subtract.outer(np.arange(300), np.arange(300))) > 1
    assert letters(chain, far) == {}
    found = letters(chain[:4], far[:4, :4])
    assert found == {"case-000": "a", "case-001": "ab", "case-002": "bc", "case-003": "c"}


def test_three_hundred_cases_that_nothing_tells_apart_share_a_letter() -> None:
    assert set(letters([f"case-{place}" for place in range(300)], apart(300)).values()) == {"a"}


def test_the_front_is_who_nobody_beats_in_both() -> None:
    points = {"cheap": (1.0, 0.90), "beaten": (2.0, 0.89), "good": (3.0, 0.95), "costly": (4.0, 0.95)}
    assert pareto_front(points) == ["cheap", "good"]
    assert pareto_front({}) == []
