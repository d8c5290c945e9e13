"""A discovery as a person writes it: `SCHEME:TARGET?option=value&option=value`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import unquote

from attrs import evolve, fields, frozen

from kato_transport import InvalidSetting


@frozen
class Spec:
    """The text, and its parts."""

    text: str
    scheme: str
    target: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """`InvalidSetting` says what is wrong with it."""
        scheme, colon, rest = text.partition(":")
        if not scheme or not colon:
            raise InvalidSetting(f"discovery {text!r}: expected SCHEME:TARGET[?option=value&…], as in dns:NAME?port=5557")
        target, _, query = rest.partition("?")
        options: dict[str, str] = {}
        for item in query.split("&") if query else ():
            key, equals, value = item.partition("=")
            if not key or not equals:
                raise InvalidSetting(f"discovery {text!r}: {item!r} is no option=value")
            if key in options:
                raise InvalidSetting(f"discovery {text!r}: {key} is given twice")
            options[key] = unquote(value)
        return cls(text, scheme, target, options)

    def wrong(self, why: object) -> InvalidSetting:
        """The error that says why this one cannot be."""
        return InvalidSetting(f"discovery {self.text!r}: {why}")

    def over(self, defaults: Mapping[str, str]) -> Self:
        """With options where it gives none."""
        return evolve(self, options={**defaults, **self.options})

    def settings(self, *kinds: type[Any]) -> list[Any]:
        """One of each attrs class, made of the options that are its fields; `InvalidSetting` for any other option."""
        names = [[field.name.replace("_", "-") for field in fields(kind)] for kind in kinds]
        known = sorted(name for taken in names for name in taken)
        for option in self.options:
            if option not in known:
                raise self.wrong(f"there is no option {option!r}; there are: {', '.join(known)}")
        return [self._made(kind, taken) for kind, taken in zip(kinds, names, strict=True)]

    def _made(self, kind: type[Any], taken: list[str]) -> Any:
        try:
            return kind(**{name.replace("-", "_"): self.options[name] for name in taken if name in self.options})
        except (TypeError, ValueError, InvalidSetting) as exc:
            raise self.wrong(exc) from exc


def number(value: int | str) -> int:
    """A whole number, given as such or as text; the converter of fields that are one."""
    text = str(value)
    if not (text.isascii() and text.isdigit()):
        raise InvalidSetting(f"{value!r} is no number")
    return int(text)


def seconds(value: float | str) -> float:
    """A time above 0, given as such or as text; the converter of fields that are one."""
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise InvalidSetting(f"{value!r} is no number of seconds above 0")
    return found
