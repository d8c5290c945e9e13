"""Event handlers that an installed extension registers are told what the commands follow."""

from __future__ import annotations

import os

import pytest

from kato_transport.testing.waiting import until
from kato_transport_kv_events.testing import stored

EXTENSION = """
import os
import kato_transport as kt

class Notes:
    def handle_event(self, event):
        with open(os.environ["NOTES"], "a") as file:
            print(type(event).__name__, event.origin.pod, file=file)

@kt.hookimpl
def kato_register_event_handlers(settings):
    return [Notes()]
"""


@pytest.fixture
def installed(tmp_path):
    """The environment in which the extension is installed; it notes in the file `notes`."""
    (tmp_path / "fake_notes.py").write_text(EXTENSION)
    info = tmp_path / "fake_notes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-notes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kato_transport.extensions]\nfake_notes = fake_notes\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "NOTES": str(tmp_path / "notes")}


@pytest.mark.parametrize("command", [("serve", "--rest-port", "0", "--zmq-port", "0"), ("watch", "--json")])
def test_an_extensions_handler_is_told(engine, start, source, installed, tmp_path, command):
    """As it is by `kt.subscribe`."""
    publisher, notes = engine(), tmp_path / "notes"
    start(*command, "--source", source(publisher), **installed)
    publisher.publish(stored(1))
    until(lambda: notes.exists() and notes.read_text() == "BlockStored a\n", "the extension's handler was not told")
