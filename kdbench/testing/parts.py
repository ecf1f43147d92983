"""What holds for every part: frozen, described, strict about its fields."""

import inspect
import json

from pydantic import ValidationError

from kdbench.protocols.part import Part


def check_part(part: Part) -> None:
    """Frozen, described, the same after JSON, strict about its fields, with a key that its fields decide."""
    cls = type(part)
    name = cls.__name__
    assert inspect.getdoc(cls), f"{name} has no docstring; `kdbench describe` shows it."
    fields = part.to_fields()
    assert cls.from_fields(json.loads(json.dumps(fields))) == part, f"{name} is another one after JSON."
    for field in cls.model_fields:
        try:
            setattr(part, field, None)
        except ValidationError:
            continue
        raise AssertionError(f"{name}.{field} can be changed; a part is frozen.")
    try:
        cls.from_fields({**fields, "no_such_field": 1})
    except ValidationError:
        return
    raise AssertionError(f"{name} takes a field that it does not have.")
