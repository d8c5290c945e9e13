"""The registry: finds installed plugins, loads exactly the ones asked for, and says what is wrong with the others.

Plugins are installed by entry point. What the group `kato_transport` holds is *selected* by name, and only the selected
module is imported; what the group `kato_transport.extensions` holds is *always on*, unless it is disabled. Listing needs
no import. A plugin that is broken, disabled or clashes is an error with its reason when it is asked for, and a row with
that reason when plugins are listed; it never takes a healthy one with it.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pluggy
from attrs import frozen

from kato_transport import hookspecs
from kato_transport.contracts import Codec, EventHandler, EventTransport, Transport
from kato_transport.errors import PluginBroken, PluginDisabled, UnknownPlugin, UnknownTransport

if TYPE_CHECKING:
    import click

    from kato_transport.processors import ProcessorFactory
    from kato_transport.settings import Settings

SELECTED_GROUP = "kato_transport"
EXTENSIONS_GROUP = "kato_transport.extensions"
ALIASES = {"legacy": "basic"}
"""KATO's older words for a transport."""

FIRST_PARTY = {
    "basic": "kato-transport-zmq-basic",
    "improved": "kato-transport-zmq-improved",
    "rest": "kato-transport-rest",
    "processor_memory": "kato-transport-processor-memory",
}
"""What a known name is installed by, to be told to whoever asks for it in vain."""

log = logging.getLogger("kato_transport.plugins")
T = TypeVar("T")


@frozen
class Installed:
    """One entry point, as its distribution's metadata tells it; nothing is imported for this."""

    name: str
    group: str
    module: str
    distribution: str
    version: str


class Registry:
    """The plugins of one process; safe to be used from several threads."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._lock = threading.RLock()
        self._disabled = _words(environ.get("KATO_TRANSPORT_DISABLED_PLUGINS", ""))
        self._entry_points: list[tuple[Installed, importlib.metadata.EntryPoint]] | None = None
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        if _is_set(environ, "KATO_TRANSPORT_TRACE_PLUGINS"):
            self._manager.add_hookcall_monitoring(_trace_before, _trace_after)

    # --- what is there ------------------------------------------------------------------------------------------

    def installed(self, group: str = SELECTED_GROUP) -> list[Installed]:
        """The installed plugins of a group, by name; two rows of one name are a clash."""
        return [row for row, _ in self._scan() if row.group == group]

    def register(self, plugin: object, name: str) -> None:
        """Make a plugin selectable in this process without installing it."""
        with self._lock:
            self._register(plugin, name)

    def unregister(self, name: str) -> None:
        """Forget a plugin made selectable by `register`."""
        with self._lock:
            self._manager.unregister(name=name)

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
        found = self._call(name, "kato_register_transports")
        return [_checked(name, item, (Transport, EventTransport)) for item in found]

    def codecs_of(self, name: str) -> list[Codec]:
        """What the plugin of that entry point registers as codecs; loads it."""
        return [_checked(name, item, (Codec,)) for item in self._call(name, "kato_register_codecs")]

    def processors_of(self, name: str) -> list[ProcessorFactory]:
        """What the plugin of that entry point registers as processor factories; loads it."""
        from kato_transport.processors import ProcessorFactory

        return [_checked(name, item, (ProcessorFactory,)) for item in self._call(name, "kato_register_processors")]

    def settings_of(self, name: str) -> list[type]:
        """What the plugin of that entry point registers as settings classes; loads it."""
        return cast("list[type]", list(self._call(name, "kato_register_settings")))

    # --- all of a kind ------------------------------------------------------------------------------------------

    def event_handlers(self, settings: Settings) -> list[EventHandler]:
        """The event handlers of all extensions; a broken extension is logged and left out."""
        found: list[EventHandler] = []

        def collect(name: str) -> None:
            handlers = self._call(name, "kato_register_event_handlers", settings=settings)
            found.extend([_checked(name, item, (EventHandler,)) for item in handlers])

        self._for_each_extension(collect)
        return found

    def add_commands(self, cli: click.Group) -> None:
        """Let every extension add its commands; a broken extension is logged and left out."""
        self._for_each_extension(lambda name: self._call(name, "kato_register_commands", cli=cli))

    def load_extension(self, name: str) -> None:
        """Load one extension; `PluginBroken` where it cannot be."""
        with self._lock:
            self._load(name, EXTENSIONS_GROUP)

    # --- inside -------------------------------------------------------------------------------------------------

    def _any_transport(self, name: str) -> Transport | EventTransport:
        name = ALIASES.get(name, name)
        return self._one(name, "transport", self.transports_of)

    def _one(self, name: str, kind: str, registered_by: Callable[[str], list[T]]) -> T:
        if not self._exists(name):
            raise self._unknown(kind, name, registered_by)
        found = registered_by(name)
        for item in found:
            if getattr(item, "name", None) == name:
                return item
        others = ", ".join(str(getattr(item, "name", item)) for item in found) or "none"
        raise PluginBroken(name, f"its module registers no {kind} of that name; it registers: {others}")

    def _exists(self, name: str) -> bool:
        return self._manager.has_plugin(name) or any(row.name == name for row in self.installed())

    def _unknown(self, kind: str, name: str, registered_by: Callable[[str], list[Any]]) -> UnknownPlugin:
        names = {*(row.name for row in self.installed()), *(name for name, _ in self._manager.list_name_plugin())}
        usable = [other for other in names if self._registers(other, registered_by)]
        error = UnknownTransport(name, usable) if kind == "transport" else UnknownPlugin(kind, name, usable)
        if name in FIRST_PARTY:
            error.add_note(f"It comes with: pip install {FIRST_PARTY[name]}")
        return error

    def _registers(self, name: str, registered_by: Callable[[str], list[Any]]) -> bool:
        try:
            return bool(registered_by(name))
        except PluginBroken:
            return False

    def _scan(self) -> list[tuple[Installed, importlib.metadata.EntryPoint]]:
        """Entry points of both groups, read once: the scan costs milliseconds and never changes in a process."""
        with self._lock:
            if self._entry_points is None:
                self._entry_points = sorted(_entry_points(), key=lambda pair: (pair[0].group, pair[0].name))
            return self._entry_points

    def _for_each_extension(self, use: Callable[[str], Any]) -> None:
        """Extensions are the installed ones, and whatever was registered in this process."""
        registered = {name for name, _ in self._manager.list_name_plugin()}
        selected = {row.name for row in self.installed()}
        extensions = {row.name for row in self.installed(EXTENSIONS_GROUP)}
        for name in sorted(extensions | (registered - selected)):
            try:
                if name in extensions:
                    self.load_extension(name)
                use(name)
            except PluginDisabled:
                continue
            except PluginBroken as exc:
                log.warning("%s", exc)

    def _call(self, name: str, hook: str, **kwargs: Any) -> list[Any]:
        """What one plugin's implementation of a hook returns; the only place that touches pluggy's hooks."""
        with self._lock:
            plugin = self._load(name)
            others = [other for other in self._manager.get_plugins() if other is not plugin]
            caller = self._manager.subset_hook_caller(hook, others)
            try:
                return [item for part in caller(**kwargs) for item in part]
            except Exception as exc:
                raise PluginBroken(name, f"{hook} failed: {_reason(exc)}") from exc

    def _load(self, name: str, group: str = SELECTED_GROUP) -> object:
        if name in self._disabled:
            raise PluginDisabled(name)
        plugin: object = self._manager.get_plugin(name)
        if plugin is None:
            plugin = _load_entry_point(self._the_one(name, group))
            self._register(plugin, name)
        return plugin

    def _the_one(self, name: str, group: str) -> importlib.metadata.EntryPoint:
        found = [(row, entry_point) for row, entry_point in self._scan() if row.name == name and row.group == group]
        if not found:
            raise PluginBroken(name, "it is not installed")
        if len(found) > 1:
            rivals = " and ".join(f"{row.distribution} {row.version}" for row, _ in found)
            raise PluginBroken(name, f"{rivals} both provide it; uninstall one of them")
        return found[0][1]

    def _register(self, plugin: object, name: str) -> None:
        """Register and check at once: a misspelt hook is an error of this plugin, not silence."""
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as exc:
            if self._manager.get_plugin(name) is plugin:
                self._manager.unregister(name=name)
            raise PluginBroken(name, _reason(exc)) from exc


_registry: Registry | None = None
_registry_lock = threading.Lock()


def registry() -> Registry:
    """The process's registry, made at the first call."""
    global _registry  # one per process, as installed distributions are
    with _registry_lock:
        if _registry is None:
            _registry = Registry()
        return _registry


def _is_set(environ: Mapping[str, str], variable: str) -> bool:
    """A flag that has to be known before the settings are read; what is no flag is refused there."""
    return environ.get(variable, "").strip().lower() in ("1", "true", "yes", "on")


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def _entry_points() -> Iterable[tuple[Installed, importlib.metadata.EntryPoint]]:
    """A set of rows, since one distribution can be found twice (a checkout that shadows its own installation)."""
    seen: dict[Installed, importlib.metadata.EntryPoint] = {}
    for group in (SELECTED_GROUP, EXTENSIONS_GROUP):
        for entry_point in importlib.metadata.entry_points(group=group):
            dist = entry_point.dist
            name, version = (dist.name, dist.version) if dist else ("unknown", "")
            seen[Installed(entry_point.name, group, entry_point.value, name, version)] = entry_point
    return seen.items()


def _load_entry_point(entry_point: importlib.metadata.EntryPoint) -> object:
    try:
        return cast("object", entry_point.load())
    except (Exception, SystemExit) as exc:
        raise PluginBroken(entry_point.name, f"importing {entry_point.value} failed: {_reason(exc)}") from exc


def _checked(name: str, item: Any, kinds: tuple[type, ...]) -> Any:
    if isinstance(item, kinds):
        return item
    missing = [member for member in _members(kinds[0]) if not hasattr(item, member)]
    raise PluginBroken(name, f"{item!r} is no {kinds[0].__name__}: it lacks {', '.join(missing)}")


def _members(protocol: type) -> list[str]:
    names = {*vars(protocol), *getattr(protocol, "__annotations__", {})}
    return sorted(name for name in names if not name.startswith("_"))


def _reason(exc: BaseException) -> str:
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}"[:500]


def _trace_before(hook: str, impls: Sequence[pluggy.HookImpl], kwargs: Mapping[str, Any]) -> None:
    names = ", ".join(impl.plugin_name for impl in impls) or "nobody"
    sys.stderr.write(f"kato-transport: {hook}({', '.join(kwargs)}) -> {names}\n")


def _trace_after(outcome: Any, hook: str, impls: Sequence[pluggy.HookImpl], kwargs: Mapping[str, Any]) -> None:
    ended = outcome.exception or outcome.get_result()
    sys.stderr.write(f"kato-transport: {hook} = {ended!r}\n")
