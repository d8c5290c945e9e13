"""Both pools: waiting instead of failing, nothing left behind, and figures that are true."""

from __future__ import annotations

import gc
import os
import threading
import warnings

import pytest

import kato_transport as kt
from kato_transport.compat import (
    ImprovedConnectionPool,
    ImprovedZMQClient,
    PoolExhausted,
    ZMQClient,
    ZMQConnectionPool,
    cleanup_global_pool,
    cleanup_improved_pool,
    get_global_pool,
    get_improved_pool,
    set_global_pool,
    set_improved_pool,
)

THREAD_STATS = {
    "total_connections",
    "active_connections",
    "total_requests",
    "failed_requests",
    "reconnections",
    "failure_rate",
}
LENT_STATS = {
    "pool_size",
    "active_connections",
    "total_connections",
    "total_created",
    "total_requests",
    "successful_requests",
    "failed_requests",
    "success_rate",
    "connection_reuses",
    "reuse_rate",
}


@pytest.fixture
def thread_pool(made):
    """A default pool of the port given."""

    def thread_pool(port, **options):
        pool = ZMQConnectionPool("127.0.0.1", port, **options)
        made.callback(pool.shutdown)
        return pool

    return thread_pool


@pytest.fixture
def lending_pool(made):
    """A default pool of the port given."""

    def lending_pool(port, **options):
        return made.enter_context(ImprovedConnectionPool("127.0.0.1", port, **options))

    return lending_pool


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


# --- a client per thread ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "client_class"), [("basic", ZMQClient), ("legacy", ZMQClient), ("improved", ImprovedZMQClient)]
)
def test_the_pool_has_clients_of_the_implementation_in_force(name, client_class, thread_pool, serve, monkeypatch):
    """Fault 11: the last version of the original minded it no more."""
    monkeypatch.setenv("KATO_ZMQ_IMPLEMENTATION", name)
    pool = thread_pool(serve(name).port)
    assert type(pool.get_client()) is client_class
    assert pool.execute("get_name")["message"] == "P1"


def test_a_thread_keeps_its_client(thread_pool, serve, in_threads):
    """And no other thread has the same one."""
    pool = thread_pool(serve().port)
    assert pool.get_client() is pool.get_client()
    others = in_threads(4, pool.get_client)
    assert len({id(client) for client in (*others, pool.get_client())}) == 5


def test_execute_calls_a_method_of_the_client(thread_pool, serve):
    """By the name it has there, with its arguments."""
    pool = thread_pool(serve().port)
    assert pool.execute("get_gene", "persistence") == 5
    assert pool.execute("change_gene", "persistence", gene_value=6)["status"] == "okay"
    assert pool.execute("ping") is True


def test_an_error_answer_is_counted_as_failed_and_reaches_the_caller(thread_pool, serve):
    """Exactly the original's keys."""
    pool = thread_pool(serve().port)
    pool.execute("get_name")
    with pytest.raises(Exception, match="Server error: Model nose not found"):
        pool.execute("get_model", "nose")
    stats = pool.get_stats()
    assert set(stats) == THREAD_STATS
    assert (stats["total_requests"], stats["failed_requests"], stats["failure_rate"]) == (2, 1, 0.5)
    assert (stats["total_connections"], stats["active_connections"], stats["reconnections"]) == (1, 1, 0)


def test_more_threads_than_sockets_wait_for_each_other(thread_pool, serve, in_threads, monkeypatch):
    """Within the time of their calls."""
    monkeypatch.setenv("KATO_TRANSPORT_MAX_CONNECTIONS", "2")
    pool = thread_pool(serve().port)
    assert in_threads(16, lambda: [pool.execute("get_gene", "persistence") for _ in range(5)]) == [[5] * 5] * 16


def test_cleanup_thread_lets_go_of_this_threads_client(thread_pool, serve):
    """The next call makes another."""
    pool = thread_pool(serve().port)
    client = pool.get_client()
    pool.cleanup_thread()
    pool.cleanup_thread()
    assert pool.get_stats()["active_connections"] == 0
    assert pool.get_client() is not client
    assert pool.execute("get_name")["message"] == "P1"


def test_a_pool_that_was_shut_down_has_nothing_open(thread_pool, serve):
    """Shutting it down again does nothing; its clients are closed."""
    pool = thread_pool(serve().port)
    client = pool.get_client()
    client.get_name()
    pool.shutdown()
    pool.shutdown()
    assert pool.get_stats()["active_connections"] == 0
    with pytest.raises(kt.ClientClosed):
        client.get_name()
    with pytest.raises(kt.ClientClosed):
        pool.execute("get_name")


def test_a_health_check_that_fails_connects_anew(thread_pool, serve, eventually):
    """Asked for a client once the interval has passed, the pool makes sure of the server first."""
    server = serve()
    pool = thread_pool(server.port, timeout=1000, health_check_interval=0, reconnect_interval=0)
    assert pool.execute("ping")
    server.close()
    assert not pool.get_client().ping()
    assert pool.get_stats()["reconnections"] == 1
    serve("improved", server.endpoint)
    assert eventually(lambda: pool.execute("ping"))


def test_the_connection_is_not_made_anew_more_often_than_asked_for(thread_pool, nowhere):
    """`reconnect_interval` milliseconds lie between."""
    pool = thread_pool(nowhere, timeout=20, health_check_interval=0, reconnect_interval=60_000)
    for _ in range(3):
        pool.get_client()
    assert pool.get_stats()["reconnections"] == 1


def test_no_health_check_is_made_before_its_time(thread_pool, nowhere):
    """Thirty seconds by default; one would find nobody here, and connect anew."""
    pool = thread_pool(nowhere)
    pool.get_client()
    assert pool.get_stats()["reconnections"] == 0


# --- connections lent out -----------------------------------------------------------------------------------------------


def test_a_lent_connection_is_the_borrowers_alone(lending_pool, serve):
    """Until it is released."""
    pool = lending_pool(serve().port)
    (one, one_id), (other, other_id) = pool.acquire(), pool.acquire()
    assert one is not other
    assert one_id != other_id
    assert pool.get_stats()["active_connections"] == 2
    pool.release(one_id)
    pool.release(other_id)
    stats = pool.get_stats()
    assert (stats["pool_size"], stats["active_connections"], stats["total_connections"]) == (2, 0, 2)


def test_the_minimum_is_there_from_the_start(lending_pool, serve):
    """And what is taken of it counts as reused."""
    pool = lending_pool(serve().port, min_connections=3)
    stats = pool.get_stats()
    assert (stats["pool_size"], stats["total_created"]) == (3, 3)
    pool.execute("ping")
    assert pool.get_stats()["connection_reuses"] == 1


def test_execute_takes_a_wire_method_and_gives_the_answer(lending_pool, serve):
    """With params, and milliseconds."""
    pool = lending_pool(serve().port)
    assert pool.execute("get_gene", {"gene_name": "persistence"}, timeout=1000)["gene_value"] == 5


def test_figures_of_the_lending_pool_are_true(lending_pool, serve):
    """Exactly the original's keys."""
    pool = lending_pool(serve().port)
    for _ in range(3):
        pool.execute("ping")
    with pytest.raises(Exception, match="Server error: Unknown method: dance"):
        pool.execute("dance")
    stats = pool.get_stats()
    assert set(stats) == LENT_STATS
    assert stats == {
        "pool_size": 1,
        "active_connections": 0,
        "total_connections": 1,
        "total_created": 1,
        "total_requests": 4,
        "successful_requests": 3,
        "failed_requests": 1,
        "success_rate": 0.75,
        "connection_reuses": 4,
        "reuse_rate": 1.0,
    }


def test_a_pool_with_nothing_free_waits_its_time_and_says_so(lending_pool, serve):
    """The original raised a RuntimeError, at once."""
    pool = lending_pool(serve().port, timeout=50, max_connections=1)
    _, conn_id = pool.acquire()
    with pytest.raises(PoolExhausted) as raised:
        pool.acquire()
    assert isinstance(raised.value, (RuntimeError, TimeoutError))
    pool.release(conn_id)
    pool.acquire()


def test_who_waits_gets_what_is_released(lending_pool, serve):
    """Without an error in between."""
    pool = lending_pool(serve().port, max_connections=1)
    _, conn_id = pool.acquire()
    got = []
    thread = threading.Thread(target=lambda: got.append(pool.execute("ping")))
    thread.start()
    pool.release(conn_id)
    thread.join()
    assert got[0]["message"] == "pong"


def test_a_connection_that_has_lived_its_time_is_replaced(lending_pool, serve):
    """By use, not by a thread that watches."""
    pool = lending_pool(serve().port, connection_lifetime=0)
    for _ in range(3):
        pool.execute("ping")
    stats = pool.get_stats()
    assert stats["total_created"] > 3
    assert stats["total_connections"] == 1


def test_a_connection_that_lost_its_server_is_not_kept(lending_pool, serve):
    """The next one finds the server that came back."""
    server = serve()
    pool = lending_pool(server.port, timeout=1000)
    pool.execute("ping")
    server.close()
    with pytest.raises(TimeoutError):
        pool.execute("ping")
    serve("improved", server.endpoint)
    assert pool.execute("ping", timeout=5000)["message"] == "pong"
    assert pool.get_stats()["total_created"] == 2


def test_releasing_what_is_not_lent_does_nothing(lending_pool, serve, caplog):
    """But a line in the log."""
    lending_pool(serve().port).release("nothing")
    assert "not lent" in caplog.text


def test_a_lending_pool_that_was_shut_down_has_nothing_open(lending_pool, serve):
    """Not even what was lent, and no thread."""
    pool = lending_pool(serve().port)
    client, conn_id = pool.acquire()
    pool.shutdown()
    pool.shutdown()
    pool.release(conn_id)
    assert not client.is_connected()
    assert not [thread for thread in threading.enumerate() if thread.name == "kato-background"]
    with pytest.raises(kt.ClientClosed):
        pool.acquire()


# --- the process's own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("get", "replace", "cleanup", "pool_class"),
    [
        (get_global_pool, set_global_pool, cleanup_global_pool, ZMQConnectionPool),
        (get_improved_pool, set_improved_pool, cleanup_improved_pool, ImprovedConnectionPool),
    ],
)
def test_there_is_one_global_pool(get, replace, cleanup, pool_class, serve, monkeypatch, in_threads):
    """Made at the first call, at `ZMQ_PORT`, for all threads; set and cleaned up as before."""
    port = serve().port
    monkeypatch.setenv("ZMQ_PORT", str(port))
    (pool,) = set(in_threads(16, get))
    assert type(pool) is pool_class
    assert pool.port == port
    mine = pool_class("127.0.0.1", port)
    replace(mine)
    pool.shutdown()
    assert get() is mine
    cleanup()
    cleanup()
    assert get() not in (mine, pool)


def test_a_global_pool_outlives_a_fork(serve, monkeypatch):
    """Parent and child go on with it."""
    monkeypatch.setenv("ZMQ_PORT", str(serve().port))
    assert get_global_pool().execute("get_gene", "persistence") == 5
    assert get_improved_pool().execute("ping")["message"] == "pong"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        works = get_global_pool().execute("get_gene", "persistence") == 5 and get_improved_pool().execute("ping")
        os._exit(0 if works else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert get_global_pool().execute("get_gene", "persistence") == 5
