"""`kato-transport kv decode FILE…`: what was recorded, event by event."""

from __future__ import annotations

import sys
from typing import Any

import click

from kato_transport import DecodeError
from kato_transport.cli.output import as_json
from kato_transport.events import KVEvent
from kato_transport_kv_events.cli.lines import own_fields
from kato_transport_kv_events.cli.recordings import Recorded, read_recording
from kato_transport_kv_events.wire import Skipped, SkipReason, UndecodableBatch, decode_batch

WHY = {SkipReason.UNKNOWN_TAG: "of unknown types", SkipReason.MALFORMED: "malformed"}


class Complaints:
    """What is said on stderr about one file, and whether anything in it could not be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.failed = False

    def failure(self, text: str) -> None:
        self.failed = True
        self.notice(text)

    def notice(self, text: str) -> None:
        click.echo(f"{click.format_filename(self.path)}: {text}", err=True)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
def command(files: tuple[str, ...]) -> None:
    """Print the events in FILEs, one line of JSON each: sequence, rank, topic, ts, type and the event's own fields.

    A FILE is a recording of live batches, one of a replay, or the payload of one batch; -: standard input. What the file
    does not say is null, and so is a field that the engine's version does not send; bytes are {"hex": …}. What cannot be
    read is told on stderr, and the status is 1; the rest is printed all the same.
    """
    complaints = [_decode(path) for path in files]
    if any(complaint.failed for complaint in complaints):
        sys.exit(1)


def _decode(path: str) -> Complaints:
    complaints = Complaints(path)
    try:
        with click.open_file(path, "rb") as file:
            data = file.read()
    except OSError as exc:
        complaints.failure(exc.strerror or str(exc))
    else:
        for recorded in read_recording(data):
            _print_batch(recorded, complaints)
    return complaints


def _print_batch(recorded: Recorded, complaints: Complaints) -> None:
    which = "" if recorded.sequence is None else f"batch {recorded.sequence}: "
    try:
        batch = decode_batch(recorded.payload)
    except UndecodableBatch as exc:
        complaints.failure(f"{which}{exc}")
        return
    for position, event in enumerate(batch.events):
        try:
            click.echo(as_json(_line(recorded, event)))
        except DecodeError as exc:
            complaints.failure(f"{which}event {position}: {exc}")
    for skipped in batch.skipped:
        tell = complaints.failure if skipped.reason is SkipReason.MALFORMED else complaints.notice
        tell(f"{which}{_told(skipped)}")


def _line(recorded: Recorded, event: KVEvent) -> dict[str, Any]:
    return {
        "sequence": recorded.sequence,
        "rank": event.origin.rank,
        "topic": recorded.topic,
        "ts": event.origin.timestamp_s,
        "type": type(event).__name__,
        **own_fields(event),
    }


def _told(skipped: Skipped) -> str:
    kind = "" if skipped.kind is None else f", {skipped.kind.__name__}"
    return f"{skipped.count} skipped, {WHY[skipped.reason]}{kind}, after {skipped.position} events"
