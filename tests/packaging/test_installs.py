"""What somebody gets who installs all of it, a part of it, or another author's plugin."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "third_party_transport"
IN_CORE = {"memory", "msgpack", "json"}
FIRST_PARTY = {*IN_CORE, "basic", "improved", "rest", "kv_events", "kv", "processor_memory"}

CALL = """
import sys
import kato_transport as kt
with kt.serve({"double": lambda n: {"n": 2 * n}}, sys.argv[1]) as server, kt.connect(server.endpoint) as client:
    print(server.transport, client.call("double", {"n": 21})["n"])
"""


@pytest.fixture(scope="module")
def light(make_environment):
    """Core and one plugin, installed from their folders."""
    return make_environment(ROOT / "core", ROOT / "plugins" / "zmq_improved")


@pytest.fixture(scope="module")
def bare(make_environment, wheels):
    """Core and nothing else."""
    return make_environment(wheels["core"])


@pytest.fixture(scope="module")
def extended(make_environment, wheels):
    """Core and the example of another author's plugin, with what its tests need."""
    return make_environment(f"{wheels['core']}[testing]", EXAMPLE)


@pytest.fixture(scope="module")
def everything(make_environment):
    """The whole checkout, by plain pip."""
    environment = make_environment(uv=None)
    environment.install("--disable-pip-version-check", ROOT)
    return environment


def test_core_and_one_plugin_are_a_client_and_a_server(light):
    """`pip install ./core ./plugins/zmq_improved`, and calls are answered by the default transport."""
    done = light.run("python", "-c", CALL, "tcp://127.0.0.1:0")
    assert (done.stdout, done.stderr) == ("improved 42\n", "")


def test_only_what_is_installed_is_listed(light):
    """A plugin that is not there is not a row, and every row that is there works."""
    rows = light.plugins()
    assert set(rows) == {*IN_CORE, "improved"}
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_no_web_framework_comes_with_zeromq(light):
    """Who needs no HTTP installs none."""
    assert {"starlette", "httptools"} & light.distributions() == set()


def test_a_missing_first_party_plugin_is_told_by_its_distribution(bare):
    """The default transport is asked for where only core is installed: the error says what to install."""
    done = bare.run("kato-transport", "call", "ping", "--endpoint", "tcp://127.0.0.1:1")
    assert done.returncode == 2
    assert "pip install kato-transport-zmq-improved" in done.stderr
    assert "Traceback" not in done.stderr


def test_core_alone_brings_its_own_transport(bare):
    """`memory` works without any plugin, and is all there is."""
    assert set(bare.plugins()) == IN_CORE
    assert bare.run("python", "-c", CALL, "memory://", KATO_ZMQ_IMPLEMENTATION="memory").stdout == "memory 42\n"


def test_plain_pip_installs_the_whole_checkout(everything):
    """`pip install .` finds the members beside the root, and every plugin of theirs works."""
    rows = everything.plugins()
    assert set(rows) == FIRST_PARTY
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert [name for name, row in rows.items() if row["selected"]] == ["improved"]


def test_an_installed_checkout_answers_calls(everything):
    """What pip installed runs: client and server of the default transport."""
    assert everything.run("python", "-c", CALL, "tcp://127.0.0.1:0").stdout == "improved 42\n"


def test_another_authors_plugin_is_listed(extended):
    """Installing it is all it takes."""
    row = extended.plugins()["unix"]
    assert (row["kind"], row["distribution"], row["status"]) == ("transport", "acme-kato-unix", "ok")
    assert row["capabilities"] == ["REQUEST_REPLY", "MULTIPLEX"]


def test_another_authors_plugin_is_selected_by_its_name(extended):
    """By the same variable as a first-party one, and calls are answered."""
    endpoint = f"unix://{extended.path}/kato.sock"
    assert extended.run("python", "-c", CALL, endpoint, KATO_ZMQ_IMPLEMENTATION="unix").stdout == "unix 42\n"
    assert extended.plugins(KATO_ZMQ_IMPLEMENTATION="unix")["unix"]["selected"]


def test_another_authors_plugin_passes_the_kit_without_a_test_of_its_own(extended):
    """`KATO_ZMQ_IMPLEMENTATION=unix pytest --pyargs kato_transport.testing.suite`."""
    done = extended.run("pytest", "-q", "--pyargs", "kato_transport.testing.suite", KATO_ZMQ_IMPLEMENTATION="unix")
    assert done.returncode == 0, done.stdout


def test_another_authors_plugin_passes_its_own_tests(extended):
    """The kit's three lines, and what its author tests beyond the kit."""
    done = extended.run("pytest", "-q", "-p", "no:cacheprovider", cwd=EXAMPLE, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stdout


def test_an_uninstalled_plugin_is_unknown(make_environment, wheels):
    """The error names what is left."""
    environment = make_environment(wheels["core"], wheels["third_party_transport"])
    assert "unix" in environment.plugins()
    environment.uninstall("acme-kato-unix")
    assert "unix" not in environment.plugins()
    done = environment.run("python", "-c", CALL, "unix:///tmp/any", KATO_ZMQ_IMPLEMENTATION="unix")
    assert "UnknownTransport: no transport named 'unix'. Installed: memory." in done.stderr


def test_every_distribution_ships_its_types(wheels):
    """`py.typed` beside each package, so that a user's type checker reads its annotations."""
    for wheel in wheels.values():
        names = zipfile.ZipFile(wheel).namelist()
        packages = {name.split("/")[0] for name in names if name.endswith(".py")}
        assert [package for package in packages if f"{package}/py.typed" not in names] == [], wheel.name


def test_a_wheel_holds_its_package_and_nothing_else(wheels):
    """No tests, no examples, nothing of a neighbour."""
    for wheel in wheels.values():
        tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
        assert len(tops) == 2, (wheel.name, tops)
        assert any(top.endswith(".dist-info") for top in tops)
