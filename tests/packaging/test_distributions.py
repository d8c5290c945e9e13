"""The distributions of this checkout fit together, and each says what it needs. No network: everything is read."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core"
KV_EVENTS = ROOT / "plugins" / "kv_events"
FOLDERS = [CORE, *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]
EXAMPLE = ROOT / "examples" / "third_party_transport"
PLUGINS = [*FOLDERS[1:], EXAMPLE]
EVERY = [ROOT, *FOLDERS]

LEFT_TO_PLUGINS = {
    "pyzmq": ("kato_transport/zeromq", "kato_transport/compat"),
    "starlette": ("kato_transport/http",),
    "httptools": ("kato_transport/http",),
}
"""What core imports and does not install, and where: whoever uses that part depends on it, or on a plugin that does."""
EXTRAS = {
    "kato_transport/testing": (CORE, "testing"),
    "kato_transport/compression": (CORE, "zstd"),
    "kato_transport_kv_events/metrics": (KV_EVENTS, "service"),
    "kato_transport_kv_events/service": (KV_EVENTS, "service"),
    "kato_transport_kv_events/cli/live": (KV_EVENTS, "watch"),
}
"""Parts that need an extra of their distribution: only who uses the part installs what it imports."""


class Import(NamedTuple):
    """One name that a module imports: `from module import name`; `name` is empty in `import module`."""

    file: Path
    module: str
    name: str


def name_of(folder: Path) -> str:
    return folder.name or "root"


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def sources(folder: Path) -> list[Path]:
    return sorted((folder / "src").rglob("*.py"))


def packages(folder: Path) -> set[str]:
    return {path.name for path in (folder / "src").iterdir() if (path / "__init__.py").exists()}


def requirements(texts: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(required.name): required for required in map(Requirement, texts)}


def imports(file: Path) -> Iterator[Import]:
    """What a module imports whenever it is used: not what it wants for types only, nor what it can do without."""
    yield from _imports(file, ast.parse(file.read_text()))


def _imports(file: Path, node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(file, alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (Import(file, node.module or "", alias.name) for alias in node.names)
    elif not _is_optional(node):
        for child in ast.iter_child_nodes(node):
            yield from _imports(file, child)


def _is_optional(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.Try) and any(
        "ImportError" in ast.unparse(handler.type) for handler in node.handlers if handler.type
    )


def needed(found: Iterator[Import], own: set[str]) -> set[str]:
    """The distributions that imports come from, by their canonical names."""
    known = packages_distributions()
    tops = {item.module.split(".")[0] for item in found} - own - sys.stdlib_module_names
    return {"kato-transport-core" if top == "kato_transport" else canonicalize_name(known[top][0]) for top in tops}


def every_import(folder: Path, *without: str) -> Iterator[Import]:
    for file in sources(folder):
        if not any(part in file.as_posix() for part in without):
            yield from imports(file)


def test_versions_move_together():
    """All distributions of the checkout have one version."""
    assert len({project(folder)["version"] for folder in EVERY}) == 1


def test_every_distribution_asks_for_the_same_python():
    """What installs the one installs the others."""
    assert {project(folder)["requires-python"] for folder in [*EVERY, EXAMPLE]} == {">=3.11"}


@pytest.mark.parametrize("folder", PLUGINS, ids=name_of)
def test_a_plugins_pin_admits_this_core(folder):
    """And not any core there will ever be."""
    pin = requirements(project(folder)["dependencies"])["kato-transport-core"].specifier
    assert pin.contains(project(ROOT / "core")["version"])
    assert not pin.contains("999")


def test_the_root_installs_every_plugin():
    """What lies under plugins/ comes with `pip install .`."""
    assert set(requirements(project(ROOT)["dependencies"])) == {project(folder)["name"] for folder in FOLDERS}


@pytest.mark.parametrize("folder", PLUGINS, ids=name_of)
def test_a_plugin_depends_on_what_it_imports_and_nothing_else(folder):
    """Its dependencies are its imports' distributions: none that a neighbour happens to bring, none unused."""
    needs = needed(every_import(folder, *EXTRAS), packages(folder))
    assert set(requirements(project(folder)["dependencies"])) == needs | _left_to(every_import(folder, *EXTRAS))


def test_core_depends_on_what_it_imports_and_nothing_else():
    """What only one part of core needs is that part's extra, or is left to the plugins that use the part."""
    needs = needed(every_import(CORE, *chain(*LEFT_TO_PLUGINS.values()), *EXTRAS), packages(CORE))
    assert set(requirements(project(CORE)["dependencies"])) == needs


@pytest.mark.parametrize("part", EXTRAS)
def test_an_extra_holds_what_its_part_imports(part):
    """`pip install 'kato-transport-core[testing]'` is enough to run the kit."""
    folder, extra = EXTRAS[part]
    files = [file for file in sources(folder) if part in file.as_posix()]
    found = [item for file in files for item in imports(file)]
    needs = needed(iter(found), packages(folder)) | _left_to(found)
    told = project(folder)
    assert needs - set(requirements(told["dependencies"])) <= set(requirements(told["optional-dependencies"][extra]))


@pytest.mark.parametrize("folder", PLUGINS, ids=name_of)
def test_a_plugin_imports_public_names_only(folder):
    """No underscore in a module's path or in a name of core."""
    private = [item for item in every_import(folder) if _is_core(item) and _is_private(f"{item.module}.{item.name}")]
    assert private == []


@pytest.mark.parametrize("folder", PLUGINS, ids=name_of)
def test_a_plugin_reaches_into_no_module_of_core(folder):
    """Nor by an attribute: `module._name` of something imported from core."""
    reached = []
    for file in sources(folder):
        mine = {item.name for item in imports(file) if _is_core(item)}
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in mine:
                reached += [f"{file.name}: {ast.unparse(node)}"] if _is_private(node.attr) else []
    assert reached == []


@pytest.mark.parametrize("folder", PLUGINS, ids=name_of)
def test_a_plugin_imports_no_other_plugin(folder):
    """Plugins meet through core, so each can be uninstalled."""
    others = set().union(*(packages(other) for other in PLUGINS if other != folder))
    assert [item for item in every_import(folder) if item.module.split(".")[0] in others] == []


@pytest.mark.parametrize("folder", [*FOLDERS, EXAMPLE], ids=name_of)
def test_every_entry_point_names_a_module_of_its_distribution(folder):
    """And the module is there."""
    for group in ("kato_transport", "kato_transport.extensions"):
        for module in project(folder).get("entry-points", {}).get(group, {}).values():
            path = folder / "src" / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), module


def _left_to(found: Iterable[Import]) -> set[str]:
    """What is needed because a part of core that is imported needs it."""
    modules = {item.module for item in found}
    return {
        name
        for name, parts in LEFT_TO_PLUGINS.items()
        if any(module.startswith(tuple(part.replace("/", ".") for part in parts)) for module in modules)
    }


def _is_core(item: Import) -> bool:
    return item.module.split(".")[0] == "kato_transport"


def _is_private(dotted: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in dotted.split("."))
