"""Turns an `Args` dataclass and its `run` function into a command: the dataclass is the only list of the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

import typer.core


class Args(Protocol):
    """A frozen dataclass whose fields are annotated with `typer.Argument` or `typer.Option`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


ArgsT = TypeVar("ArgsT", bound=Args)


def as_command(args_type: type[ArgsT], run: Callable[[ArgsT], None]) -> Callable[..., None]:
    """Return a function with one keyword parameter per field of `args_type`, which calls `run` with all of them."""
    hints = get_type_hints(args_type, include_extras=True)
    names = [field.name for field in fields(args_type)]

    def command(**values: Any) -> None:
        run(args_type(**values))

    command.__doc__ = run.__doc__
    command.__annotations__ = {name: hints[name] for name in names}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
                annotation=hints[field.name],
            )
            for field in fields(args_type)
        ]
    )
    return command


class EvaluateGroup(typer.core.TyperGroup):
    """A group in which `foley evaluate FOLDER ...` is its command `media`, and `--compare` is its command `compare`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in front where it is left out."""
        if args and args[0] not in self.commands and args[0] != "--help":
            name = "compare" if "--compare" in args else "media"
            args = [name, *(word for word in args if word != "--compare")]
        return super().parse_args(ctx, args)
