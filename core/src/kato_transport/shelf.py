"""The plugins of one entry-point group: found without importing, loaded one by one, their hooks called one by one.

What is broken, disabled or clashes is an error with its reason when it is asked for; it never takes a healthy plugin with
it, as loading a whole group at once would.
"""

from __future__ import annotations

import importlib.metadata
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pluggy
from attrs import frozen

from kato_transport import hookspecs
from kato_transport.errors import PluginBroken, PluginDisabled


@frozen
class Installed:
    """One entry point, as its distribution's metadata tells it; nothing is imported for this."""

    name: str
    group: str
    module: str
    distribution: str
    version: str


class Shelf:
    """One group; safe to be used from several threads."""

    def __init__(self, group: str, disabled: frozenset[str], trace: bool) -> None:
        self._group = group
        self._disabled = disabled
        self._lock = threading.RLock()
        self._entry_points: dict[Installed, importlib.metadata.EntryPoint] | None = None
        self._plugins: dict[str, object] = {}
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        if trace:
            self._manager.add_hookcall_monitoring(_trace_before, _trace_after)

    def installed(self) -> list[Installed]:
        """What distributions put here, by name; two rows of one name are a clash."""
        return sorted(self._scan(), key=lambda row: row.name)

    def names(self) -> set[str]:
        """Every name that can be asked for: installed, or registered in this process."""
        return {row.name for row in self._scan()} | set(self._plugins)

    def register(self, plugin: object, name: str) -> None:
        """Put a plugin here under a name; `PluginBroken` where the name is taken or the plugin misspells a hook.

        One plugin may stand under several names, as a module with several entry points does.
        """
        with self._lock:
            if name in self._plugins:
                raise PluginBroken(name, "a plugin of that name is there already")
            if not self._manager.is_registered(plugin):
                self._check_in(plugin, name)
            self._plugins[name] = plugin

    def unregister(self, name: str) -> None:
        """Take a plugin away; does nothing where there is none of that name."""
        with self._lock:
            plugin = self._plugins.pop(name, None)
            if plugin is not None and plugin not in self._plugins.values():
                self._manager.unregister(plugin)

    def load(self, name: str) -> object:
        """The plugin of that name, imported if it was not yet; `PluginBroken` says why it cannot be had."""
        if name in self._disabled:
            raise PluginDisabled(name)
        with self._lock:
            if name not in self._plugins:
                self.register(_imported(self._the_one(name)), name)
            return self._plugins[name]

    def call(self, name: str, hook: str, **kwargs: Any) -> list[Any]:
        """What one plugin's implementation of a hook gives; the only place that touches pluggy's hooks."""
        with self._lock:
            plugin = self.load(name)
            others = [other for other in self._manager.get_plugins() if other is not plugin]
            try:
                return [item for part in self._manager.subset_hook_caller(hook, others)(**kwargs) for item in part]
            except Exception as exc:
                raise PluginBroken(name, f"{hook} failed: {_reason(exc)}") from exc

    def _scan(self) -> dict[Installed, importlib.metadata.EntryPoint]:
        """The entry points, read once: the scan costs milliseconds, and installing needs a new process anyway.

        A dict, since one distribution can be found twice: a checkout that shadows its own installation.
        """
        with self._lock:
            if self._entry_points is None:
                self._entry_points = {}
                for entry_point in importlib.metadata.entry_points(group=self._group):
                    name, version = (entry_point.dist.name, entry_point.dist.version) if entry_point.dist else ("unknown", "")
                    row = Installed(entry_point.name, self._group, entry_point.value, name, version)
                    self._entry_points[row] = entry_point
            return self._entry_points

    def _the_one(self, name: str) -> importlib.metadata.EntryPoint:
        found = [row for row in self.installed() if row.name == name]
        if not found:
            raise PluginBroken(name, "it is not installed")
        if len(found) > 1:
            rivals = " and ".join(f"{row.distribution} {row.version}" for row in found)
            raise PluginBroken(name, f"{rivals} both provide it; uninstall one of them")
        return self._scan()[found[0]]

    def _check_in(self, plugin: object, name: str) -> None:
        """Register with pluggy and check at once: a misspelt hook is an error of this plugin, not silence."""
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as exc:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            raise PluginBroken(name, _reason(exc)) from exc


def _imported(entry_point: importlib.metadata.EntryPoint) -> object:
    try:
        return cast("object", entry_point.load())
    except (Exception, SystemExit) as exc:
        raise PluginBroken(entry_point.name, f"importing {entry_point.value} failed: {_reason(exc)}") from exc


def _reason(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}"[:500]


def _trace_before(hook: str, impls: Sequence[pluggy.HookImpl], kwargs: Mapping[str, Any]) -> None:
    names = ", ".join(impl.plugin_name for impl in impls) or "nobody"
    sys.stderr.write(f"kato-transport: {hook}({', '.join(kwargs)}) -> {names}\n")


def _trace_after(outcome: Any, hook: str, impls: Sequence[pluggy.HookImpl], kwargs: Mapping[str, Any]) -> None:
    ended = outcome.exception or outcome.get_result()
    sys.stderr.write(f"kato-transport: {hook} = {ended!r}\n")
