"""The other commands, as a person types them."""

from __future__ import annotations

import json

import pytest


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_help_lists_every_command_with_a_line(run):
    """And ends well."""
    done = run("--help")
    assert done.returncode == 0
    for name in ("call", "config", "demo", "doctor", "plugins", "serve"):
        assert f"  {name} " in done.stdout


def test_call_prints_the_answer_as_json(run, serve):
    """A value that is JSON is taken as such."""
    endpoint = serve("--no-rest").ready["zmq"]
    done = run("call", "observe", 'strings=["a"]', "vectors=[]", "emotives={}", "unique_id=x", "--endpoint", endpoint)
    assert json.loads(done.stdout)["message"] == "observed"
    done = run("call", "get_gene", "--params", '{"gene_name": "persistence"}', "--endpoint", endpoint)
    assert json.loads(done.stdout)["gene_value"] == 5


def test_a_failed_call_ends_with_status_1_and_its_reason(run, serve):
    """The peer's words reach the terminal."""
    done = run("call", "nonsense", "--endpoint", serve("--no-rest").ready["zmq"])
    assert (done.returncode, done.stdout) == (1, "")
    assert "Unknown method: nonsense" in done.stderr


@pytest.mark.parametrize("arguments", [("ping", "novalue"), ("ping", "--params", "{"), ("ping", "--params", "[]")])
def test_malformed_arguments_are_usage_errors(run, arguments):
    """Status 2, before anything is sent."""
    done = run("call", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_plugins_lists_what_is_installed_and_what_is_selected(run):
    """As JSON, one a line."""
    rows = {row["name"]: row for row in lines(run("plugins", "--json", KATO_ZMQ_IMPLEMENTATION="basic").stdout)}
    assert rows["basic"]["selected"] is True
    assert rows["improved"]["selected"] is False
    assert rows["improved"]["capabilities"] == ["REQUEST_REPLY", "MULTIPLEX", "HEARTBEAT"]
    assert rows["msgpack"]["kind"] == "codec"
    assert rows["processor_memory"]["kind"] == "processor"
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_a_disabled_plugin_is_a_row_and_is_not_loaded(run):
    """Asking for it is an error that says why."""
    rows = {r["name"]: r for r in lines(run("plugins", "--json", KATO_TRANSPORT_DISABLED_PLUGINS="basic").stdout)}
    assert rows["basic"]["status"] == "disabled"
    done = run("call", "ping", "--transport", "basic", KATO_TRANSPORT_DISABLED_PLUGINS="basic")
    assert "disabled by KATO_TRANSPORT_DISABLED_PLUGINS" in done.stderr


def test_config_tells_value_and_origin(run):
    """What the environment says is told from what is the default."""
    rows = {row["variable"]: row for row in lines(run("config", "--json", ZMQ_PORT="6000").stdout)}
    assert (rows["ZMQ_PORT"]["value"], rows["ZMQ_PORT"]["origin"]) == (6000, "environment")
    assert (rows["LOG_LEVEL"]["value"], rows["LOG_LEVEL"]["origin"]) == ("INFO", "default")
    assert "KATO_REST_STRICT_PROCESSOR_ID" in rows


def test_doctor_makes_a_round_trip_and_finds_nothing(run):
    """On a healthy machine it ends with 0."""
    done = run("doctor", "--json", ZMQ_PORT="0", REST_PORT="0")
    findings = {row["topic"]: row for row in lines(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert "round trips" in findings["transport improved"]["text"]


@pytest.mark.parametrize(
    ("environment", "text"),
    [({"ZMQ_PORT": "x"}, "ZMQ_PORT='x'"), ({"KATO_ZMQ_IMPLEMENTATION": "none-such"}, "no transport named 'none-such'")],
)
def test_doctor_says_what_is_wrong_and_how_to_mend_it(run, environment, text):
    """And ends with 1."""
    done = run("doctor", **{"ZMQ_PORT": "0", "REST_PORT": "0", **environment})
    assert done.returncode == 1
    assert text in done.stdout
    assert "fix:" in done.stdout


def test_tracing_shows_the_hooks_that_are_called(run):
    """On stderr, so that output stays output."""
    done = run("plugins", "--json", KATO_TRANSPORT_TRACE_PLUGINS="1")
    assert "kato_register_transports" in done.stderr
    assert lines(done.stdout)


@pytest.mark.timeout(120)  # its processes start one after the other, on a machine that is busy
def test_the_demo_kills_a_server_and_shows_its_recovery(run):
    """And everything learned is still there."""
    done = run("demo")
    assert done.returncode == 0, done.stderr
    assert "kill -9" in done.stdout
    assert "nothing forgotten: after 'darkness my' it expects 'old friend'" in done.stdout
    assert "[6/6] an event stream" in done.stdout
    assert "engine-0 holds all 32 blocks of its next prompt, and that is exact" in done.stdout


@pytest.mark.timeout(120)
def test_the_demo_does_without_scenes_of_plugins_that_are_not_there(run):
    """Its own steps are counted right all the same."""
    done = run("demo", KATO_TRANSPORT_DISABLED_PLUGINS="kv")
    assert done.returncode == 0, done.stderr
    assert "[5/5] SIGTERM: drained and gone" in done.stdout
    assert "event stream" not in done.stdout
