"""Commands end by signals, whichever thread and whichever moment these come in."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

WAIT_S = 20.0


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Of a process that would wait for ever where it missed what it waits for."""
    script = "import os, signal, threading, time\nfrom kato_transport.cli.daemon import stop_on_signals\n" + textwrap.dedent(
        code
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=WAIT_S, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_another_thread_gets_ends_the_wait(number: int) -> None:
    """The main thread, by which it is handled, sleeps on undisturbed then."""
    done = run(f"""
        stop = stop_on_signals()
        def signalled():
            signal.pthread_kill(threading.get_ident(), {number})
        threading.Timer(0.2, signalled).start()
        print(stop.wait(), stop.is_set())
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n", "")


def test_a_signal_that_comes_first_is_not_missed() -> None:
    """However long before anybody waits."""
    done = run("""
        stop = stop_on_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        print(stop.wait())
    """)
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_another_thread_can_stop_it() -> None:
    """As where the parent has gone."""
    done = run("""
        stop = stop_on_signals()
        threading.Timer(0.1, stop.set).start()
        print(stop.wait(0.001), stop.wait(), stop.wait(0.001), stop.wait())
    """)
    assert (done.returncode, done.stdout) == (0, "False True True True\n")


def test_every_waiting_thread_is_told() -> None:
    """What wakes one is left for the others."""
    done = run("""
        stop = stop_on_signals()
        threads = [threading.Thread(target=stop.wait) for _ in range(4)]
        for thread in threads:
            thread.start()
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait()
        for thread in threads:
            thread.join()
        print("all")
    """)
    assert (done.returncode, done.stdout) == (0, "all\n")


def test_other_signals_stop_nothing() -> None:
    """Though they wake whoever waits."""
    done = run("""
        stop = stop_on_signals()
        signal.signal(signal.SIGUSR1, lambda number, frame: print("seen", flush=True))
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        print(stop.wait(0.5))
    """)
    assert (done.returncode, done.stdout) == (0, "seen\nFalse\n")


def test_a_second_signal_ends_the_process() -> None:
    """At once, whatever it is about."""
    done = run("""
        stop = stop_on_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """)
    assert done.returncode == 128 + signal.SIGTERM


def test_a_childs_signals_are_its_own() -> None:
    """They neither stop its parent nor wake it."""
    done = run("""
        stop = stop_on_signals()
        pid = os.fork()
        if not pid:
            print(signal.set_wakeup_fd(-1), flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        os.waitpid(pid, 0)
        print(stop.wait(0.1))
    """)
    assert (done.returncode, done.stdout) == (0, "-1\nFalse\n")
