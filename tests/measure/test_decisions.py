"""Decisions and agreement by kind of output, on rows decided by hand."""

import numpy as np

from kdbench.measure.decisions import agreement, decide


def test_classes_are_the_highest_logits_and_labels_those_above_one_half() -> None:
    logits = np.array([[0.1, 2.0, -1.0], [3.0, 0.0, 2.9]])
    assert decide("classes", logits).tolist() == [1, 0]
    assert decide("multilabel", logits).tolist() == [[1, 1, 0], [1, 0, 1]]
    assert decide("dense_classes", logits[:, :, None, None]).tolist() == [[[1]], [[0]]]


def test_a_sequence_loses_repetitions_before_it_loses_blanks() -> None:
    frames = np.eye(4)[[0, 1, 1, 0, 1, 2, 2, 0, 3]]
    (symbols,) = decide("sequence", [frames])
    assert symbols.tolist() == [1, 1, 2, 3]
    (none,) = decide("sequence", [np.eye(4)[[0, 0]]])
    assert none.tolist() == []


def test_agreement_is_a_share_of_what_the_kind_decides() -> None:
    assert agreement("classes", np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0])) == 0.75
    assert agreement("multilabel", np.array([[1, 0]]), np.array([[1, 1]])) == 0.5
    one, other = [np.array([1, 2]), np.array([3])], [np.array([1, 1]), np.array([3])]
    assert agreement("token_classes", one, other) == 2 / 3
    assert agreement("sequence", one, other) == 0.5


def test_values_agree_by_correlation_and_embeddings_by_angle() -> None:
    draw = np.random.default_rng(0)
    one, noise = draw.normal(size=(200, 2)), draw.normal(size=(200, 2))
    expected = np.mean([np.corrcoef(one[:, d], (one + noise)[:, d])[0, 1] for d in range(2)])
    assert np.isclose(agreement("values", one, one + noise), expected)
    assert agreement("values", np.full((5, 1), 2.0), np.full((5, 1), 2.0)) == 1.0
    assert agreement("embedding", np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])) == 0.0
    assert agreement("embedding", np.array([[1.0, 1.0]]), np.array([[3.0, 3.0]])) == 1.0
