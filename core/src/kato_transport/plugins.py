"""The registry: gives exactly the plugin that was asked for, by kind and name, and says what is there instead.

Plugins are installed by entry point. What the group `kato_transport` holds is *selected* by name, and only the selected
module is imported; what the group `kato_transport.extensions` holds is *always on*, unless it is disabled.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from kato_transport.contracts import Codec, DemoScene, EventHandler, EventTransport, Transport
from kato_transport.errors import PluginBroken, PluginDisabled, UnknownPlugin, UnknownTransport
from kato_transport.processors import ProcessorFactory
from kato_transport.settings import Settings, flag
from kato_transport.shelf import Installed, Shelf

if TYPE_CHECKING:
    import click


SELECTED_GROUP = "kato_transport"
EXTENSIONS_GROUP = "kato_transport.extensions"
ALIASES = {"legacy": "basic"}
"""KATO's older words for a transport."""

FIRST_PARTY = {
    "basic": "kato-transport-zmq-basic",
    "improved": "kato-transport-zmq-improved",
    "rest": "kato-transport-rest",
    "kv_events": "kato-transport-kv-events",
    "processor_memory": "kato-transport-processor-memory",
}
"""What a known name is installed by, to be told to whoever asks for it in vain."""

log = logging.getLogger("kato_transport.plugins")
T = TypeVar("T")


class Registry:
    """The plugins of one process; safe to be used from several threads."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        disabled = environ.get("KATO_TRANSPORT_DISABLED_PLUGINS", "").split(",")
        self._disabled = frozenset(word.strip() for word in disabled if word.strip())
        try:
            self._trace = flag(environ.get("KATO_TRANSPORT_TRACE_PLUGINS", ""))
        except ValueError:
            self._trace = False  # `Settings`, which everybody reads next, says what is wrong with it
        self._shelves: dict[str, Shelf] = {}
        self._shelving = threading.Lock()
        self._selected = self.shelf(SELECTED_GROUP)
        self._extensions = self.shelf(EXTENSIONS_GROUP)

    # --- what is there ------------------------------------------------------------------------------------------

    def installed(self) -> list[Installed]:
        """The installed plugins that are selected by name; two rows of one name are a clash."""
        return self._selected.installed()

    def extensions(self) -> list[Installed]:
        """The installed plugins that are always on."""
        return self._extensions.installed()

    def register(self, plugin: object, name: str) -> None:
        """Have a plugin in this process without installing it: selectable by the name, and on as an extension."""
        self._selected.register(plugin, name)
        try:
            self._extensions.register(plugin, name)
        except PluginBroken:
            self._selected.unregister(name)
            raise

    def unregister(self, name: str) -> None:
        """Forget a plugin given to `register`."""
        self._selected.unregister(name)
        self._extensions.unregister(name)

    def shelf(self, group: str) -> Shelf:
        """The plugins of an entry-point group, as plugins have that take plugins of their own; the same one every time."""
        with self._shelving:
            if group not in self._shelves:
                self._shelves[group] = Shelf(group, self._disabled, self._trace)
            return self._shelves[group]

    # --- one of a kind, by name ---------------------------------------------------------------------------------

    def transport(self, name: str) -> Transport:
        """The request transport of that name; `UnknownTransport` or `PluginBroken`."""
        found = self._any_transport(name)
        if not isinstance(found, Transport):
            raise PluginBroken(name, "it carries event streams, not requests; use kato_transport.subscribe")
        return found

    def event_transport(self, name: str) -> EventTransport:
        """The event transport of that name; `UnknownTransport` or `PluginBroken`."""
        found = self._any_transport(name)
        if not isinstance(found, EventTransport):
            raise PluginBroken(name, "it carries requests, not event streams; use kato_transport.connect")
        return found

    def codec(self, name: str) -> Codec:
        """The codec of that name; `UnknownPlugin` or `PluginBroken`."""
        return self._one(name, "codec", self.codecs_of)

    def processor(self, name: str) -> ProcessorFactory:
        """The processor factory of that name; `UnknownPlugin` or `PluginBroken`."""
        return self._one(name, "processor", self.processors_of)

    # --- what one plugin registers ------------------------------------------------------------------------------

    def transports_of(self, name: str) -> list[Transport | EventTransport]:
        """What the plugin of that entry point registers as transports; loads it."""
        found = self._selected.call(name, "kato_register_transports")
        return [_checked(name, item, (Transport, EventTransport)) for item in found]

    def codecs_of(self, name: str) -> list[Codec]:
        """What the plugin of that entry point registers as codecs; loads it."""
        return [_checked(name, item, (Codec,)) for item in self._selected.call(name, "kato_register_codecs")]

    def processors_of(self, name: str) -> list[ProcessorFactory]:
        """What the plugin of that entry point registers as processor factories; loads it."""
        found = self._selected.call(name, "kato_register_processors")
        return [_checked(name, item, (ProcessorFactory,)) for item in found]

    # --- all of a kind ------------------------------------------------------------------------------------------

    def settings(self) -> list[type]:
        """The settings classes of every plugin that loads."""
        found: list[type] = []
        hook = "kato_register_settings"
        _for_each(self._selected, lambda name: found.extend(self._selected.call(name, hook)))
        _for_each(self._extensions, lambda name: found.extend(self._extensions.call(name, hook)))
        return found

    def event_handlers(self, settings: Settings) -> list[EventHandler]:
        """The event handlers of all extensions; a broken extension is logged and left out."""
        return self._of_extensions(EventHandler, "kato_register_event_handlers", settings=settings)

    def demo_scenes(self) -> list[DemoScene]:
        """The scenes of all extensions; a broken extension is logged and left out."""
        return self._of_extensions(DemoScene, "kato_register_demo_scenes")

    def add_commands(self, cli: click.Group) -> None:
        """Let every extension add its commands; a broken extension is logged and left out."""
        _for_each(self._extensions, lambda name: self._extensions.call(name, "kato_register_commands", cli=cli))

    def load_extension(self, name: str) -> None:
        """Load one extension; `PluginBroken` where it cannot be."""
        self._extensions.load(name)

    # --- inside -------------------------------------------------------------------------------------------------

    def _of_extensions(self, kind: type[Any], hook: str, **given: Any) -> list[Any]:
        found: list[Any] = []

        def collect(name: str) -> None:
            found.extend([_checked(name, item, (kind,)) for item in self._extensions.call(name, hook, **given)])

        _for_each(self._extensions, collect)
        return found

    def _any_transport(self, name: str) -> Transport | EventTransport:
        return self._one(ALIASES.get(name, name), "transport", self.transports_of)

    def _one(self, name: str, kind: str, registered_by: Callable[[str], list[T]]) -> T:
        if name not in self._selected.names():
            raise self._unknown(kind, name, registered_by)
        found = registered_by(name)
        for item in found:
            if getattr(item, "name", None) == name:
                return item
        others = ", ".join(str(getattr(item, "name", item)) for item in found) or "none"
        raise PluginBroken(name, f"its module registers no {kind} of that name; it registers: {others}")

    def _unknown(self, kind: str, name: str, registered_by: Callable[[str], list[Any]]) -> UnknownPlugin:
        usable: list[str] = []

        def note(other: str) -> None:
            if registered_by(other):
                usable.append(other)

        _for_each(self._selected, note, log_level=logging.DEBUG)
        error = UnknownTransport(name, usable) if kind == "transport" else UnknownPlugin(kind, name, usable)
        if name in FIRST_PARTY:
            error.add_note(f"It comes with: pip install {FIRST_PARTY[name]}")
        return error


_registry: Registry | None = None
_registry_lock = threading.Lock()


def registry() -> Registry:
    """The process's registry, made at the first call."""
    global _registry  # one per process, as installed distributions are
    with _registry_lock:
        if _registry is None:
            _registry = Registry()
        return _registry


def _for_each(shelf: Shelf, use: Callable[[str], Any], log_level: int = logging.WARNING) -> None:
    """Every plugin of a shelf; one that is disabled is left out, one that is broken is logged and left out."""
    for name in sorted(shelf.names()):
        try:
            use(name)
        except PluginDisabled:
            continue
        except PluginBroken as exc:
            log.log(log_level, "%s", exc)


def _checked(name: str, item: Any, kinds: tuple[type, ...]) -> Any:
    if isinstance(item, kinds):
        return item
    missing = [member for member in _members(kinds[0]) if not hasattr(item, member)]
    raise PluginBroken(name, f"{item!r} is no {kinds[0].__name__}: it lacks {', '.join(missing)}")


def _members(protocol: type) -> list[str]:
    names = {*vars(protocol), *getattr(protocol, "__annotations__", {})}
    return sorted(name for name in names if not name.startswith("_"))
