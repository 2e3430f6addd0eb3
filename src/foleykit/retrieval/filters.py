"""Which clips of a library may answer a query: a typed filter and its form on the command line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from foleykit.core.errors import UsageError

EXAMPLE = 'ambient_db < -50 and scene = kitchen and licence in (CC0-1.0, "CC BY 4.0")'
_WORD = re.compile(r'\s*(<=|>=|<|>|=|\(|\)|,|"[^"]*"|[^\s<>=(),"]+)')


@dataclass(frozen=True, kw_only=True)
class RowFilter:
    """What a clip must be; everything passes the filter without arguments."""

    min_ambient_db: float = -math.inf
    """Lowest level that passes, RMS in dBFS."""
    max_ambient_db: float = math.inf
    """Highest level that passes, RMS in dBFS."""
    scenes: tuple[str, ...] = ()
    """Scenes that pass; empty for any."""
    licences: tuple[str, ...] = ()
    """Licences that pass; empty for any."""

    def __post_init__(self) -> None:
        if not self.min_ambient_db <= self.max_ambient_db:
            raise UsageError(
                f"no clip has a level of at least {self.min_ambient_db:g} and at most {self.max_ambient_db:g} dBFS"
            )

    def __and__(self, other: RowFilter) -> RowFilter:
        """Return the filter that both let pass; raises UsageError when nothing can."""
        return RowFilter(
            min_ambient_db=max(self.min_ambient_db, other.min_ambient_db),
            max_ambient_db=min(self.max_ambient_db, other.max_ambient_db),
            scenes=_common("scene", self.scenes, other.scenes),
            licences=_common("licence", self.licences, other.licences),
        )

    def __str__(self) -> str:
        """Return the form that `parse_filter` reads."""
        terms = [
            f"ambient_db {sign} {bound!r}"
            for sign, bound in ((">=", self.min_ambient_db), ("<=", self.max_ambient_db))
            if math.isfinite(bound)
        ]
        for name, values in (("scene", self.scenes), ("licence", self.licences)):
            if values:
                terms.append(f"{name} in ({', '.join(_quoted(value) for value in values)})")
        return " and ".join(terms)


EVERYTHING = RowFilter()


def parse_filter(text: str) -> RowFilter:
    """Return the filter that `text` describes, such as `ambient_db < -50 and scene = kitchen`; empty text passes all.

    Terms joined by `and` are `ambient_db` with <, <=, > or >= and a number, and `scene` or `licence` with `= value` or
    `in (value, value)`; a value with spaces stands in double quotes. Raises UsageError naming what it cannot read.
    """
    words = _split(text)
    result = EVERYTHING
    while words:
        result &= _term(words, text)
        if words and (words.pop(0).lower() != "and" or not words):
            raise _unreadable(text, 'terms are joined by "and"')
    return result


def _split(text: str) -> list[str]:
    words = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _WORD.match(text, position)
        if match is None:
            raise _unreadable(text, f"there is something wrong at {text[position:]!r}")
        words.append(match.group(1))
        position = match.end()
    return words


def _term(words: list[str], text: str) -> RowFilter:
    """Take one term off the front of `words`."""
    name = words.pop(0)
    match name:
        case "ambient_db":
            return _level(_take(words, text), _take(words, text), text)
        case "scene":
            return RowFilter(scenes=_values(words, text))
        case "licence":
            return RowFilter(licences=_values(words, text))
        case _:
            raise _unreadable(text, f'"{name}" is not a property of clips; ambient_db, scene and licence are')


def _level(sign: str, number: str, text: str) -> RowFilter:
    try:
        bound = float(number)
    except ValueError:
        raise _unreadable(text, f'"{number}" is not a level in dBFS') from None
    if not math.isfinite(bound):
        raise _unreadable(text, f'"{number}" is not a level in dBFS')
    match sign:
        case "<":
            return RowFilter(max_ambient_db=math.nextafter(bound, -math.inf))
        case "<=":
            return RowFilter(max_ambient_db=bound)
        case ">":
            return RowFilter(min_ambient_db=math.nextafter(bound, math.inf))
        case ">=":
            return RowFilter(min_ambient_db=bound)
        case _:
            raise _unreadable(text, f'ambient_db is compared by <, <=, > or >=, not by "{sign}"')


def _values(words: list[str], text: str) -> tuple[str, ...]:
    sign = _take(words, text)
    if sign == "=":
        return (_value(words, text),)
    if sign.lower() != "in" or _take(words, text) != "(":
        raise _unreadable(text, "scene and licence are compared by = value or in (value, value)")
    values = [_value(words, text)]
    while (separator := _take(words, text)) == ",":
        values.append(_value(words, text))
    if separator != ")":
        raise _unreadable(text, "a list of values ends with )")
    return tuple(dict.fromkeys(values))


def _value(words: list[str], text: str) -> str:
    word = _take(words, text)
    if word in ("<", "<=", ">", ">=", "=", "(", ")", ","):
        raise _unreadable(text, f'there is "{word}" where a value should be')
    return word[1:-1] if word.startswith('"') else word


def _take(words: list[str], text: str) -> str:
    if not words:
        raise _unreadable(text, "it ends too early")
    return words.pop(0)


def _common(name: str, some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    if not some or not others:
        return some or others
    both = tuple(value for value in some if value in others)
    if not both:
        raise UsageError(f"no clip has a {name} that is both {' or '.join(some)} and {' or '.join(others)}")
    return both


def _quoted(value: str) -> str:
    return f'"{value}"'


def _unreadable(text: str, reason: str) -> UsageError:
    return UsageError(f"cannot read the filter '{text}': {reason}; an example: {EXAMPLE}")
