"""What a suite of five techniques costs beside textbook loops, and beside the least that it could."""

from stages import ON_FEATURES, TECHNIQUES, Costs


def textbook(one: Costs) -> float:
    """Five textbook loops."""
    return sum(one[f"textbook {name}"] for name in TECHNIQUES)


def times(precision: str, one: Costs) -> float:
    """How many times what kdbench needs textbook loops need for five techniques."""
    return textbook(one) / one[f"{precision} five techniques"]


def over_least(precision: str, one: Costs) -> float:
    """Five techniques over their least: each view once through the teacher, and each student's own steps.

    Those of a student on features are what its training costs alone less the passes, and at least a plain one's.
    """
    taught, plain = one[f"{precision} teacher's outputs stored"], one[f"{precision} labels"]
    own = sum(max(plain, one[f"{precision} {name}"] - taught) for name in ON_FEATURES)
    return one[f"{precision} five techniques"] / (taught + plain + one[f"{precision} soft"] + own)
