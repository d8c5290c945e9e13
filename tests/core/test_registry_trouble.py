"""Plugins that are broken, disabled, misspelt or clash: each is an error with its reason, and none harms a healthy one."""

from __future__ import annotations

import logging

import pytest

import kato_transport as kt
from kato_transport.settings import Settings

from .conftest import Shelf

HANDLER = """
import kato_transport as kt

class Counter:
    def handle_event(self, event): ...

@kt.hookimpl
def kato_register_event_handlers(settings):
    return [Counter()]

@kt.hookimpl
def kato_register_commands(cli):
    cli.append(__name__)
"""

SCENE = """
import kato_transport as kt

class Sea:
    title = "the sea"
    def lines(self): yield "waves"

@kt.hookimpl
def kato_register_demo_scenes():
    return [Sea()]
"""

BROKEN_EXTENSIONS = {
    "fails to import": "raise RuntimeError('boom')",
    "lacks a dependency": "import no_such_dependency",
    "leaves the process": "raise SystemExit(3)",
    "is misspelt": "import kato_transport as kt\n@kt.hookimpl\ndef kato_register_event_handler(settings): return []",
    "takes other arguments": "import kato_transport as kt\n@kt.hookimpl\ndef kato_register_event_handlers(config): return []",
    "raises in its hooks": """
        import kato_transport as kt
        @kt.hookimpl
        def kato_register_event_handlers(settings): raise RuntimeError("boom")
        @kt.hookimpl
        def kato_register_commands(cli): raise RuntimeError("boom")
    """,
    "registers something else": """
        import kato_transport as kt
        @kt.hookimpl
        def kato_register_event_handlers(settings): return [object()]
        @kt.hookimpl
        def kato_register_commands(cli): raise AttributeError("add_command")
    """,
}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('boom')", "importing fake_bad failed: RuntimeError: boom"),
        ("import no_such_dependency", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import kato_transport as kt\n@kt.hookimpl\ndef kato_register_transport(): return []", "kato_register_transport"),
        ("import kato_transport as kt\n@kt.hookimpl\ndef kato_register_transports(extra): return []", "extra"),
        (
            "import kato_transport as kt\n@kt.hookimpl\ndef kato_register_transports(): raise OSError('no disk')",
            "OSError: no disk",
        ),
        (
            "import kato_transport as kt\n@kt.hookimpl\ndef kato_register_transports(): return [object()]",
            "it lacks capabilities, ",
        ),
        ("import kato_transport as kt\n@kt.hookimpl\ndef kato_register_transports(): return None", "registers: none"),
        ("x = 1", "its module registers no transport of that name; it registers: none"),
        (
            "from kato_transport.memory import kato_register_transports",
            "its module registers no transport of that name; it registers: memory",
        ),
    ],
    ids=[
        "raises",
        "import",
        "syntax",
        "exit",
        "misspelt",
        "arguments",
        "hook raises",
        "wrong kind",
        "none",
        "empty",
        "other name",
    ],
)
def test_a_broken_plugin_is_an_error_with_its_reason(shelf: Shelf, source: str, reason: str) -> None:
    """When it is asked for; the healthy ones go on."""
    shelf.install("fake-bad", {"fake_bad": source}, {"bad": "fake_bad"})
    shelf.transport("shm")
    registry = shelf.registry()
    for _ in range(2):
        with pytest.raises(kt.PluginBroken) as raised:
            registry.transport("bad")
        assert raised.value.name == "bad"
        assert reason in str(raised.value)
    assert registry.transport("shm").name == "shm"
    assert registry.transport("memory").name == "memory"


def test_a_disabled_plugin_is_listed_and_not_imported(shelf: Shelf) -> None:
    """Asked for, it says by what it was disabled."""
    shelf.transport("shm")
    registry = shelf.registry(KATO_TRANSPORT_DISABLED_PLUGINS="other, shm ,")
    assert "shm" in {row.name for row in registry.installed()}
    with pytest.raises(kt.PluginDisabled, match="disabled by KATO_TRANSPORT_DISABLED_PLUGINS"):
        registry.transport("shm")
    assert shelf.imported() == []


def test_two_distributions_of_one_name_are_a_clash_that_names_both(shelf: Shelf) -> None:
    """Neither is taken by chance, and neither is imported."""
    shelf.transport("shm", "fake-one", "1.0", "fake_one")
    shelf.transport("shm", "fake-two", "2.0", "fake_two")
    shelf.transport("ring")
    registry = shelf.registry()
    with pytest.raises(kt.PluginBroken, match=r"fake-one 1\.0 and fake-two 2\.0 both provide it; uninstall one") as raised:
        registry.transport("shm")
    assert raised.value.name == "shm"
    assert len([row for row in registry.installed() if row.name == "shm"]) == 2
    assert registry.transport("ring").name == "ring"
    assert shelf.imported() == ["fake_ring"]


def test_a_transport_of_events_carries_no_requests(shelf: Shelf) -> None:
    """It says what to use instead; and the other way round."""
    source = """
        import kato_transport as kt

        class Events:
            name = "events"
            capabilities = kt.Capability.SUBSCRIBE
            schemes = ("fake",)
            def subscribe(self, endpoint, handler, options): ...

        @kt.hookimpl
        def kato_register_transports():
            return [Events()]
    """
    shelf.install("fake-events", {"fake_events": source}, {"events": "fake_events"})
    registry = shelf.registry()
    assert registry.event_transport("events").name == "events"
    with pytest.raises(kt.PluginBroken, match=r"use kato_transport\.subscribe"):
        registry.transport("events")
    with pytest.raises(kt.PluginBroken, match=r"use kato_transport\.connect"):
        registry.event_transport("basic")


def test_extensions_are_loaded_when_their_kind_is_asked_for(shelf: Shelf) -> None:
    """All that are not disabled, and none for a transport."""
    shelf.install("fake-counter", {"fake_counter": HANDLER}, extensions={"counter": "fake_counter"})
    shelf.install("fake-other", {"fake_other": HANDLER}, extensions={"other": "fake_other"})
    registry = shelf.registry(KATO_TRANSPORT_DISABLED_PLUGINS="other")
    registry.transport("memory")
    assert {row.name for row in registry.extensions()} >= {"counter", "other"}
    assert shelf.imported() == []
    names = [type(handler).__module__ for handler in registry.event_handlers(Settings.from_env({}))]
    assert "fake_counter" in names
    assert shelf.imported() == ["fake_counter"]


def test_extensions_give_scenes_to_the_demonstration_and_what_is_none_is_left_out(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose fault it is, and what is missing, stands in the log."""
    shelf.install("fake-scene", {"fake_scene": SCENE}, extensions={"sea": "fake_scene"})
    shelf.install("fake-bad", {"fake_bad": SCENE.replace("lines", "line")}, extensions={"bad": "fake_bad"})
    with caplog.at_level(logging.WARNING):
        scenes = shelf.registry().demo_scenes()
    assert [[*scene.lines()] for scene in scenes if scene.title == "the sea"] == [["waves"]]
    assert "plugin 'bad' cannot be used" in caplog.text
    assert "is no DemoScene: it lacks lines" in caplog.text


@pytest.mark.parametrize("source", BROKEN_EXTENSIONS.values(), ids=list(BROKEN_EXTENSIONS))
def test_a_broken_extension_never_takes_a_healthy_one_with_it(
    shelf: Shelf, caplog: pytest.LogCaptureFixture, source: str
) -> None:
    """It is logged and left out, whether it stands before or behind the healthy one."""
    shelf.install("fake-sound", {"fake_sound": HANDLER}, extensions={"m": "fake_sound"})
    shelf.install(
        "fake-bad", {"fake_before": source, "fake_behind": source}, extensions={"a": "fake_before", "z": "fake_behind"}
    )
    registry = shelf.registry()
    with caplog.at_level(logging.WARNING):
        handlers = registry.event_handlers(Settings.from_env({}))
        commands: list[str] = []
        registry.add_commands(commands)  # type: ignore[arg-type]
    assert "fake_sound" in [type(handler).__module__ for handler in handlers]
    assert "fake_sound" in commands
    assert "plugin 'a' cannot be used" in caplog.text
    assert "plugin 'z' cannot be used" in caplog.text
    assert registry.transport("improved").name == "improved"


def test_an_extension_may_have_the_name_of_a_selected_plugin(shelf: Shelf) -> None:
    """They are two groups; a distribution that has something in each calls both by its own name."""
    module = shelf.transport("shm")
    shelf.install("fake-shm-metrics", {"fake_metrics": HANDLER}, extensions={"shm": "fake_metrics"})
    registry = shelf.registry()
    names = [type(handler).__module__ for handler in registry.event_handlers(Settings.from_env({}))]
    assert "fake_metrics" in names
    assert type(registry.transport("shm")).__module__ == module


def test_the_commands_of_extensions_join_the_command_line(shelf: Shelf) -> None:
    """Each adds its own."""
    shelf.install("fake-counter", {"fake_counter": HANDLER}, extensions={"counter": "fake_counter"})
    commands: list[str] = []
    shelf.registry().add_commands(commands)  # type: ignore[arg-type]
    assert "fake_counter" in commands
