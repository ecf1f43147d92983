"""How far two runtimes' answers to one output are apart, said in its own terms."""

import numpy as np

from kdbench.check.upgraded_answers import alike_in_shape, how_far
from kdbench.protocols import Output
from kdbench.ragged import Ragged

LOAD = Output(name="load", kind="values", axes=(1,), unit="MW", value_names=("load",))
PLACES = Output(name="places", kind="dense_classes", axes=(2, 2, 2), class_names=("a", "b"))


def test_one_number_an_example_is_told_in_its_unit_not_in_shares_of_no_range() -> None:
    its = np.array([[1.0], [2.0], [3.0]], np.float32)
    assert how_far(LOAD, 3 * its, its) == "outputs lie up to 6 MW apart;"


def test_places_are_told_by_the_share_that_is_the_same() -> None:
    its = np.zeros((2, 2, 2, 2), np.float32)
    its[:, 0] = 1
    new = its.copy()
    new[0, :, 0, 0] = [0, 1]  # one of eight places
    assert how_far(PLACES, new, its) == "87.5 % of the answers are the same, outputs lie up to 1 apart;"


def test_answers_of_another_length_are_of_another_shape() -> None:
    its = Ragged.of([np.zeros((3, 2)), np.zeros((5, 2))])
    assert alike_in_shape(its, its)
    assert not alike_in_shape(Ragged.of([np.zeros((3, 2)), np.zeros((4, 2))]), its)
