"""The conformance kit finds each planted fault by the test named for it, and finds nothing where there is nothing."""

from pathlib import Path

import pytest

import kato_transport.memory  # what a run imports first, pytester forgets; the registry would keep a second copy of it
import kato_transport.testing.conformance  # noqa: F401 -- likewise

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent

SUITE = """
import kato_transport as kt
from kato_transport.testing import conformance
from {module} import {transport}

class Plugin:
    @kt.hookimpl
    def kato_register_transports(self):
        return [{transport}()]

class TestPlanted(conformance.{section}):
    name = {transport}.name

    @classmethod
    def setup_class(cls):
        kt.registry().register(Plugin(), cls.name)

    @classmethod
    def teardown_class(cls):
        kt.registry().unregister(cls.name)
"""

# A fault, a section of the kit, and the tests in it that have to fail.
FAULTS = [
    ("answers.LosesReplies", "Calls", {"test_calls_in_turn_get_their_own_answers"}),
    ("answers.RunsTwice", "Calls", {"test_a_call_runs_once"}),
    (
        "answers.RunsCopiesTwice",
        "Repeats",
        {
            "test_a_copy_of_an_answered_call_gets_the_same_answer",
            "test_a_copy_of_a_call_under_way_waits_for_the_same_answer",
            "test_a_call_made_for_another_server_is_not_run",
        },
    ),
    ("answers.SwapsAnswers", "InFlight", {"test_threads_may_share_a_client"}),
    ("answers.MixesOrder", "InFlight", {"test_call_many_answers_in_order", "test_an_error_among_many_is_an_item"}),
    ("answers.LosesErrorsOfMany", "InFlight", {"test_an_error_among_many_is_an_item"}),
    (
        "answers.GivesLateAnswers",
        "Timeouts",
        {"test_a_late_answer_never_goes_to_the_next_call", "test_a_client_goes_on_after_a_timeout"},
    ),
    ("answers.DropsEmptyPayloads", "Payloads", {"test_an_empty_payload_arrives"}),
    ("answers.MakesTextOfBytes", "Payloads", {"test_every_type_survives"}),
    ("errors.SendsTracebacks", "Errors", {"test_no_answer_carries_a_traceback"}),
    ("errors.SaysInternalOnly", "Errors", {"test_a_services_own_error_keeps_message_and_code"}),
    ("errors.LetsForeignErrorsOut", "Errors", {"test_params_that_cannot_be_carried_are_refused_before_sending"}),
    ("errors.NoticesAbsenceLate", "Peers", {"test_nobody_listening_is_noticed_within_the_connect_timeout"}),
    (
        "errors.CallsAbsenceTimeout",
        "Peers",
        {"test_nobody_listening_is_connect_failed", "test_a_server_that_comes_late_is_found"},
    ),
    ("limits.TakesAnySize", "Limits", {"test_a_message_too_large_is_refused_before_sending"}),
    ("limits.NeverBusy", "Limits", {"test_a_full_queue_is_answered_busy"}),
    ("limits.IgnoresTimeouts", "Timeouts", {"test_a_call_ends_at_its_time"}),
    ("limits.StartsExpiredWork", "Timeouts", {"test_expired_work_is_not_started"}),
    ("limits.OneAtATime", "InFlight", {"test_a_slow_call_does_not_hold_up_a_fast_one"}),
    ("limits.PingsWaitTheirTurn", "InFlight", {"test_a_ping_is_answered_while_handlers_are_busy"}),
    ("lifetimes.HangsOnClose", "Closing", {"test_closing_ends_calls_in_flight"}),
    ("lifetimes.LeavesCallsHanging", "Closing", {"test_closing_ends_calls_in_flight"}),
    ("lifetimes.ClosesOnce", "Closing", {"test_closing_a_connection_again_does_nothing"}),
    ("lifetimes.CallsAfterClose", "Closing", {"test_a_closed_connection_makes_no_call", "test_closing_ends_calls_in_flight"}),
    ("lifetimes.LeavesThreads", "Leaks", {"test_no_thread_is_left_behind"}),
    ("lifetimes.LeavesDescriptors", "Leaks", {"test_no_file_descriptor_is_left_behind"}),
    ("lifetimes.TakesOver", "Endpoints", {"test_an_endpoint_in_use_is_bind_failed"}),
    ("lifetimes.TakesAnyEndpoint", "Endpoints", {"test_connecting_to_a_malformed_endpoint_is_an_invalid_setting"}),
    (
        "lifetimes.DiesInChildren",
        "Forking",
        {"test_a_forked_child_calls_with_the_inherited_client", "test_parent_and_children_call_at_the_same_time"},
    ),
    (
        "lifetimes.BlocksTheLoop",
        "Asynchronous",
        {
            "test_an_async_call_does_not_block_the_loop",
            "test_a_slow_async_call_does_not_hold_up_a_fast_one",
            "test_an_async_client_goes_on_after_a_cancelled_call",
            "test_closing_an_async_client_ends_calls_in_flight",
        },
    ),
    ("streams.RepeatsEvents", "Streams", {"test_events_come_once_and_in_order"}),
    ("streams.GoesOnAfterClose", "Streams", {"test_a_closed_subscription_hears_nothing_more"}),
    (
        "networks.ReadsHalfMessages",
        "Faults",
        {"test_a_message_that_comes_byte_by_byte_is_still_right", "test_slow_delivery_is_still_right"},
    ),
    ("networks.NeverReconnects", "Peers", {"test_calls_are_answered_again_after_a_restart"}),
    ("networks.ClaimsHeartbeats", "Faults", {"test_a_silent_peer_is_noticed_before_the_calls_time"}),
]


class Results:
    """A pytest plugin that keeps what became of each test."""

    def __init__(self):
        self.passed, self.failed, self.skipped = set(), set(), {}

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("::")[-1].split("[")[0]
        if report.failed:
            self.failed.add(name)
        elif report.skipped:
            self.skipped[name] = report.longrepr[2]
        elif report.when == "call":
            self.passed.add(name)


@pytest.fixture
def run_kit(pytester, monkeypatch):
    """Run a section of the kit, or all of it, on a transport, within this process."""
    pytester.syspathinsert(HERE)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(where, section):
        module, transport = where.rsplit(".", 1)
        pytester.makepyfile(test_planted=SUITE.format(module=module, transport=transport, section=section))
        results = Results()
        # No tracebacks: in 3.11, parsing source for one while another thread logs one can fail (CPython gh-106905).
        run = pytester.inline_run("-p", "no:cacheprovider", "--tb=no", plugins=[results])
        assert run.ret in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        return results

    return run


@pytest.mark.parametrize(("fault", "section", "found_by"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_a_planted_fault_is_found_by_the_test_named_for_it(run_kit, fault, section, found_by):
    """By that one and, among its neighbours, by that one only."""
    results = run_kit(f"planted.{fault}", section)
    assert results.failed == found_by
    assert len(results.passed) + len(results.skipped) > 1 or section in ("Leaks", "Repeats")


@pytest.mark.parametrize("transport", ["planted.base.Healthy", "plain_tcp.PlainTcp"])
def test_a_healthy_transport_passes(run_kit, transport):
    """Every section; what is skipped is what it does not claim or cannot be put behind a proxy."""
    results = run_kit(transport, "TransportConformance")
    assert results.failed == set()
    assert len(results.passed) > 60
    assert all("does not claim" in why or "no host:port" in why for why in results.skipped.values())


def test_a_skip_names_the_capability_that_is_not_claimed(run_kit):
    """And only those tests are skipped."""
    skipped = run_kit("plain_tcp.PlainTcp", "Streams").skipped
    assert set(skipped.values()) == {"Skipped: plain_tcp does not claim SUBSCRIBE"}


def test_the_suite_runs_from_anywhere_for_the_selected_transport(pytester, monkeypatch):
    """With nothing written and nothing configured."""
    monkeypatch.setenv("KATO_ZMQ_IMPLEMENTATION", "memory")
    result = pytester.runpytest_subprocess("--pyargs", "kato_transport.testing.suite", "-k", "test_a_call_is_answered")
    assert result.parseoutcomes()["passed"] == 1


def test_a_transport_that_cannot_be_loaded_is_told_with_what_there_is(pytester, monkeypatch):
    """In one sentence, and no traceback."""
    monkeypatch.setenv("KATO_ZMQ_IMPLEMENTATION", "memroy")
    result = pytester.runpytest_subprocess("--pyargs", "kato_transport.testing.suite")
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*cannot load the transport 'memroy'*Did you mean 'memory'*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_class_for_a_transport_that_is_not_there_fails_with_the_reason(pytester):
    """Each test in one line, and the rest of the run goes on."""
    pytester.makepyfile(
        """
        from kato_transport.testing import TransportConformance

        class TestNothing(TransportConformance):
            name = "nothing"
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "test_a_call_is_answered")
    result.stdout.fnmatch_lines(["*cannot load the transport 'nothing'*Installed:*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_kits_asserts_show_values(pytester, run_kit):
    """They are rewritten as those of a test file are, with nothing to install."""
    run_kit("planted.answers.RunsTwice", "Calls")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "runs_once")
    result.stdout.fnmatch_lines(["E *assert Counter(*"])
