"""Distributions that exist in a temporary directory only, for the registry to find."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kato_transport.plugins import EXTENSIONS_GROUP, SELECTED_GROUP, Registry

TRANSPORT = """
import kato_transport as kt

class {cls}:
    name = {name!r}
    capabilities = kt.Capability.REQUEST_REPLY
    schemes = ("fake",)
    def connect(self, endpoint, options): ...
    def serve(self, endpoint, service, options): ...

@kt.hookimpl
def kato_register_transports():
    return [{cls}()]
"""


class Shelf:
    """Installs fake distributions, and gives fresh registries that see them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.modules: list[str] = []

    def install(
        self,
        distribution: str,
        modules: Mapping[str, str],
        selected: Mapping[str, str] | None = None,
        extensions: Mapping[str, str] | None = None,
        version: str = "1.0",
    ) -> None:
        """Write modules and the metadata that names them; an entry point without a colon is a module."""
        for module, source in modules.items():
            (self.path / f"{module}.py").write_text(textwrap.dedent(source))
            self.modules.append(module)
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        groups = {SELECTED_GROUP: selected, EXTENSIONS_GROUP: extensions}
        lines = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in (points or {}).items()) for group, points in groups.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        importlib.invalidate_caches()

    def transport(self, name: str, distribution: str | None = None, version: str = "1.0", module: str | None = None) -> str:
        """Install a distribution of one transport; gives its module's name."""
        module = module or f"fake_{name}"
        source = TRANSPORT.format(cls=name.capitalize(), name=name)
        self.install(distribution or f"fake-{name}", {module: source}, {name: module}, version=version)
        return module

    def registry(self, **environ: str) -> Registry:
        """One that has seen nothing yet, in an environment of its own."""
        return Registry(environ)

    def imported(self) -> list[str]:
        """Which of the modules installed here have been imported."""
        return [module for module in self.modules if module in sys.modules]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """Installed for one test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Shelf(tmp_path)
    yield made
    for module in made.modules:
        sys.modules.pop(module, None)
