"""Frozen dataclass configs to JSON and back; an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from foleykit.core.errors import ConfigError, ModelError

Config = TypeVar("Config")


def to_dict(config: object) -> dict[str, Any]:
    """Return `config`, a dataclass of plain values and further dataclasses, as JSON-ready dictionaries."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ConfigError(f"{config!r} is not a config")
    return dataclasses.asdict(config)


def from_dict(kind: type[Config], values: dict[str, Any], *, where: str = "config") -> Config:
    """Build a `kind` from `values`; raises ConfigError for unknown keys and wrong types."""
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1)
            hint = f'; did you mean "{nearest[0]}"?' if nearest else f"; known keys: {', '.join(sorted(known))}"
            raise ConfigError(f'{where} has an unknown key "{key}"{hint}')
    built = {key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    try:
        return kind(**built)
    except TypeError as error:
        raise ConfigError(f"{where} is incomplete: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be an object, not {value!r}")
        return from_dict(hint, value, where=where)
    origin = get_origin(hint)
    if origin is tuple:
        inner = get_args(hint)[0]
        return tuple(_convert(inner, item, where) for item in value)
    if origin in (types.UnionType, Union):
        return _convert_union(get_args(hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool) and type(value) is not hint:
        raise ConfigError(f"{where} must be {hint.__name__}, not {value!r}")
    return value


def _convert_union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    """Return `value` as the member of a union that it is: of several configs, the one whose kind it names."""
    if value is None and type(None) in members:
        return None
    others = [member for member in members if member is not type(None)]
    if len(others) == 1:
        return _convert(others[0], value, where)
    nested = [member for member in others if dataclasses.is_dataclass(member)]
    if not nested:
        return value
    if len(nested) == 1:
        return _convert(nested[0], value, where)
    return _convert(_variant({kind_of(part): part for part in nested}, value, where), value, where)


def kind_of(variant: Any) -> str:
    """Return the word that tells the saved `variant` of a union from the others: the default of its field `kind`."""
    (kind,) = [field.default for field in dataclasses.fields(variant) if field.name == "kind"]
    return str(kind)


def _variant(variants: dict[str, Any], value: Any, where: str) -> Any:
    """Return the member of a union of configs that `value` says it is."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in variants:
        raise ConfigError(f'{where} needs a "kind", one of {", ".join(sorted(variants))}, not {kind!r}')
    return variants[kind]


def save_config(config: object, path: Path) -> None:
    """Write `config` as indented JSON."""
    path.write_text(json.dumps(to_dict(config), indent=2) + "\n")


def load_config(kind: type[Config], path: Path) -> Config:
    """Read a `kind` from JSON; raises ModelError when the file is absent and ConfigError when it is wrong."""
    if not path.is_file():
        raise ModelError(f"no {path.name} in {path.parent}; a model folder holds config.json and *.safetensors")
    return from_dict(kind, json.loads(path.read_text()), where=path.name)
