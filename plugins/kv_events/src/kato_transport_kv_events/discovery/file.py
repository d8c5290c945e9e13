"""`file:PATH`: sources written down, one a line, and read again while they are followed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from attrs import field, frozen

from kato_transport import InvalidSetting
from kato_transport_kv_events.discovery.polled import Polled
from kato_transport_kv_events.discovery.spec import Spec, seconds
from kato_transport_kv_events.subscription.source import Source

MOST_BYTES: Final = 4 * 1024 * 1024
COMMENT: Final = re.compile(r"(?:^|\s)#")


@frozen(kw_only=True)
class Watching:
    interval: float = field(default=1.0, converter=seconds)
    """Seconds between two looks."""


class SourcesFile:
    """A file's sources, however it is changed: in place, by a rename, or by the swap of a link above it, as ConfigMaps are.

    So its content is compared, not its times. A change counts once it is read twice alike, as whoever writes in place may
    be half done.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: str | None = None
        self._taken: str | None = None
        self._sources: tuple[Source, ...] = ()

    def look(self) -> tuple[Source, ...]:
        """The sources now; `InvalidSetting` where a line is none, `OSError` where there is no such file."""
        before, self._read = self._read, read(self._path)
        if before in (None, self._read) and self._taken != self._read:
            self._sources = parse(self._read)
            self._taken = self._read
        return self._sources


def read(path: Path) -> str:
    """What a file says; `OSError` where there is none that could be read, `InvalidSetting` where it is no text."""
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no file")  # a pipe would be read for ever
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InvalidSetting(f"it has more than {MOST_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InvalidSetting(f"it is no UTF-8 text: {exc}") from exc


def parse(text: str) -> tuple[Source, ...]:
    """A source for each line that is neither empty nor a comment; `InvalidSetting` tells of every line that is wrong."""
    found: list[Source] = []
    lines_of: dict[tuple[str, int], int] = {}
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = without_comment(line)
        if not line:
            continue
        try:
            source = Source.parse(line)
            for part in source.parts():
                first = lines_of.setdefault((part.pod, part.rank), number)
                if first != number:
                    raise InvalidSetting(f"{part.pod!r}, rank {part.rank}, is on line {first} already")
            found.append(source)
        except InvalidSetting as exc:
            wrong.append(f"line {number}: {exc}")
    if wrong:
        raise InvalidSetting("; ".join(wrong))
    return tuple(found)


def without_comment(line: str) -> str:
    """What stands before a `#` that begins a word."""
    return COMMENT.split(line, 1)[0].strip()


def open_file(spec: Spec) -> Polled:
    if not spec.target:
        raise spec.wrong("it names no file; expected file:PATH")
    (watching,) = spec.settings(Watching)
    return Polled(spec.text, watching.interval, SourcesFile(Path(spec.target)).look)
