"""JSON to frozen dataclasses: every field of the type that it is annotated with, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind", bound="DataclassInstance")


def typed(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """An object of a dataclass from JSON's values: lists become tuples, objects the dataclasses they are.

    Raises:
        ValueError: a field is unknown, missing or of another type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{kind.__name__} is an object; given {values!r:.40}")
    strange = set(values) - {field.name for field in fields(kind)}
    if strange:
        raise ValueError(f"{kind.__name__} has no {', '.join(sorted(map(str, strange)))}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{kind.__name__}.{place}: {first['msg']}; given {first['input']!r:.60}") from error
