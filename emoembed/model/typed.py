"""JSON to frozen dataclasses. Every value must have the annotated type, and every field must exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind", bound="DataclassInstance")


def typed(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Build a dataclass from JSON values. Lists become tuples, and nested objects become dataclasses.

    Raises:
        ValueError: a field is unknown or missing, or a value has the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{kind.__name__} must be a JSON object; given {values!r:.40}")
    unknown_names = set(values) - {field.name for field in fields(kind)}
    if unknown_names:
        field_names = ", ".join(field.name for field in fields(kind))
        extra_names = ", ".join(sorted(map(str, unknown_names)))
        raise ValueError(f"{kind.__name__} has no {extra_names}; its fields are {field_names}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise ValueError(f"{kind.__name__}.{path}: {first['msg']}; given {first['input']!r:.60}") from error
