"""Letters and fronts of a few names."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from kdbench.evidence.groups import letters, pareto_front

NAMES = ["a", "b", "c", "d", "e"]
PAIRS = [frozenset(pair) for pair in combinations(NAMES, 2)]


def test_nobody_apart_is_one_group() -> None:
    assert letters(["x", "y"], []) == {"x": "a", "y": "a"}


def test_the_middle_shares_a_letter_with_both_ends() -> None:
    found = letters(["best", "middle", "worst"], [frozenset({"best", "worst"})])
    assert found == {"best": "a", "middle": "ab", "worst": "b"}


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_names_share_a_letter_exactly_when_they_are_not_apart(apart: set[frozenset[str]]) -> None:
    found = letters(NAMES, apart)
    for one, other in combinations(NAMES, 2):
        assert bool(set(found[one]) & set(found[other])) == (frozenset({one, other}) not in apart)
    assert "a" in found[NAMES[0]]


def test_more_groups_than_letters_are_no_letters() -> None:
    """Cases that only neighbours cannot be told from: a group for each two of them."""
    chain = [f"case-{place:03}" for place in range(300)]
    apart = {frozenset(pair) for pair in combinations(chain, 2) if abs(int(pair[0][-3:]) - int(pair[1][-3:])) > 1}
    assert letters(chain, apart) == {}
    assert letters(chain[:4], apart) == {"case-000": "a", "case-001": "ab", "case-002": "bc", "case-003": "c"}


def test_three_hundred_cases_that_nothing_tells_apart_share_a_letter() -> None:
    assert set(letters([f"case-{place}" for place in range(300)], []).values()) == {"a"}


def test_the_front_is_who_nobody_beats_in_both() -> None:
    points = {"cheap": (1.0, 0.90), "beaten": (2.0, 0.89), "good": (3.0, 0.95), "costly": (4.0, 0.95)}
    assert pareto_front(points) == ["cheap", "good"]
    assert pareto_front({}) == []
