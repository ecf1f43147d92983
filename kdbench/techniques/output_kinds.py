"""What families of techniques do on each kind of output, and why some make no sense there, in words."""

from collections.abc import Mapping

from kdbench.protocols.data import KINDS

EVERY_KIND = frozenset(KINDS)

SOFTENED: Mapping[str, str] = {
    "multilabel": "each label is a distribution over two classes",
    "values": "squared error to the teacher's values, in units of their spread; no temperature",
    "dense_classes": "at each place",
    "token_classes": "at each token, padding left out",
    "sequence": "at each frame, padding left out; student and teacher need equal frame rates",
    "embedding": "squared error to the teacher's embedding; no temperature",
}
"""Soft distillation, and all that rests on it."""

NO_RANKING: Mapping[str, str] = {
    "multilabel": "a label has two classes only, so there is no ranking of wrong ones",
    "values": "a number has no distribution over classes",
    "sequence": "most frames are blank, and the blank would dominate it",
    "embedding": "an embedding has no distribution over classes",
}
"""Methods that rest on how several classes are ranked."""

ON_VALUES: Mapping[str, str] = dict.fromkeys(
    EVERY_KIND - {"values"}, "it weighs how far the teacher's numbers are from the labels; use soft_distillation"
)
"""Methods that need values, and labels whose distance from them means something."""

ON_LABELS: Mapping[str, str] = {
    "multilabel": "each label is a distribution over two classes",
    "values": "a number has no distribution over classes",
    "dense_classes": "at each place that is labelled",
    "token_classes": "at each token that is labelled",
    "sequence": "labels do not say what each frame is",
    "embedding": "an embedding has no distribution over classes",
}
"""Methods that soften labels, without a teacher."""

ON_FEATURES: Mapping[str, str] = {
    "token_classes": "a layer that gives tokens (length, width) counts as a vector for each, padding left out",
    "sequence": "a layer that gives frames (length, width) counts as a vector for each, padding left out",
}
"""Methods on maps or vectors, which a layer of any kind of network may give."""

ON_MAPS: Mapping[str, str] = dict.fromkeys(
    ("token_classes", "sequence"), "where the tapped layers give maps (channels, height, width)"
)
"""Methods on maps alone."""

ON_EMBEDDINGS: Mapping[str, str] = {
    "dense_classes": "on one embedding an example",
    "token_classes": "on the mean over an example's tokens, padding left out",
    "sequence": "on the mean over an example's frames, padding left out",
}
"""Methods on how examples relate to each other."""
