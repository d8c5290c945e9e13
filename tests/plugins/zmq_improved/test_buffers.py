"""Large bytes in frames of their own: between this project's peers, past proxies and old peers, and through forks."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import msgpack
import pytest
import zmq

import kato_transport as kt
from kato_transport.buffers import LEAST_BYTES, MOST

from .peers import WAIT_S, until
from .test_forks import child, ended

LARGE = os.urandom(LEAST_BYTES)
LIMIT = 4 * LEAST_BYTES


class Handlers:
    """What is served; it keeps the types of what it was given."""

    def __init__(self) -> None:
        self.kinds: list[type] = []
        self.runs = 0

    def methods(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {
            "echo": self.echo,
            "quick": kt.inline(lambda **values: self.echo(**values)),
            "give": self.give,
            "mutable": self.mutable,
        }

    def echo(self, **values: Any) -> dict[str, Any]:
        self.kinds += map(type, values.values())
        return {"got": len(values), **values}

    def give(self, size: int) -> dict[str, Any]:
        self.runs += 1
        return {"value": bytes(size), "size": size}

    def mutable(self) -> dict[str, Any]:
        return {"array": bytearray(LARGE), "view": memoryview(LARGE)}


class RawDealer:
    """A client by hand: frames go, frames come."""

    def __init__(self, endpoint: str) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def ask(self, *frames: bytes) -> list[bytes]:
        self.socket.send_multipart(frames)
        assert self.socket.poll(int(WAIT_S * 1000)), "no answer came"
        return self.socket.recv_multipart()

    def close(self) -> None:
        self.context.destroy(linger=0)


class RecordingRouter:
    """A server by hand that names the features it is given, keeps the frames that came, and answers with what it is told."""

    def __init__(self, *features: str) -> None:
        self.features = features
        self.came: list[list[bytes]] = []
        self.answer: list[bytes] = [message(status="okay")]
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.context.destroy(linger=0)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self.socket.poll(10):
                identity, *frames = self.socket.recv_multipart()
                if msgpack.unpackb(frames[-1]).get("method") == "ping":
                    answer = [*frames[:-1], message(status="okay", message="pong", features=[*self.features])]
                else:
                    self.came.append(frames[1:])
                    answer = [frames[0], *self.answer]
                self.socket.send_multipart([identity, *answer])


def message(**keys: Any) -> bytes:
    packed: bytes = msgpack.packb(keys)
    return packed


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def serving(handlers: Handlers, closing: ExitStack) -> Callable[..., kt.RunningServer]:
    """Serves the handlers."""

    def made(**options: Any) -> kt.RunningServer:
        settings = {"transport": "improved", "drain_s": 1.0, **options}
        return closing.enter_context(kt.serve(handlers.methods(), "tcp://127.0.0.1:0", **settings))

    return made


@pytest.fixture
def client(serving: Callable[..., kt.RunningServer], closing: ExitStack) -> kt.Client:
    """Of a server of the handlers."""
    return connected(serving().endpoint, closing)


@pytest.fixture
def raw(closing: ExitStack) -> Callable[[str], RawDealer]:
    def made(endpoint: str) -> RawDealer:
        dealer = RawDealer(endpoint)
        closing.callback(dealer.close)
        return dealer

    return made


@pytest.fixture
def router(closing: ExitStack) -> Iterator[Callable[..., RecordingRouter]]:
    def made(*features: str) -> RecordingRouter:
        server = RecordingRouter(*features)
        closing.callback(server.close)
        return server

    return made


def connected(endpoint: str, closing: ExitStack, **options: Any) -> kt.Client:
    return closing.enter_context(kt.connect(endpoint, transport="improved", timeout_s=WAIT_S, **options))


def in_every_way(client: kt.Client, **values: Any) -> list[dict[str, Any]]:
    """The answers of a call, a submit and many calls; slow ones and inline ones."""
    answers = [client.call(method, values) for method in ("echo", "quick")]
    answers += [client.submit(method, values).result(WAIT_S) for method in ("echo", "quick")]
    many = client.call_many([(method, values) for method in ("echo", "quick") for _ in range(5)])
    assert all(isinstance(item, dict) for item in many), many
    return answers + [item for item in many if isinstance(item, dict)]


def test_large_bytes_come_and_go_however_they_are_sent(client: kt.Client, handlers: Handlers) -> None:
    """Beside others that stay in the message; the handler gets bytes whatever it was."""
    values = {"a": LARGE, "b": bytearray(LARGE), "c": memoryview(LARGE), "small": b"x", "n": 5, "text": "t"}
    for answer in in_every_way(client, **values):
        assert answer == {"status": "okay", "got": 6, **values}
    assert set(handlers.kinds) == {bytes, int, str}


def test_the_asynchronous_client_sends_and_gets_them_too(client: kt.Client) -> None:
    """Many at once."""

    async def run() -> None:
        async with kt.aconnect(client.endpoint, transport="improved", timeout_s=WAIT_S) as aclient:
            calls = [aclient.call("echo", {"value": LARGE, "n": n}) for n in range(10)]
            for n, answer in enumerate(await asyncio.gather(*calls)):
                assert (answer["value"], answer["n"]) == (LARGE, n)

    asyncio.run(run())


def test_an_answers_bytes_may_be_of_any_kind(client: kt.Client) -> None:
    """The client gets bytes."""
    answer = client.call("mutable")
    assert (answer["array"], answer["view"]) == (LARGE, LARGE)
    assert {type(answer["array"]), type(answer["view"])} == {bytes}


def test_they_travel_beside_the_message_in_both_directions(
    serving: Callable[..., kt.RunningServer], raw: Callable[[str], RawDealer], router: Callable[..., RecordingRouter]
) -> None:
    """As frames between the correlation and the message, named in their order."""
    server = serving()
    *answer, said = raw(server.endpoint).ask(b"correlation", LARGE, b"tiny", message(method="echo", buffers=["a", "b"]))
    assert answer == [b"correlation", LARGE]
    assert msgpack.unpackb(said) == {"status": "okay", "got": 2, "b": b"tiny", "buffers": ["a"]}
    recording = router("correlation", "buffers")
    recording.answer = [LARGE, message(status="okay", n=1, buffers=["value"])]
    with kt.connect(recording.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        assert client.call("m", {"n": 1, "value": LARGE}) == {"status": "okay", "n": 1, "value": LARGE}
        assert client.call("m", {"n": 1}) == {"status": "okay", "n": 1, "value": LARGE}
    (buffer, first), (second,) = recording.came
    assert buffer == LARGE
    assert (msgpack.unpackb(first)["params"], msgpack.unpackb(first)["buffers"]) == ({"n": 1}, ["value"])
    assert msgpack.unpackb(second)["buffers"] == []


def test_whoever_does_not_name_buffers_is_answered_in_one_frame(
    serving: Callable[..., kt.RunningServer], raw: Callable[[str], RawDealer]
) -> None:
    """As old clients are, with a correlation or without; one that names none, but could, is not."""
    dealer = raw(serving().endpoint)
    request = {"method": "give", "params": {"size": LEAST_BYTES}}
    (said,) = dealer.ask(message(**request, id=3))
    assert msgpack.unpackb(said) == {"status": "okay", "value": bytes(LEAST_BYTES), "size": LEAST_BYTES, "request_id": 3}
    correlation, said = dealer.ask(b"c", message(**request))
    assert (correlation, len(msgpack.unpackb(said)["value"])) == (b"c", LEAST_BYTES)
    correlation, value, said = dealer.ask(b"c", message(**request, buffers=[]))
    assert (correlation, value) == (b"c", bytes(LEAST_BYTES))
    assert msgpack.unpackb(said) == {"status": "okay", "size": LEAST_BYTES, "buffers": ["value"]}


def test_a_req_client_can_send_them_and_is_answered_as_one(
    serving: Callable[..., kt.RunningServer], raw: Callable[[str], RawDealer]
) -> None:
    """Its empty frame is no buffer, and an empty buffer is no delimiter."""
    dealer = raw(serving().endpoint)
    delimiter, *buffers, said = dealer.ask(b"", LARGE, message(method="echo", buffers=["a"]))
    assert (delimiter, buffers, msgpack.unpackb(said)["got"]) == (b"", [LARGE], 1)
    correlation, said = dealer.ask(b"c", b"", message(method="echo", buffers=["a"]))
    assert (correlation, msgpack.unpackb(said)) == (b"c", {"status": "okay", "got": 1, "a": b""})


def test_a_server_that_does_not_offer_them_gets_them_in_the_message(router: Callable[..., RecordingRouter]) -> None:
    """Whether it knows correlation or not."""
    plain = router("correlation")
    with kt.connect(plain.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        in_every_way(client, value=LARGE)
    assert all(len(frames) == 1 and b"buffers" not in frames[0] for frames in plain.came)
    assert all(msgpack.unpackb(frames[0])["params"] == {"value": LARGE} for frames in plain.came)


def test_they_pass_proxies_which_put_identities_before_them(
    serving: Callable[..., kt.RunningServer], closing: ExitStack
) -> None:
    """One behind the other, as libzmq makes them."""
    endpoint = serving().endpoint
    context = zmq.Context()
    closing.callback(context.destroy, linger=0)
    for _ in range(2):
        front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        port = front.bind_to_random_port("tcp://127.0.0.1")
        back.connect(endpoint)
        endpoint = f"tcp://127.0.0.1:{port}"

        def device(front: zmq.Socket[bytes] = front, back: zmq.Socket[bytes] = back) -> None:
            try:
                zmq.proxy(front, back)
            except zmq.ContextTerminated:
                pass
            finally:
                front.close(linger=0)
                back.close(linger=0)

        threading.Thread(target=device, daemon=True).start()
    closing.callback(context.term)
    client = connected(endpoint, closing)
    for answer in in_every_way(client, a=LARGE, n=1):
        assert answer == {"status": "okay", "got": 2, "a": LARGE, "n": 1}


BAD: dict[str, tuple[list[bytes], dict[str, Any], str]] = {
    "more names than frames": ([LARGE], {"buffers": ["a", "b", "c"]}, "3 buffers are named; 2 frames came"),
    "more frames than names": ([LARGE, LARGE], {"buffers": ["a"]}, "frames of up to"),
    "frames without names": ([LARGE], {}, "frames of up to"),
    "a name twice": ([LARGE, LARGE], {"buffers": ["a", "a"]}, "names one twice"),
    "a name of the params": ([LARGE], {"params": {"a": 1}, "buffers": ["a"]}, "and a buffer as well"),
    "names that are no text": ([LARGE], {"buffers": [1]}, "must be a list"),
    "names that are no list": ([LARGE], {"buffers": "a"}, "must be a list"),
    "too many of them": ([b"x"] * (MOST + 1), {"buffers": [f"n{n}" for n in range(MOST + 1)]}, f"at most {MOST}"),
    "more than are ever taken": ([b"x"] * 200, {"buffers": []}, "message of 202 frames"),
}


@pytest.mark.parametrize(("buffers", "keys", "said"), BAD.values(), ids=list(BAD))
def test_names_and_frames_that_do_not_go_together_are_refused(
    serving: Callable[..., kt.RunningServer],
    raw: Callable[[str], RawDealer],
    buffers: list[bytes],
    keys: dict[str, Any],
    said: str,
) -> None:
    """In the envelope, without what was large; and the sender is served on."""
    dealer = raw(serving().endpoint)
    *envelope, answer = dealer.ask(b"correlation", *buffers, message(method="echo", **keys))
    found = msgpack.unpackb(answer)
    assert (found["status"], found["code"]) == ("error", "invalid_params")
    assert said in found["message"]
    assert envelope[0] == b"correlation"
    assert LARGE not in envelope
    assert msgpack.unpackb(dealer.ask(b"c", message(method="echo"))[-1])["got"] == 0


def test_as_many_as_can_be_named_are_taken(client: kt.Client) -> None:
    """More stay in the message."""
    values = {f"p{n}": LARGE for n in range(MOST + 1)}
    answer = client.call("echo", values)
    assert answer == {"status": "okay", "got": MOST + 1, **values}


def test_the_limit_is_for_all_frames_of_a_message_together(
    serving: Callable[..., kt.RunningServer], raw: Callable[[str], RawDealer], closing: ExitStack, handlers: Handlers
) -> None:
    """At the client, at the server, and for what the server answers."""
    endpoint = serving(max_message_bytes=LIMIT).endpoint
    quarters = [LARGE] * 4
    names = ["a", "b", "c", "d"]
    *envelope, said = raw(endpoint).ask(b"correlation", *quarters, message(method="echo", buffers=names))
    assert envelope == [b"correlation"]
    assert msgpack.unpackb(said)["code"] == "too_large"
    with pytest.raises(kt.MessageTooLarge):
        connected(endpoint, closing, max_message_bytes=LIMIT).call("echo", dict(zip(names, quarters, strict=True)))
    client = connected(endpoint, closing)
    assert len(client.call("give", {"size": LIMIT - 1000})["value"]) == LIMIT - 1000
    with pytest.raises(kt.RemoteError) as raised:
        client.call("give", {"size": LIMIT})
    assert raised.value.code == "too_large"
    assert handlers.kinds == []


def test_an_answer_that_is_kept_counts_with_its_buffers(
    serving: Callable[..., kt.RunningServer], raw: Callable[[str], RawDealer], handlers: Handlers
) -> None:
    """And a copy of the call is answered with them, and not run."""
    server = serving()
    dealer = raw(server.endpoint)
    life = msgpack.unpackb(dealer.ask(message(method="ping"))[-1])["server"]
    request = message(method="give", params={"size": LEAST_BYTES}, once=f"{life}.client.1", buffers=[])
    first, second = dealer.ask(b"1", request), dealer.ask(b"2", request)
    assert first[1:] == second[1:]
    assert first[1] == bytes(LEAST_BYTES)
    assert handlers.runs == 1
    assert LEAST_BYTES < server.stats()["kept_bytes"] < LEAST_BYTES + 200


def test_answers_with_frames_that_make_no_sense_are_the_peers_mistake(router: Callable[..., RecordingRouter]) -> None:
    """However the client asked; what comes next is read again."""
    server = router("correlation", "buffers")
    good = [message(status="okay")]
    with kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        for bad in ([LARGE, message(status="okay")], [LARGE, message(status="okay", buffers=["a", "b"])]):
            server.answer = bad
            with pytest.raises(kt.RemoteProtocolError, match="the answer names"):
                client.call("m")
            with pytest.raises(kt.RemoteProtocolError):
                client.submit("m").result(WAIT_S)
            assert isinstance(client.call_many([("m", {})])[0], kt.RemoteProtocolError)
            server.answer = good
            assert client.call("m") == {"status": "okay"}


def test_children_send_and_get_them_while_the_parent_goes_on(client: kt.Client) -> None:
    """With threads that send all the time, at the moment of the fork, too."""
    stop, failed = threading.Event(), []

    def call() -> None:
        while not stop.is_set():
            try:
                assert client.call("echo", {"value": LARGE})["value"] == LARGE
            except Exception as exc:
                failed.append(exc)
                return

    client.call("echo", {"value": LARGE})
    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert ended(child(lambda: in_every_way(client, value=LARGE))) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []


def test_a_child_of_a_fork_that_found_pyzmqs_lock_held_sends_them_too(client: kt.Client) -> None:
    """The thread that held it is the parent's."""
    from zmq.utils.garbage import gc

    client.call("echo", {"value": LARGE})
    with gc._lock:
        pid = child(lambda: in_every_way(client, value=LARGE))
    try:
        assert ended(pid) == 0
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert client.call("echo", {"value": LARGE})["value"] == LARGE


def test_where_pyzmq_cannot_keep_them_they_are_copied(client: kt.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when no descriptors are left for its thread."""

    from zmq.utils.garbage import gc

    def store(*args: Any) -> int:
        raise zmq.ZMQError(errno.EMFILE)

    monkeypatch.setattr(gc, "store", store)
    for answer in in_every_way(client, value=LARGE):
        assert answer["value"] == LARGE


def test_what_was_sent_is_let_go_of(client: kt.Client) -> None:
    """Once libzmq is done with it."""
    from zmq.utils.garbage import gc

    for _ in range(20):
        client.call("echo", {"value": LARGE})
    until(lambda: len(gc.refs) == 0, "bytes are kept alive")
