"""Calls per second and latency of every transport, as ratios to raw pyzmq, interleaved in one run.

    python bench/rpc.py [--rounds 5] [--seconds 0.5] [--json FILE]

Raw is a DEALER/ROUTER echo with msgpack and nothing else, server and client each a process as with the transports, and
the same 200-byte map each way. Rounds alternate over the subjects, so that a noisy moment hits all of them; figures are
medians of rounds. Absolute figures of a shared machine mean nothing; the ratios are the result.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import msgpack
import zmq

import kato_transport as kt

PARAMS = {"text": "x" * 150, "number": 12345, "list": [1, 2, 3]}
THREADS = 8
BATCH = 1000

Caller = Callable[[], object]


@kt.inline
def echo_inline(**params: Any) -> dict[str, Any]:
    return params


def echo_pooled(**params: Any) -> dict[str, Any]:
    return params


def serve_transport(transport: str, ready: Connection) -> None:
    endpoint = "http://127.0.0.1:0" if transport == "rest" else "tcp://127.0.0.1:0"
    with kt.serve({"echo": echo_inline, "pooled": echo_pooled}, endpoint, transport=transport) as server:
        ready.send(server.endpoint)
        ready.recv()


def serve_raw(transport: str, ready: Connection) -> None:
    socket = zmq.Context().socket(zmq.ROUTER)
    socket.rcvtimeo = 100
    ready.send(f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}")
    while not ready.poll(0):
        for _ in range(1000):
            try:
                frames = socket.recv_multipart()
            except zmq.Again:
                break
            socket.send_multipart([frames[0], msgpack.packb({"status": "okay", **msgpack.unpackb(frames[1])["params"]})])
    socket.close(linger=0)


@contextmanager
def server(target: Callable[[str, Connection], None], transport: str) -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(transport, theirs))
    process.start()
    yield ours.recv()
    ours.send("end")
    process.join()


class Raw:
    """Raw pyzmq: a DEALER per thread."""

    name = "raw"

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._context = zmq.Context()

    def caller(self) -> Caller:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(self._endpoint)
        message = {"method": "echo", "params": PARAMS}

        def call() -> None:
            socket.send(msgpack.packb(message))
            msgpack.unpackb(socket.recv())

        return call

    def many(self) -> None:
        socket = self._context.socket(zmq.DEALER)
        socket.connect(self._endpoint)
        message = {"method": "echo", "params": PARAMS}
        for _ in range(64):
            socket.send(msgpack.packb(message))
        for _ in range(BATCH - 64):
            msgpack.unpackb(socket.recv())
            socket.send(msgpack.packb(message))
        for _ in range(64):
            msgpack.unpackb(socket.recv())
        socket.close(linger=0)

    def close(self) -> None:
        self._context.destroy(linger=0)


class Ours:
    """A transport of this project, with one client shared by all threads."""

    def __init__(self, name: str, endpoint: str, transport: str, method: str) -> None:
        self.name = name
        self._method = method
        self._client = kt.connect(endpoint, transport=transport)

    def caller(self) -> Caller:
        return lambda: self._client.call(self._method, PARAMS)

    def many(self) -> None:
        self._client.call_many([(self._method, PARAMS)] * BATCH)

    def close(self) -> None:
        self._client.close()


Subject = Raw | Ours


def sync_p50_us(subject: Subject, seconds: float) -> float:
    call, took = subject.caller(), []
    until = time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        call()
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1e6


def threads_per_s(subject: Subject, seconds: float) -> float:
    counts = [0] * THREADS
    until = time.perf_counter() + seconds

    def work(number: int, call: Caller) -> None:
        while time.perf_counter() < until:
            call()
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number, subject.caller())) for number in range(THREADS)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - started)


def pipelined_per_s(subject: Subject, seconds: float) -> float:
    started, done = time.perf_counter(), 0
    while time.perf_counter() < started + seconds:
        subject.many()
        done += BATCH
    return done / (time.perf_counter() - started)


CASES: dict[str, Callable[[Subject, float], float]] = {
    "one sync client, p50 µs": sync_p50_us,
    f"{THREADS} threads, requests/s": threads_per_s,
    "call_many, 64 in flight, requests/s": pipelined_per_s,
}


def measure(rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Case to subject to the figure of each round."""
    with (
        server(serve_raw, "") as raw,
        server(serve_transport, "basic") as basic,
        server(serve_transport, "improved") as improved,
        server(serve_transport, "rest") as rest,
    ):
        subjects: list[Subject] = [
            Raw(raw),
            Ours("improved, inline", improved, "improved", "echo"),
            Ours("improved, pooled", improved, "improved", "pooled"),
            Ours("basic", basic, "basic", "echo"),
            Ours("rest", rest, "rest", "echo"),
        ]
        figures: dict[str, dict[str, list[float]]] = {case: {s.name: [] for s in subjects} for case in CASES}
        for number in range(rounds + 1):
            for case, run in CASES.items():
                for subject in subjects:
                    figure = run(subject, seconds)
                    if number:  # the first round warms up
                        figures[case][subject.name].append(figure)
        for subject in subjects:
            subject.close()
    return figures


def report(figures: dict[str, dict[str, list[float]]]) -> None:
    for case, by_subject in figures.items():
        print(f"\n### {case}\n\n| subject | median | ratio to raw (median of rounds) |\n| --- | --- | --- |")
        for name, rounds in by_subject.items():
            ratios = [own / raw for own, raw in zip(rounds, by_subject["raw"], strict=True)]
            print(f"| {name} | {statistics.median(rounds):,.0f} | {statistics.median(ratios):.2f} |")


def environment() -> dict[str, Any]:
    versions = {"python": platform.python_version(), "pyzmq": zmq.__version__, "libzmq": zmq.zmq_version()}
    return {**versions, "machine": platform.machine(), "cores": os.cpu_count()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="per subject, case and round")
    parser.add_argument("--json", help="write every figure to this file")
    options = parser.parse_args()
    figures = measure(options.rounds, options.seconds)
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    report(figures)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"environment": environment(), "figures": figures}, file, indent=1)


if __name__ == "__main__":
    main()
