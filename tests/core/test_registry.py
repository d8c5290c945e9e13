"""The registry: what is installed is listed without an import, and exactly what is asked for is loaded."""

from __future__ import annotations

from typing import Any

import pytest

import kato_transport as kt
from kato_transport.plugins import FIRST_PARTY, Registry
from kato_transport.settings import Settings

from .conftest import Shelf

CODEC = """
import kato_transport as kt

class Rot13:
    name = "rot13"
    content_type = "text/rot13"
    def encode(self, obj): return b""
    def decode(self, data): return None

@kt.hookimpl
def kato_register_codecs():
    return [Rot13()]
"""

HANDLER = """
import kato_transport as kt

class Counter:
    def handle_event(self, event): ...

@kt.hookimpl
def kato_register_event_handlers(settings):
    return [Counter()]
"""


def test_listing_imports_nothing(shelf: Shelf) -> None:
    """The names stand in the distributions' metadata."""
    shelf.transport("shm", version="2.5")
    rows = {row.name: row for row in shelf.registry().installed()}
    row = rows["shm"]
    assert (row.module, row.distribution, row.version, row.group) == ("fake_shm", "fake-shm", "2.5", "kato_transport")
    assert {"memory", "msgpack", "json", "basic", "improved"} <= set(rows)
    assert shelf.imported() == []


def test_only_the_selected_module_is_imported(shelf: Shelf) -> None:
    """Whatever else is installed, and however broken it is."""
    shelf.transport("shm")
    shelf.transport("ring")
    shelf.install("fake-bomb", {"fake_bomb": "raise RuntimeError('boom')"}, {"bomb": "fake_bomb"})
    assert shelf.registry().transport("shm").name == "shm"
    assert shelf.imported() == ["fake_shm"]


def test_a_plugin_is_loaded_once(shelf: Shelf) -> None:
    """Its module that is; what it registers it may make anew."""
    shelf.transport("shm")
    registry = shelf.registry()
    assert type(registry.transport("shm")) is type(registry.transport("shm"))


def test_an_entry_point_may_name_an_object_of_a_module(shelf: Shelf) -> None:
    """As `module:object`."""
    source = """
        import kato_transport as kt
        from kato_transport.memory import MemoryTransport

        class Renamed(MemoryTransport):
            name = "renamed"

        class Plugin:
            @kt.hookimpl
            def kato_register_transports(self):
                return [Renamed()]

        plugin = Plugin()
    """
    shelf.install("fake-object", {"fake_object": source}, {"renamed": "fake_object:plugin"})
    assert shelf.registry().transport("renamed").name == "renamed"


def test_one_module_may_provide_several_names(shelf: Shelf) -> None:
    """One transport per selectable name, as the hook has it, each with an entry point."""
    source = """
        import kato_transport as kt
        from kato_transport.memory import MemoryTransport

        class Left(MemoryTransport):
            name = "left"

        class Right(MemoryTransport):
            name = "right"

        @kt.hookimpl
        def kato_register_transports():
            return [Left(), Right()]
    """
    shelf.install("fake-pair", {"fake_pair": source}, {"left": "fake_pair", "right": "fake_pair"})
    registry = shelf.registry()
    assert registry.transport("left").name == "left"
    assert registry.transport("right").name == "right"


def test_a_codec_is_selected_like_a_transport(shelf: Shelf) -> None:
    """From the same group of entry points."""
    shelf.install("fake-rot13", {"fake_rot13": CODEC}, {"rot13": "fake_rot13"})
    assert shelf.registry().codec("rot13").content_type == "text/rot13"


def test_legacy_is_katos_older_word_for_basic() -> None:
    """In transports only."""
    registry = Registry({})
    assert registry.transport("legacy").name == "basic"
    with pytest.raises(kt.UnknownPlugin):
        registry.codec("legacy")


def test_an_unknown_name_suggests_the_nearest_and_lists_the_installed(shelf: Shelf) -> None:
    """Only those of the kind that was asked for."""
    shelf.transport("shm")
    with pytest.raises(kt.UnknownTransport) as raised:
        shelf.registry().transport("shmm")
    error = raised.value
    assert str(error).startswith("no transport named 'shmm'. Did you mean 'shm'? Installed: basic, ")
    assert {"shm", "memory", "improved"} <= set(error.installed)
    assert not {"msgpack", "json"} & set(error.installed)
    with pytest.raises(kt.UnknownPlugin) as of_codecs:
        shelf.registry().codec("jsn")
    assert of_codecs.value.installed == ("json", "msgpack")
    assert "Did you mean 'json'?" in str(of_codecs.value)


def test_the_list_for_an_unknown_name_leaves_broken_plugins_out(shelf: Shelf) -> None:
    """They cannot be what was meant."""
    shelf.install("fake-bomb", {"fake_bomb": "raise RuntimeError('boom')"}, {"bomb": "fake_bomb"})
    with pytest.raises(kt.UnknownTransport) as raised:
        shelf.registry().transport("bom")
    assert "bomb" not in raised.value.installed


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_a_first_party_name_that_is_not_installed_gives_the_pip_command(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A hint that can be pasted."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    with pytest.raises(kt.UnknownTransport) as raised:
        Registry({}).transport(name)
    assert raised.value.__notes__ == [f"It comes with: pip install {FIRST_PARTY[name]}"]
    assert raised.value.installed == ()


def test_a_name_of_nobody_gives_no_pip_command() -> None:
    """There is nothing to install for it."""
    with pytest.raises(kt.UnknownTransport) as raised:
        Registry({}).transport("shmm")
    assert not hasattr(raised.value, "__notes__")


class Local:
    """A plugin that was never installed."""

    @kt.hookimpl
    def kato_register_transports(self) -> list[Any]:
        from kato_transport.memory import MemoryTransport

        return [type("LocalTransport", (MemoryTransport,), {"name": "local"})()]


def test_a_plugin_can_be_registered_without_being_installed() -> None:
    """For this process, until it is unregistered."""
    registry = Registry({})
    registry.register(Local(), "local")
    assert registry.transport("local").name == "local"
    registry.unregister("local")
    with pytest.raises(kt.UnknownTransport):
        registry.transport("local")


def test_registering_a_name_twice_is_refused_and_leaves_the_first() -> None:
    """Be it the same plugin or another."""
    registry, plugin = Registry({}), Local()
    registry.register(plugin, "local")
    for second in (plugin, Local()):
        with pytest.raises(kt.PluginBroken):
            registry.register(second, "local")
        assert registry.transport("local").name == "local"


class Misspelt:
    """A plugin with a hook that nobody calls."""

    @kt.hookimpl
    def kato_register_transport(self) -> list[Any]:
        return []


def test_a_plugin_that_misspells_a_hook_is_not_registered_at_all() -> None:
    """Its name is free for the one that is mended."""
    registry = Registry({})
    with pytest.raises(kt.PluginBroken, match="kato_register_transport"):
        registry.register(Misspelt(), "local")
    registry.register(Local(), "local")
    assert registry.transport("local").name == "local"


def test_registering_is_undone_where_only_the_extensions_refuse(shelf: Shelf) -> None:
    """A plugin is in both groups or in none: half of one would be selected by a name that its owner believes free."""
    shelf.install("fake-counter", {"fake_counter": HANDLER}, extensions={"local": "fake_counter"})
    registry = shelf.registry()
    assert registry.event_handlers(Settings.from_env({})), "the extension of that name is not loaded"
    with pytest.raises(kt.PluginBroken, match="a plugin of that name is there already"):
        registry.register(Local(), "local")
    with pytest.raises(kt.UnknownTransport):
        registry.transport("local")
    assert [type(handler).__module__ for handler in registry.event_handlers(Settings.from_env({}))].count("fake_counter") == 1
    registry.register(Local(), "other")
    assert [transport.name for transport in registry.transports_of("other")] == ["local"], "it was only the name that clashed"


def test_hook_calls_are_traced_where_the_environment_asks_for_it(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Who implements it, and what it gave, on stderr."""
    shelf.transport("shm")
    shelf.registry(KATO_TRANSPORT_TRACE_PLUGINS="1").transport("shm")
    out, err = capsys.readouterr()
    assert out == ""
    assert "kato-transport: kato_register_transports() -> shm\n" in err
    assert "kato-transport: kato_register_transports = [[<fake_shm.Shm object" in err


@pytest.mark.parametrize("word", ["", "0", "false", "off", "no"])
def test_hook_calls_are_not_traced_otherwise(shelf: Shelf, capsys: pytest.CaptureFixture[str], word: str) -> None:
    """The words for no are those of every flag."""
    shelf.transport("shm")
    shelf.registry(KATO_TRANSPORT_TRACE_PLUGINS=word).transport("shm")
    assert capsys.readouterr().err == ""


def test_the_process_has_one_registry() -> None:
    """And it is made at the first call."""
    assert kt.registry() is kt.registry()


def test_a_plugin_may_have_a_group_for_plugins_of_its_own() -> None:
    """Under the same rules; whoever asks for the group shares it."""
    registry = Registry({"KATO_TRANSPORT_DISABLED_PLUGINS": "off"})
    registry.shelf("acme.parts").register(len, "part")
    registry.shelf("acme.parts").register(max, "off")
    assert registry.shelf("acme.parts").load("part") is len
    with pytest.raises(kt.PluginDisabled):
        registry.shelf("acme.parts").load("off")
    assert registry.shelf("acme.others").names() == set()
