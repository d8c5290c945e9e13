"""Pods of a real HTTP server become sources, whatever becomes of its answers."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import threading

import pytest

import kato_transport as kt
from kato_transport.testing.sections.forking import in_child, needs_fork
from kato_transport.testing.waiting import GRACE_S, at_most, until
from kato_transport_kv_events.discovery import open_discovery
from kato_transport_kv_events.discovery.kubernetes.access import Access
from kato_transport_kv_events.subscription import Source

from .api_server import CUT, END, ApiServer, pod
from .seen import comes_to_follow, followed, running

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")


@pytest.fixture
def api(closing):
    return closing.enter_context(ApiServer())


@pytest.fixture
def open_pods(api):
    """Those with `app=engine`, or as told by options."""
    return lambda options="": open_discovery(f"kubernetes:{api.url}?selector=app=engine{options}")


def at(name, ip="10.0.0.1", **fields):
    return Source(pod=f"default/{name}", endpoint=f"tcp://{ip}:5557", **fields)


def test_pods_come_and_go_and_move(api, open_pods, follow, manager):
    """Those that were there, and those that come to be."""
    api.put(pod("a", "127.0.0.1"))
    follow(open_pods("&port=9"))
    comes_to_follow(manager, **{"default/a": "tcp://127.0.0.1:9"})
    api.put(pod("b", "127.0.0.2", ready=False))
    api.put(pod("c", "127.0.0.3"))
    comes_to_follow(manager, **{"default/a": "tcp://127.0.0.1:9", "default/c": "tcp://127.0.0.3:9"})
    api.put(pod("b", "127.0.0.2"))
    api.put(pod("a", "127.0.0.4"))
    api.delete("c")
    comes_to_follow(manager, **{"default/a": "tcp://127.0.0.4:9", "default/b": "tcp://127.0.0.2:9"})
    assert len(api.queries("list")) == 1


def test_a_pod_is_followed_while_it_serves_only(api, open_pods, follow, manager):
    """It goes when it is told to end, not when it has ended."""
    api.put(pod("a", "127.0.0.1"))
    follow(open_pods("&port=9"))
    comes_to_follow(manager, **{"default/a": "tcp://127.0.0.1:9"})
    api.put(pod("a", "127.0.0.1", deleting=True))
    comes_to_follow(manager)


def test_a_pod_that_loses_the_label_is_gone(api, open_pods):
    """The API tells so."""
    api.put(pod("a"))
    with running(open_pods()) as told:
        told.until([at("a")])
        api.put(pod("a", labels={}))
        told.until([])


@pytest.mark.parametrize(
    ("preset", "labels", "wanted"),
    [
        (
            "aibrix",
            {"model.aibrix.ai/kv-events-enabled": "true", "model.aibrix.ai/name": "llama"},
            Source.parse("default/a=tcp://10.0.0.1:5557,replay=tcp://10.0.0.1:5558,model=llama"),
        ),
        (
            "llm-d",
            {"llm-d.ai/inference-serving": "true", "llm-d.ai/model": "llama"},
            Source.parse("default/a=tcp://10.0.0.1:5557,model=llama"),
        ),
    ],
)
def test_presets_find_what_others_deploy(api, preset, labels, wanted):
    """By the labels and ports that they have there."""
    api.put(pod("other"))
    api.put(pod("a", labels=labels))
    with running(open_discovery(f"kubernetes:{api.url}?preset={preset}")) as told:
        assert told.next() == [wanted]


def test_what_is_said_beside_a_preset_goes_before_it(api):
    """Each of its options may be another."""
    api.put(pod("a", labels={"llm-d.ai/inferenceServing": "true"}))
    text = f"kubernetes:{api.url}?preset=llm-d&selector=llm-d.ai/inferenceServing=true&port=7&replay=8&model=m&topic=kv@"
    with running(open_discovery(text)) as told:
        assert told.next() == [Source.parse("default/a=tcp://10.0.0.1:7,replay=tcp://10.0.0.1:8,model=m,topic=kv@")]


def test_a_namespace_or_all_of_them(api, open_pods):
    """Names say which."""
    api.put(pod("a"))
    api.put(pod("a", namespace="other"))
    for options, names in (("", ["default/a"]), ("&namespace=other", ["other/a"]), ("&namespace=*", ["default/a", "other/a"])):
        with running(open_pods(options)) as told:
            assert [source.pod for source in told.next()] == names


def test_long_lists_come_in_pages(api, open_pods):
    """All of them are one report."""
    for number in range(1201):
        api.put(pod(f"pod-{number:04}"))
    with running(open_pods()) as told:
        assert len(told.next()) == 1201
    assert [query.get("continue") for query in api.queries("list")] == [None, "500", "1000"]


def test_an_api_may_be_below_a_path(api):
    """As behind a proxy."""
    api.prefix = "/clusters/c1"
    api.put(pod("a"))
    with running(open_discovery(f"kubernetes:{api.url}/clusters/c1/?selector=app=engine")) as told:
        assert told.next() == [at("a")]


def test_a_pod_may_be_large(api, open_pods):
    """More than a buffer, less than the bound."""
    with running(open_pods()) as told:
        assert told.next() == []
        until(lambda: api.watchers == 1, "nobody watched")
        api.put(pod("a", annotations={"x": "y" * 1_000_000}))
        told.until([at("a")])


# --- watches that end -------------------------------------------------------------------------------------------


def test_a_watch_that_ends_is_gone_on_with(api, open_pods):
    """From its last event or bookmark, without another list; it is no failure."""
    with running(open_pods()) as told:
        told.next()
        until(lambda: api.watchers == 1, "nobody watched")
        api.put(pod("a"))
        told.until([at("a")])
        version = api.bookmark()
        api.tell(END)
        until(lambda: len(api.queries("watch")) == 2, "nobody watched again")
        api.put(pod("b"))
        while (said := told.next()) != [at("a"), at("b")]:
            assert said == [at("a")]
    assert api.queries("watch")[1]["resourceVersion"] == str(version)
    assert api.queries("watch")[1]["allowWatchBookmarks"] == "true"
    assert len(api.queries("list")) == 1


def test_a_connection_that_breaks_costs_nothing(api, open_pods):
    """What happens meanwhile is told by the next one."""
    api.put(pod("a"))
    with running(open_pods()) as told:
        assert told.next() == [at("a")]
        until(lambda: api.watchers == 1, "nobody watched")
        api.tell(CUT)
        api.put(pod("b"))
        while isinstance(said := told.next(), list):
            assert said == [at("a")]
        assert said[0] == "lookup"
        assert api.url in said[1]
        told.until([at("a"), at("b")])
    assert len(api.queries("list")) == 1


def test_an_api_that_has_forgotten_is_asked_anew(api, open_pods):
    """As it says within the watch: 410 is no failure, and what went meanwhile is gone."""
    api.put(pod("a"))
    api.put(pod("b"))
    with running(open_pods()) as told:
        told.until([at("a"), at("b")])
        until(lambda: api.watchers == 1, "nobody watched")
        api.refused["watch"] = (503, "starting")
        api.tell(END)
        until(lambda: len(api.queries("watch")) >= 2, "nobody watched again")
        api.delete("a")
        api.compact()
        api.refused.clear()
        told.until([at("b")])


@pytest.mark.parametrize("by_status", [False, True], ids=["in the watch", "as the answer"])
def test_a_version_too_old_leads_to_a_list(api, open_pods, by_status):
    """Whichever way it is told, without a word of failure."""
    with running(open_pods()) as told:
        assert told.next() == []
        until(lambda: api.watchers == 1, "nobody watched")
        if by_status:
            api.refused["watch"] = (410, "too old resource version")
        else:
            api.compact()
        api.tell(END)
        until(lambda: len(api.queries("list")) >= 2, "nobody listed again")
        api.refused.clear()
        api.put(pod("a"))
        while (said := told.next()) != [at("a")]:
            assert said == []


@pytest.mark.parametrize("garbage", [b"nonsense\n", b'{"type":"ADDED","object":{"metadata":7}}\n'])
def test_garbage_in_a_watch_leads_to_a_list(api, open_pods, garbage):
    """It is told; nobody knows what it stood for."""
    api.put(pod("a"))
    with running(open_pods()) as told:
        told.until([at("a")])
        until(lambda: api.watchers == 1, "nobody watched")
        api.tell(garbage)
        while isinstance(said := told.next(), list):
            assert said == [at("a")]
        assert said[0] == "lookup"
        assert "the API sent what is no" in said[1]
        told.until([at("a")])
    assert len(api.queries("list")) == 2


# --- an API that does not answer ----------------------------------------------------------------------------------


def test_what_is_forbidden_is_told_as_the_api_tells_it(api, open_pods):
    """And found once it is allowed."""
    api.put(pod("a"))
    api.refused["list"] = (403, 'pods is forbidden: User "x" cannot list resource "pods"')
    with running(open_pods()) as told:
        category, reason = told.next()
        assert category == "lookup"
        assert '403 Forbidden: pods is forbidden: User "x" cannot list resource "pods"' in reason
        api.refused.clear()
        told.until([at("a")])


def test_who_may_list_and_not_watch_lists(api, open_pods):
    """Again and again, so that changes are seen all the same."""
    api.refused["watch"] = (403, "pods is forbidden")
    with running(open_pods()) as told:
        assert told.next() == []
        api.put(pod("a"))
        told.until([at("a")])


def test_an_answer_that_is_none_is_told(api, open_pods):
    """Be it broken, of another kind, or without any pods."""
    api.answer = b"<html>"
    with running(open_pods()) as told:
        category, reason = told.next()
        assert category == "lookup"
        assert "no PodList" in reason
        api.answer = b'{"metadata":{"resourceVersion":"1"},"items":null}'
        told.until([])


def test_an_api_that_is_away_is_waited_for(closing, follow, manager):
    """What was found holds meanwhile."""
    api = ApiServer()
    api.put(pod("a", "127.0.0.1"))
    roster = follow(open_discovery(f"kubernetes:{api.url}?selector=app=engine"))
    comes_to_follow(manager, **{"default/a": "tcp://127.0.0.1:5557"})
    api.close()
    until(lambda: roster.stats().errors["lookup"] > 0, "nothing was told")
    assert followed(manager).keys() == {("default/a", 0)}


def test_a_token_is_read_anew_for_every_request(api, open_pods, tmp_path):
    """Kubernetes renews it."""
    file = tmp_path / "token"
    file.write_text("first\n")
    api.token = "second"
    api.put(pod("a"))
    with running(open_pods(f"&token-file={file}")) as told:
        category, reason = told.next()
        assert (category, "401 Unauthorized" in reason) == ("lookup", True)
        file.write_text("second\n")
        told.until([at("a")])


@pytest.mark.parametrize("content", [None, b"a\nb", b"\xff\xff"], ids=["missing", "two lines", "no text"])
def test_a_token_that_is_none_is_told(open_pods, tmp_path, content):
    """And nothing is sent."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with running(open_pods(f"&token-file={file}")) as told:
        assert told.next()[0] == "lookup"


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = [folder / "cert.pem", folder / "key.pem"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run([*command, "-out", made[0], "-keyout", made[1]], check=True, capture_output=True, timeout=30)
    return made


@needs_openssl
def test_the_apis_certificate_is_checked(closing, certificate):
    """Against the authority that is given, or else the system's."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    api = closing.enter_context(ApiServer(context))
    api.put(pod("a"))
    with running(open_discovery(f"kubernetes:{api.url}?selector=app=engine")) as told:
        category, reason = told.next()
        assert category == "lookup"
        assert "certificate verify failed" in reason
    with running(open_discovery(f"kubernetes:{api.url}?selector=app=engine&ca-file={certificate[0]}")) as told:
        assert told.next() == [at("a")]
        until(lambda: api.watchers == 1, "nobody watched")
        api.put(pod("b"))
        told.until([at("a"), at("b")])
    with running(open_discovery(f"kubernetes:{api.url}?selector=app=engine&ca-file=/nowhere/ca.crt")) as told:
        assert "/nowhere/ca.crt" in told.next()[1]


# --- within a cluster -------------------------------------------------------------------------------------------


def test_a_pod_finds_the_api_by_itself(tmp_path):
    """By what Kubernetes puts into its environment and its files."""
    (tmp_path / "namespace").write_text("prod\n")
    (tmp_path / "token").write_text("secret\n")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    access = Access.in_cluster(environ, tmp_path)
    assert (access.url, access.namespace, access.token()) == ("https://[fd00::1]:6443", "prod", "secret")
    assert access.ca_file == tmp_path / "ca.crt"
    assert Access.in_cluster({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path).url == "https://10.0.0.1:443"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kubernetes:", "say which pods, by selector=LABEL=VALUE or by a preset: aibrix, llm-d"),
        ("kubernetes:?preset=aibirx", "there is no preset 'aibirx'; there are: aibrix, llm-d"),
        ("kubernetes:?preset=aibrix", "this is no pod, as KUBERNETES_SERVICE_HOST is not set; say where the API is"),
        ("kubernetes:10.0.0.1:6443?preset=aibrix", "'10.0.0.1:6443' is no address of an API; expected https://HOST:PORT"),
        ("kubernetes:https://h:x?preset=aibrix", "'https://h:x' is no address of an API"),
        ("kubernetes:http://h?preset=aibrix&port=x", "'x' is no number"),
        ("kubernetes:http://h?preset=aibrix&labels=x", "there is no option 'labels'; there are: ca-file, model, model-label,"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_when_it_is_opened(monkeypatch, text, says):
    """The whole text, the fault, and what there is instead."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(kt.InvalidSetting) as raised:
        open_discovery(text)
    assert says in str(raised.value)
    assert repr(text) in str(raised.value)


# --- the end ----------------------------------------------------------------------------------------------------


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "kato-kv-discovery"]


@pytest.mark.parametrize("silent", [False, True], ids=["watching", "waiting for a list"])
def test_closing_does_not_wait_for_the_api(api, open_pods, follow, silent):
    """Whatever is being waited for; no thread and no descriptor is left."""
    api.silent = silent
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None
    roster = follow(open_pods())
    until(lambda: api.queries("list") and (silent or api.watchers == 1), "nobody asked")
    with at_most(GRACE_S, "closing"):
        roster.close()
    assert threads() == []
    assert roster.stats().errors["lookup"] == 0
    api.close()
    if before is not None:
        until(
            lambda: len(os.listdir("/proc/self/fd")) < before, "descriptors were left behind"
        )  # the server's own is gone, too


@needs_fork
def test_a_forked_child_leaves_the_parents_watch_alone(api, open_pods, follow, manager):
    """Closing there ends nothing here."""
    roster = follow(open_pods())
    until(lambda: api.watchers == 1, "nobody watched")

    def live_as_child():
        roster.close()
        manager.close()

    assert in_child(live_as_child) == "fine"
    api.put(pod("a", "127.0.0.1"))
    comes_to_follow(manager, **{"default/a": "tcp://127.0.0.1:5557"})
    assert len(api.queries("watch")) == 1
