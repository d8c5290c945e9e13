"""Virtual environments of their own, with real installs in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


class Environment:
    """A virtual environment: uv makes it where there is uv, else venv and pip, which takes longer."""

    def __init__(self, path: Path, uv: str | None = UV) -> None:
        self.path = path
        self._uv = uv
        self._bin = path / "bin"
        _run(*([uv, "venv", "--python", sys.executable, path] if uv else [sys.executable, "-m", "venv", path]))

    def install(self, *what: str | Path) -> None:
        """Install; what belongs together is named together."""
        if self._uv:
            _run(self._uv, "pip", "install", "--python", self._bin / "python", *what)
        else:
            _run(self._bin / "python", "-m", "pip", "install", *what)

    def uninstall(self, name: str) -> None:
        if self._uv:
            _run(self._uv, "pip", "uninstall", "--python", self._bin / "python", name)
        else:
            _run(self._bin / "python", "-m", "pip", "uninstall", "--yes", name)

    def run(self, command: str, *args: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's commands, away from the checkout unless told."""
        own = {
            name: text for name, text in os.environ.items() if not name.startswith(("KATO_", "PYTHON", "PYTEST_", "VIRTUAL_"))
        }
        return subprocess.run(
            [self._bin / command, *args],
            cwd=cwd or self.path,
            env={**own, **env},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def python(self, code: str, **env: str) -> str:
        """What a piece of code prints."""
        done = self.run("python", "-c", code, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def plugins(self, **env: str) -> dict[str, dict[str, Any]]:
        """The rows of `kato-transport plugins`, by name."""
        done = self.run("kato-transport", "plugins", "--json", **env)
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {row["name"]: row for row in rows}

    def distributions(self) -> set[str]:
        """The names of everything that is installed."""
        code = "from importlib.metadata import distributions as d; print(*{x.name.lower() for x in d()})"
        return set(self.python(code).split())


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Environment]]:
    """Makes environments that are gone after the module."""
    folder = tmp_path_factory.mktemp("environments")
    made: list[Environment] = []

    def make(*what: str | Path, uv: str | None = UV) -> Environment:
        made.append(Environment(folder / str(len(made)), uv))
        if what:
            made[-1].install(*what)
        return made[-1]

    yield make
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of every distribution of the checkout and of the example, by its folder's name."""
    folder = tmp_path_factory.mktemp("wheels")
    built = {}
    for source in (ROOT / "core", *sorted((ROOT / "plugins").iterdir()), ROOT / "examples" / "third_party_transport"):
        if not (source / "pyproject.toml").exists():
            continue
        target = folder / source.name
        if UV:
            _run(UV, "build", "--wheel", "--out-dir", target, source)
        else:
            _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", target, source)
        (built[source.name],) = target.glob("*.whl")
    return built
