"""Processors by name, by module and factory, and ready made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kato_transport as kt
from kato_transport.processor_specs import make_processor

from . import samples

MODULE = samples.__name__
SETTINGS = kt.ProcessorSettings(processor_id="p1", genome={"name": "G"})


class Plugin:
    """Registers the sample factory."""

    @kt.hookimpl
    def kato_register_processors(self) -> list[Any]:
        return [samples.SampleFactory()]


@pytest.fixture
def installed() -> Iterator[None]:
    """The sample is selectable by name."""
    kt.registry().register(Plugin(), "sample")
    yield
    kt.registry().unregister("sample")


def made(spec: str) -> Any:
    return make_processor(spec, SETTINGS)


def test_an_installed_processor_is_made_by_its_name(installed: None) -> None:
    """From the settings."""
    assert made("sample").settings == SETTINGS


def test_an_id_before_the_name_wins_over_the_settings(installed: None) -> None:
    """The rest of them stays."""
    found = made("p2=sample")
    assert found.id == "p2"
    assert found.settings.genome == {"name": "G"}
    assert made(f"p3={MODULE}:with_settings").id == "p3"


def test_an_unknown_name_lists_the_installed_ones(installed: None) -> None:
    """And the nearest."""
    with pytest.raises(kt.UnknownPlugin, match=r"no processor named 'simple'\. .*sample"):
        made("simple")


@pytest.mark.parametrize("factory", ["with_settings", "Sample", "Nested.make"])
def test_a_factory_that_takes_an_argument_gets_the_settings(factory: str) -> None:
    """A function, a class, or something inside one."""
    assert made(f"{MODULE}:{factory}").settings == SETTINGS


@pytest.mark.parametrize("factory", ["without_argument", "with_keywords"])
def test_a_factory_without_an_argument_is_called_with_none(factory: str) -> None:
    """Keyword arguments are its own business."""
    assert made(f"{MODULE}:{factory}").settings is None


def test_an_object_that_is_a_processor_is_taken_as_it_is() -> None:
    """The very object."""
    assert made(f"{MODULE}:ready") is samples.ready


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("no_such_module:make", "No module named 'no_such_module'"),
        (f"{MODULE}:absent", "has no attribute 'absent'"),
        (f"{MODULE}:Nested.absent", "has no attribute 'absent'"),
        (f"{MODULE}:", "expected an importable module:factory"),
        (":make", "expected an importable module:factory"),
        (f"{MODULE}:number", "5 is neither a processor nor a factory of one"),
        (f"{MODULE}:failing", "its factory failed: RuntimeError: no disk"),
        (f"{MODULE}:refusing", "the genome has no id"),
    ],
)
def test_what_cannot_be_had_is_an_invalid_setting_that_says_why(spec: str, text: str) -> None:
    """With the words of the cause."""
    with pytest.raises(kt.InvalidSetting, match=text.replace("(", r"\(")):
        made(spec)


@pytest.mark.parametrize("code", ["raise RuntimeError('out of ink')", "def broken(:", "import sys; sys.exit('out of ink')"])
def test_a_module_that_fails_to_import_is_an_invalid_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Whatever it raises, and be it a mistake of syntax."""
    (tmp_path / "kato_broken_module.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("kato_broken_module", None)
    with pytest.raises(kt.InvalidSetting, match="kato_broken_module:make"):
        made("kato_broken_module:make")


def test_a_processor_that_is_made_already_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id in front of it would be ignored, so it is refused."""
    (tmp_path / "kato_ready_module.py").write_text("class Ready:\n    observe = print\n\nready = Ready()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(kt.InvalidSetting, match="it cannot be given 'p2'"):
        made("p2=kato_ready_module:ready")
