"""`open_discovery`: the plugin that a text names."""

from __future__ import annotations

from typing import Any, Final

from kato_transport import PluginBroken, UnknownPlugin, registry
from kato_transport_kv_events.discovery.contract import Discovery
from kato_transport_kv_events.discovery.spec import Spec

GROUP: Final = "kato_transport.kv_discoveries"
"""The entry-point group: a scheme's name, and a function `Spec -> Discovery`."""


def open_discovery(text: str) -> Discovery:
    """The discovery that a person asked for, not yet running: `file:PATH`, `dns:NAME?…`, `kubernetes:?…`, or a plugin's.

    `InvalidSetting` where the text is wrong, `UnknownPlugin` where nothing has the scheme, `PluginBroken` where what has it
    cannot be used. What is wrong with the world is no error here: it is told to whoever runs the discovery.
    """
    spec = Spec.parse(text)
    plugins = registry().shelf(GROUP)
    if spec.scheme not in plugins.names():
        raise UnknownPlugin("discovery", spec.scheme, plugins.names())
    factory: Any = plugins.load(spec.scheme)
    if not callable(factory):
        raise PluginBroken(spec.scheme, f"{factory!r} is no function that makes a discovery of a Spec")
    discovery = factory(spec)
    if not isinstance(discovery, Discovery):
        raise PluginBroken(spec.scheme, f"{discovery!r} is no Discovery: it has to have name, run and close")
    return discovery
