"""What is wrong with a part's fields, as sentences."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from kdbench.protocols import Model
from kdbench.protocols.field_errors import sentences


class Layer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int = 1


class Net(Model):
    blocks: dict[str, Layer] | None = None
    heads: tuple[Layer | int, ...] = ()
    last: Layer | None = None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"lasst": 1}, "net has no field 'lasst'. Did you mean 'last'?"),
        ({"blocks": {"a": {"widht": 2}}}, "blocks.a has no field 'widht'. Did you mean 'width'?"),
        ({"last": {"bias": 2}}, "last has no field 'bias'. Known: width."),
    ],
)
def test_an_unknown_field_gets_the_nearest_of_where_it_stands(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as found:
        Net(**fields)
    assert [text for _, text in sentences(found.value, Net, "net", fields)] == [sentence]
