"""What a tapped layer gives is what its architecture says; only what is not said is told from the shape."""

import pytest
import torch
from torch import Tensor

from kdbench.models.encoder import Encoder
from kdbench.protocols import Batch, Layers
from kdbench.techniques.tokens import kind_of, shape_of_each, vectors

LAYERS = Layers(kinds={"trunk": "map", "trunk.2": "frames", "pool": "vector"})


@pytest.mark.parametrize(
    ("path", "shape", "kind"),
    [
        ("trunk.0", (8, 20), "map"),
        ("trunk.2", (20, 8), "frames"),
        ("trunk.2.norm", (20, 8), "frames"),
        ("trunk.20", (8, 20), "map"),
        ("pool", (8,), "vector"),
        ("other", (20, 8), "tokens"),
        ("other", (8,), "vector"),
        ("other", (3, 8, 8), "map"),
    ],
)
def test_the_longest_path_that_holds_a_layer_says_its_kind(path: str, shape: tuple[int, ...], kind: str) -> None:
    assert kind_of(LAYERS, path, shape) == kind


def test_an_encoder_says_the_kind_of_all_that_techniques_tap() -> None:
    layers = Encoder().layers()
    assert [layers.kind(block.query) for block in layers.blocks] == ["tokens", "tokens"]
    assert layers.kind(layers.embedding) == "vector"
    assert layers.kind(layers.embeddings) == "tokens"


def test_rows_of_a_1d_convolution_stay_a_map_and_no_length_is_cut_from_them() -> None:
    student, teacher = torch.rand(2, 8, 20), torch.rand(2, 8, 20)
    batch = Batch((), (), torch.arange(2), torch.zeros(2))

    def same(taught: Tensor) -> Tensor:
        return taught

    task = None  # of a map nobody asks for lengths
    found = vectors((student, teacher), ("map", "map"), task, batch, same, False)  # type: ignore[arg-type]
    assert found == (student, teacher)
    assert shape_of_each((8, 20), "map") == (8, 20)
    assert shape_of_each((20, 8), "tokens") == (8,)
