"""What is counted: small pieces of work, each beside a reference that this project has no part in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import msgpack
from attrs import frozen

import kato_transport as kt
from bench.kv.ours import Read
from bench.kv.workload import PREFILL, Chain, Removed, Stored
from kato_transport.client import Client
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.reliable import ReliableConnection
from kato_transport.runner import Runner
from kato_transport.service import as_service
from kato_transport.wire import (
    decode_message,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    request_from_map,
)
from kato_transport_zmq_improved.framing import request_frames, response_in
from kato_transport_zmq_improved.negotiation import Abilities

PARAMS: Final = {"text": "x" * 150, "number": 12345, "list": [1, 2, 3]}
"""200 bytes, packed."""
LIMIT: Final = 64 * 1024 * 1024
CODEC: Final = MsgpackCodec()
OPTIONS: Final = kt.ServerOptions(codec=CODEC)
TIMES: Final = 200
"""How often each piece is done."""
MATCHED: Final = 128

Work = Callable[[int], object]
"""Does a piece once; is given how often it has been done."""


@frozen
class Case:
    """A piece of work, made ready by `prepared`, and the reference that it is told as a multiple of."""

    prepared: Callable[[], AbstractContextManager[Work]]
    reference: str


@kt.inline
def echo(**params: Any) -> dict[str, Any]:
    return {"params": params}


def codec() -> AbstractContextManager[Work]:
    """A call and its answer, each to bytes and back."""
    request, answer = kt.Request("echo", PARAMS), kt.Response.okay(params=PARAMS)

    def work(_: int) -> None:
        decode_request(CODEC, encode_request(CODEC, request))
        decode_response(CODEC, encode_response(CODEC, answer))

    return nullcontext(work)


@contextmanager
def memory_call() -> Iterator[Work]:
    """A call of a client, its inline handler included, and no socket."""
    endpoint = "memory://counted"
    with kt.serve({"echo": echo}, endpoint, transport="memory"), kt.connect(endpoint, transport="memory") as client:
        yield lambda _: client.call("echo", PARAMS)


class Direct:
    """What the improved transport's client and server do for a call, but for their sockets and threads."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._abilities = Abilities(correlation=True, buffers=True)

    def request(self, request: kt.Request) -> kt.Response:
        *_, message = request_frames(CODEC, request, LIMIT, self._abilities, request.timeout_s)
        taken = request_from_map(decode_message(CODEC, bytes(message), LIMIT), "improved")
        answers: list[bytes] = []

        def reply(response: kt.Response) -> int:
            answers.append(encode_response(CODEC, response, taken.request_id, LIMIT, []))
            return len(answers[0])

        self._runner.start(taken, reply, client=b"client")
        return response_in(CODEC, [b"correlation", answers[0]], LIMIT)

    def close(self) -> None:
        """Nothing to let go of."""


@contextmanager
def improved_call() -> Iterator[Work]:
    """A call of a client through everything that is no socket, reply cache and retry policy included."""
    runner = Runner(as_service({"echo": echo}), OPTIONS, ("correlation",))
    options = kt.ClientOptions(codec=CODEC)
    with Client(ReliableConnection([("direct", Direct(runner))], options), "direct", 5.0) as client:
        yield lambda _: client.call("echo", PARAMS)
    runner.close()


def store() -> AbstractContextManager[Work]:
    """32 blocks of a prompt that nobody has told of, tokens hashed."""
    index = Read()
    events = [index.given([_stored(number)]) for number in range(2 * TIMES)]
    return nullcontext(lambda number: index.apply(events[number]))


def match() -> AbstractContextManager[Work]:
    """Who holds the leading 128 blocks of a prompt, and the answer read."""
    index = Read()
    asked = []
    for number in range(2 * TIMES):
        chain = Chain(number, 1, MATCHED)
        index.apply(index.given([Stored(1, None, chain.hashes(), chain.tokens())]))
        asked.append(index.request(chain, MATCHED))
        index.read(index.match(asked[-1]))
    return nullcontext(lambda number: index.read(index.match(asked[number])))


def remove() -> AbstractContextManager[Work]:
    """The 32 blocks of a prompt, leaf first."""
    index = Read()
    for number in range(2 * TIMES):
        index.apply(index.given([_stored(number)]))
    events = [index.given([Removed(1, Chain(number, 1, PREFILL).hashes()[::-1])]) for number in range(2 * TIMES)]
    return nullcontext(lambda number: index.apply(events[number]))


def _stored(number: int) -> Stored:
    chain = Chain(number, 1, PREFILL)
    return Stored(1, None, chain.hashes(), chain.tokens())


def packing() -> AbstractContextManager[Work]:
    """The reference of calls: the same map packed and unpacked twice by msgpack itself."""
    packer = msgpack.Packer()

    def work(_: int) -> None:
        msgpack.unpackb(packer.pack({"params": PARAMS}))
        msgpack.unpackb(packer.pack({"params": PARAMS}))

    return nullcontext(work)


def inserting() -> AbstractContextManager[Work]:
    """The reference of the index: 128 entries of a map."""
    table: dict[int, int] = {}

    def work(number: int) -> None:
        for key in range(MATCHED * number, MATCHED * (number + 1)):
            table[key] = number

    return nullcontext(work)


PACKING, INSERTING = "msgpack: pack and unpack twice", "dict: 128 inserts"
REFERENCES: Final[Mapping[str, Callable[[], AbstractContextManager[Work]]]] = {PACKING: packing, INSERTING: inserting}
CASES: Final[Mapping[str, Case]] = {
    "codec: a call and its answer, 200 B": Case(codec, PACKING),
    "a call through memory": Case(memory_call, PACKING),
    "a call through improved, without sockets": Case(improved_call, PACKING),
    "index: store 32 blocks": Case(store, INSERTING),
    "index: match 128 blocks": Case(match, INSERTING),
    "index: remove 32 blocks": Case(remove, INSERTING),
}
