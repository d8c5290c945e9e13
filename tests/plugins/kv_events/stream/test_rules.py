"""The rules of a source's state, one by one, told as what happens and what comes of it."""

from __future__ import annotations

import pytest

from kato_transport_kv_events.stream import Apply, Forget, Lost, Note, Policy, Reason, SourceStream, State, StreamSettings
from kato_transport_kv_events.stream.anchor import Anchor, digest_of

from .model import World, encoded

DROP_AND_KEEP = pytest.mark.parametrize(("policy", "state"), [("drop", State.PARTIAL), ("keep", State.DEGRADED)])


class Told(World):
    """A world whose every step is taken at once."""

    def send(self, *blocks, lost=False, copies=1):
        for block in blocks:
            self.publish([("+", block)], lost=lost, copies=copies)
        self.take()

    def take(self):
        self.arrive(len(self.wire))
        self.read(len(self.pipe))
        self.look()

    def restart(self):
        super().restart()
        self.take()

    def reply(self, damage=None):
        self.serve(damage=damage)
        self.hear(10_000)

    def join(self):
        """Connect, and ask for what was before."""
        self.connect()
        self.take()
        self.reply()
        return self

    def wait(self, seconds=0.0):
        """So long, or until the machine wants something."""
        self.tick(seconds or self.stream.due - self.now)

    @property
    def state(self):
        return self.stream.state


def world(*blocks, **settings):
    """One whose engine has already stored blocks."""
    made = Told(**settings)
    made.send(*blocks)
    return made


# --- the beginning ---


def test_nothing_heard_is_connecting():
    """Neither is a connection that never came about ever stale."""
    idle = world()
    idle.tick(1000)
    assert idle.state is State.CONNECTING


def test_a_late_start_is_made_up_for_by_a_replay_from_the_beginning():
    """Live batches wait meanwhile, and are not applied twice."""
    late = world(1, 2)
    late.connect()
    late.take()
    assert (late.state, late.request) == (State.SYNCING, 0)
    late.send(3)
    assert late.blocks == set()
    late.reply()
    assert (late.state, late.blocks, late.stream.last) == (State.EXACT, {1, 2, 3}, 2)


def test_an_end_marker_alone_is_an_engine_without_blocks():
    """Exact, and empty; the first batch then simply is the next."""
    fresh = world().join()
    assert fresh.state is State.EXACT
    fresh.send(1)
    assert (fresh.state, fresh.blocks) == (State.EXACT, {1})


def test_a_short_buffer_makes_a_late_start_partial():
    """What is there is right; what was before is told as lost."""
    short = world(1, 2, 3, 4, buffer_batches=2).join()
    assert (short.state, short.blocks) == (State.PARTIAL, {3, 4})
    assert [(lost.first, lost.last) for lost in short.lost] == [(0, 1)]


@pytest.mark.parametrize(("first", "state"), [(0, State.EXACT), (2, State.PARTIAL)])
def test_without_a_replay_socket_the_first_number_decides(first, state):
    """Number 0 is the beginning of a life."""
    plain = world(*range(first), replay=False)
    plain.connect()
    plain.send(7)
    assert (plain.state, plain.blocks) == (state, {7})


def test_after_a_connection_it_is_looked_a_second_time():
    """Batches may have been sent before the publisher had read the subscription."""
    early = world(1).join()
    early.send(2, lost=True)
    assert 0.3 <= early.stream.due - early.now <= 1.0
    early.wait()
    assert early.state is State.EXACT, "a probe is not syncing"
    early.reply()
    assert early.blocks == {1, 2}


# --- gaps ---


def test_a_gap_is_asked_for_from_the_last_batch_on():
    """Not from the one after: the answer has to show that it is the same life."""
    gap = world(1).join()
    gap.send(2, lost=True)
    gap.send(3)
    assert (gap.state, gap.request, gap.blocks) == (State.SYNCING, 0, {1})
    gap.reply()
    assert (gap.state, gap.blocks, gap.stream.counts.gaps) == (State.EXACT, {1, 2, 3}, 1)
    assert gap.lost == []


def test_a_lost_tail_is_found_by_a_probe_after_quiet():
    """It leaves no gap, so only asking shows it."""
    tail = world(1).join()
    tail.wait()
    tail.reply()
    tail.send(2, lost=True)
    tail.wait()
    assert (tail.now, tail.request, tail.state) == (pytest.approx(5.0 + 0.65, abs=1.1), 0, State.EXACT)
    tail.reply()
    assert (tail.blocks, tail.state) == ({1, 2}, State.EXACT)


def test_live_batches_put_probes_off():
    """A source that speaks shows its gaps by itself."""
    busy = world(1).join()
    busy.wait()
    busy.reply()
    requests = busy.stream.counts.requests
    for number in range(40):
        busy.send(number % 10)
        busy.tick(0.5)
    assert busy.stream.counts.requests == requests


@DROP_AND_KEEP
def test_what_the_buffer_has_no_more_is_lost(policy, state):
    """`drop` goes on from what there is, `keep` keeps what may be gone."""
    short = world(1, buffer_batches=2, policy=policy).join()
    short.send(2, 3, lost=True)
    short.send(4)
    short.reply()
    assert [(lost.first, lost.last) for lost in short.lost] == [(1, 1)]
    assert (short.state, short.blocks) == (state, {3, 4} if policy == "drop" else {1, 3, 4})


@DROP_AND_KEEP
def test_without_a_replay_socket_a_gap_is_lost_at_once(policy, state):
    """And the stream goes on."""
    plain = world(replay=False, policy=policy)
    plain.connect()
    plain.send(1)
    plain.send(2, lost=True)
    plain.send(3)
    assert [(lost.first, lost.last) for lost in plain.lost] == [(1, 1)]
    assert (plain.state, plain.blocks) == (state, {3} if policy == "drop" else {1, 3})


def test_a_buffer_that_begins_right_behind_the_last_batch_has_lost_nothing():
    """As long as the connection lasted, so that it has to be the same life."""
    short = world(1, buffer_batches=2).join()
    short.send(2, lost=True)
    short.send(3)
    short.reply()
    assert (short.state, short.blocks, short.lost) == (State.EXACT, {1, 2, 3}, [])


# --- answers that are not whole ---


def without(*numbers):
    return lambda frames: [frame for frame in frames if frame[0] not in numbers]


def test_a_hole_in_an_answer_is_asked_for_again():
    """Engines before vLLM 0.33 lose frames of an answer to a slow reader."""
    holey = world(1, 2, 3, 4)
    holey.connect()
    holey.take()
    holey.reply(without(2))
    assert (holey.request, holey.state) == (1, State.SYNCING)
    holey.reply()
    assert (holey.state, holey.blocks) == (State.EXACT, {1, 2, 3, 4})


def test_a_hole_that_stays_is_lost():
    """A second answer that breaks off at the same place brings nothing new, so a third would not either."""
    holey = world(1, 2, 3, 4)
    holey.connect()
    holey.take()
    holey.reply(without(2))
    holey.reply(without(2))
    assert (holey.state, holey.blocks) == (State.PARTIAL, {4})
    assert [(lost.first, lost.last) for lost in holey.lost] == [(2, 2)]


def test_an_answer_without_an_end_is_asked_for_again():
    """What came of it is not in vain."""
    endless = world(1, 2, 3)
    endless.connect()
    endless.take()
    endless.serve()
    endless.hear(2)
    endless.answer.clear()
    endless.wait(1.6)
    assert endless.state is State.SYNCING
    endless.wait()
    assert endless.request == 1
    endless.reply()
    assert (endless.state, endless.blocks) == (State.EXACT, {1, 2, 3})


def test_frames_out_of_order_and_repeated_do_no_harm():
    """The order of the numbers is what counts."""
    mixed = world(1, 2, 3)
    mixed.connect()
    mixed.take()
    mixed.reply(lambda frames: [frames[0], frames[0], frames[2], frames[1]])
    mixed.reply()
    assert (mixed.state, mixed.blocks) == (State.EXACT, {1, 2, 3})


def test_too_many_waiting_batches_are_thrown_away_and_asked_for_again():
    """Memory stays bounded, and nothing is lost."""
    flood = world(0, held_batches=3)
    flood.connect()
    flood.take()
    for number in range(1, 10):
        flood.send(number)
    assert flood.stream.held <= 3
    flood.serve()
    flood.send(10, 11, 12, 13, 14)
    for _ in range(4):
        flood.hear(10_000)
        flood.serve()
    assert (flood.state, flood.blocks) == (State.EXACT, set(range(15)))
    assert flood.stream.counts.overflows > 0


def test_held_bytes_are_bounded_too():
    """Whatever the size of a batch."""
    flood = world(0, held_bytes=50)
    flood.connect()
    flood.send(1, 2, 3, 4)
    flood.take()
    assert flood.stream.held <= 2
    assert flood.stream.counts.overflows > 0


# --- restarts ---


@pytest.mark.parametrize("published", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize("policy", ["drop", "keep"])
def test_a_restart_is_noticed_wherever_the_new_numbers_are(published, policy):
    """None, below the last, exactly the last, exactly the next, and beyond: the anchor tells, after every connection."""
    old = world(1, 2, 3, policy=policy).join()
    old.restart()
    for number in range(published):
        old.publish([("+", 10 + number)])
    old.join()
    while old.request is not None:
        old.reply()
    assert (old.state, old.blocks) == (State.EXACT, set(range(10, 10 + published)))
    assert (old.stream.counts.restarts, old.forgotten) == (1, 1)


def test_an_anchor_that_looks_at_the_number_alone_would_not_notice(monkeypatch):
    """So it is the payload that tells a restart which has reached the very number."""
    monkeypatch.setattr(Anchor, "is_of", lambda anchor, payload: True)
    old = world(1, 2, 3).join()
    old.restart()
    for block in (11, 12, 13):
        old.publish([("+", block)])
    old.join()
    assert (old.state, old.blocks) == (State.EXACT, {1, 2, 3})


def test_live_batches_wait_until_it_is_known_whose_they_are():
    """The first batch of a new life may be just the next number of the old one."""
    passing = world(1, 2).join()
    passing.restart()
    passing.publish([("+", 11)])
    passing.publish([("+", 12)])
    passing.connect()
    passing.send(13)
    assert (passing.state, passing.blocks) == (State.SYNCING, {1, 2})
    while passing.request is not None:
        passing.reply()
    assert (passing.state, passing.blocks) == (State.EXACT, {11, 12, 13})


def test_numbers_that_fall_within_a_connection_are_looked_into():
    """As behind a proxy, whose connection outlives the engine."""
    proxied = world().join()
    proxied.send(1, 2, 3)
    proxied.restart_hidden()
    proxied.send(11)
    while proxied.request is not None:
        proxied.reply()
    assert (proxied.state, proxied.blocks, proxied.stream.counts.falls) == (State.EXACT, {11}, 1)


def test_a_live_batch_that_a_replay_had_brought_already_is_compared_later():
    """Behind a proxy it may be another life's of the same number."""
    proxied = world(1, 2, 3).join()
    proxied.restart_hidden()
    proxied.send(11)
    assert (proxied.blocks, proxied.stream.counts.overlaps) == ({1, 2, 3}, 1)
    assert proxied.stream.due - proxied.now <= 1.0
    proxied.wait()
    while proxied.request is not None:
        proxied.reply()
    assert (proxied.state, proxied.blocks) == (State.EXACT, {11})


def test_a_live_batch_under_the_number_of_the_last_one_of_a_replay_shows_a_restart():
    """Behind a proxy no connection tells of it; what the replay had is known as well as what came live."""
    hidden = world(1).join()
    hidden.restart_hidden()
    hidden.send(2)
    hidden.wait()
    hidden.reply()
    hidden.reply()
    assert (hidden.state, hidden.blocks) == (State.EXACT, {2})


def test_without_a_replay_socket_numbers_that_fall_are_a_restart():
    """From 0 on nothing is missing."""
    plain = world(replay=False)
    plain.connect()
    plain.send(1, 2)
    plain.restart_hidden()
    plain.send(11)
    assert (plain.state, plain.blocks) == (State.EXACT, {11})


@DROP_AND_KEEP
def test_without_a_replay_socket_a_reconnection_is_a_gap(policy, state):
    """The very next number may be another life's."""
    plain = world(replay=False, policy=policy)
    plain.connect()
    plain.send(1)
    plain.disconnect()
    plain.take()
    assert plain.state is State.EXACT, "what was applied is still what the engine had"
    plain.connect()
    plain.take()
    assert plain.state is state
    plain.send(2)
    assert (plain.state, plain.blocks) == (state, {2} if policy == "drop" else {1, 2})


def test_without_a_replay_socket_a_new_life_from_its_beginning_is_exact_again():
    """Number 0 after a reconnection can only be that."""
    plain = world(replay=False, policy="keep")
    plain.connect()
    plain.send(1, 2)
    plain.restart()
    plain.connect()
    plain.send(11)
    assert (plain.state, plain.blocks) == (State.EXACT, {11})


def test_a_repeated_batch_is_counted_and_passed_over():
    """As where two subscriptions fit one topic."""
    twice = world(1).join()
    twice.send(2, copies=2)
    assert (twice.state, twice.stream.counts.duplicates, twice.request) == (State.EXACT, 1, None)


# --- a replay endpoint that is not what it should be ---


def test_a_silent_endpoint_stops_live_batches_for_a_while_only():
    """A source that speaks is never stale."""
    silent = world(1)
    silent.replay_alive = False
    silent.connect()
    silent.send(2)
    for _ in range(10):
        silent.wait()
    assert (silent.state, silent.blocks) == (State.PARTIAL, {2})
    silent.send(3)
    assert silent.blocks == {2, 3}


def test_an_endpoint_that_answers_at_last_brings_all_that_was_missed():
    """It is asked now and then, at growing distances."""
    silent = world(1)
    silent.replay_alive = False
    silent.connect()
    silent.send(2)
    for _ in range(20):
        silent.wait()
    assert silent.stream.due - silent.now <= 60 * 1.2
    silent.replay_alive = True
    silent.quiet_down(seconds=200)
    assert (silent.state, silent.blocks) == (State.EXACT, {1, 2})


def test_an_engine_that_keeps_no_batches_is_done_without():
    """Its first live number decides."""
    bufferless = world(1, buffer_batches=0).join()
    bufferless.send(2)
    bufferless.reply()
    assert (bufferless.state, bufferless.blocks, bufferless.doing_without) == (State.PARTIAL, {2}, True)
    bufferless.send(3)
    assert bufferless.blocks == {2, 3}


def test_an_engine_of_which_no_answer_ever_had_a_batch_may_keep_none():
    """So after a reconnection an empty answer does not say that it is empty; its first batch does."""
    young = world().join()
    young.send(1)
    young.restart()
    young.join()
    young.reply()
    assert (young.state, young.blocks) == (State.PARTIAL, set())
    young.send(2)
    assert (young.state, young.blocks) == (State.EXACT, {2})


@pytest.mark.parametrize("ahead", [True, False])
def test_another_engines_endpoint_is_done_without_after_three_disagreements(ahead):
    """Whatever it has, and even though it always agrees with itself; in the end what comes live wins."""
    ours = world(1, 2, 3)
    theirs = [(number, encoded(99, number, [["+", 50]])) for number in range(200 if ahead else 2)]
    ours.connect()
    ours.take()
    for block in range(20):
        for _ in range(3):
            while (start := ours.request) is not None:
                ours.reply(lambda frames, start=start: theirs[start:])
            ours.tick(7)
        if not ours.doing_without:
            ours.send(block % 10)
    assert ours.doing_without
    ours.send(4)
    assert ours.state is State.PARTIAL
    assert 50 not in ours.blocks


def test_an_empty_engine_that_nothing_can_confirm_after_a_reconnection_is_partial():
    """It may have stored something since; its batch 0 shows that it had not."""
    empty = world(attempts=1).join()
    assert empty.state is State.EXACT
    empty.replay_alive = False
    empty.restart()
    empty.connect()
    empty.take()
    while empty.state is State.SYNCING:
        empty.wait()
    assert empty.state is State.PARTIAL
    empty.send(1)
    assert (empty.state, empty.blocks) == (State.EXACT, {1})


def test_a_new_connection_gives_an_endpoint_another_chance():
    """The engine behind it may be another."""
    bufferless = world(1, buffer_batches=0).join()
    bufferless.send(2)
    bufferless.reply()
    bufferless.engine.buffer_batches = 10
    bufferless.disconnect()
    bufferless.take()
    bufferless.join()
    while bufferless.request is not None:
        bufferless.reply()
    assert bufferless.stream.last == 1


# --- engines that connect to us ---


def test_a_source_that_is_waited_for_asks_at_once():
    """Nothing may ever tell of its connection, but its replay endpoint can be asked."""
    waited_for = world(bound=True)
    assert (waited_for.request, waited_for.state) == (0, State.CONNECTING)
    waited_for.send(1)
    waited_for.reply()
    assert (waited_for.state, waited_for.blocks) == (State.EXACT, {1})


@pytest.mark.parametrize("published", [(), (7,), (7, 8)])
def test_an_engine_that_connects_again_unheard_is_found_by_its_replay(published):
    """Its first batches may have come before the end of the connection before was read."""
    back = world(bound=True).join()
    back.send(1)
    back.reply()
    back.restart()
    back.send(*published)
    back.reply()
    back.reply()
    assert (back.state, back.blocks) == (State.EXACT, set(published))


def test_an_engine_that_answers_is_not_stale_without_a_connection():
    """An idle one shows no connection; one that does not answer either is gone."""
    idle = world(bound=True, grace_s=10).join()
    idle.send(1)
    idle.reply()
    idle.disconnect()
    idle.take()
    assert idle.state is State.EXACT, "not before the grace is over"
    idle.reply()
    idle.tick(11)
    assert idle.state is State.EXACT
    idle.replay_alive = False
    for _ in range(8):
        idle.wait()
    assert idle.state is State.STALE


@pytest.mark.parametrize("policy", ["drop", "keep"])
def test_an_engine_that_is_away_has_lost_nothing_yet(policy):
    """Its replay is asked for as often as it takes."""
    away = world(bound=True, grace_s=10, policy=policy).join()
    away.send(1)
    away.reply()
    away.replay_alive = False
    away.disconnect()
    away.take()
    for _ in range(20):
        away.wait()
    assert (away.state, away.lost, away.blocks) == (State.STALE, [], {1})
    away.replay_alive = True
    for _ in range(3):
        away.wait()
        away.reply()
    assert (away.state, away.blocks) == (State.EXACT, {1})


def test_what_a_replay_brought_is_in_doubt_when_the_engine_first_connects():
    """It may have begun anew in between, and be at the same number by now."""
    unheard = world(bound=True)
    unheard.send(1)
    unheard.reply()
    unheard.replay_alive = False
    unheard.restart()
    unheard.send(2)
    unheard.connect()
    unheard.send(3)
    unheard.quiet_down()
    assert (unheard.state, unheard.blocks) == (State.PARTIAL, {3})


# --- stale, and not ---


def test_a_connection_that_is_down_for_too_long_is_stale():
    """Until the anchor confirms that nothing has changed."""
    lost = world(1, grace_s=10).join()
    lost.disconnect()
    lost.take()
    lost.tick(9.9)
    assert lost.state is State.EXACT
    lost.tick(0.2)
    assert lost.state is State.STALE
    lost.connect()
    lost.take()
    assert lost.state is State.STALE, "nothing is confirmed yet"
    lost.reply()
    assert (lost.state, lost.blocks) == (State.EXACT, {1})


def test_an_engine_that_hangs_is_stale_after_two_unanswered_probes():
    """Its connection looks as good as ever."""
    hung = world(1).join()
    hung.replay_alive = False
    hung.tick(6)
    hung.tick(2)
    assert hung.state is State.EXACT
    hung.tick(30)
    hung.tick(2)
    assert hung.state is State.STALE
    hung.replay_alive = True
    hung.reply()
    hung.tick(30)
    hung.reply()
    assert (hung.state, hung.blocks) == (State.EXACT, {1})


def test_a_live_batch_shows_that_an_engine_does_not_hang():
    """Whatever its replay endpoint does."""
    hung = world(1).join()
    hung.replay_alive = False
    for _ in range(8):
        hung.wait()
    assert hung.state is State.STALE
    hung.send(2)
    assert (hung.state, hung.blocks) == (State.EXACT, {1, 2})


@pytest.mark.parametrize("limit", [0, 30])
def test_silence_alone_says_nothing_unless_there_is_a_limit(limit):
    """An idle engine sends nothing."""
    quiet = world(replay=False, silence_limit_s=limit)
    quiet.connect()
    quiet.send(1)
    quiet.tick(29)
    quiet.send(2)
    quiet.tick(29)
    assert quiet.state is State.EXACT
    quiet.tick(5)
    assert quiet.state is (State.STALE if limit else State.EXACT)
    quiet.send(3)
    assert quiet.state is State.EXACT


# --- what is wrong with batches ---


@pytest.mark.parametrize(
    ("flaw", "state"),
    [("BATCH", State.DEGRADED), ("STORED", State.PARTIAL), ("REMOVED", State.DEGRADED), ("EVICTED", State.PARTIAL)],
)
def test_what_cannot_be_read_lowers_trust_until_the_cache_is_cleared(flaw, state):
    """A lost store misses something, a lost removal leaves something there."""
    flawed = world(1).join()
    flawed.publish([(flaw, 2)])
    flawed.take()
    assert flawed.state is state
    flawed.publish([("clear",), ("+", 3)])
    flawed.take()
    assert (flawed.state, flawed.blocks) == (State.EXACT, {3})


def test_a_flaw_after_a_clear_in_one_batch_stays():
    """Order inside a batch matters."""
    flawed = world(1).join()
    flawed.publish([("clear",), ("STORED", 2)])
    flawed.take()
    assert flawed.state is State.PARTIAL


def test_what_was_forgotten_is_flawed_no_more():
    """A batch that could not be read, of which nothing is left."""
    old = world(replay=False)
    old.connect()
    old.publish([("REMOVED", 1)])
    old.send(1)
    assert old.state is State.DEGRADED
    old.restart()
    old.connect()
    old.send(2)
    assert old.state is State.EXACT


# --- snapshots ---


def test_a_snapshot_is_confirmed_by_its_last_batch():
    """And what came since is asked for from there."""
    kept = world(1, 2).join()
    checkpoint = kept.stream.checkpoint()
    assert (checkpoint.sequence, checkpoint.digest) == (1, digest_of(kept.engine.batches[1]))
    kept.restore()
    kept.publish([("+", 3)])
    assert kept.state is State.CONNECTING
    kept.connect()
    kept.take()
    assert (kept.state, kept.request) == (State.SYNCING, 1)
    kept.reply()
    assert (kept.state, kept.blocks, kept.forgotten) == (State.EXACT, {1, 2, 3}, 0)
    assert kept.stream.checkpoint().sequence == 2


@pytest.mark.parametrize("published", [0, 1, 2, 5])
def test_a_snapshot_of_a_former_life_is_forgotten(published):
    """Whatever number the engine has reached since."""
    kept = world(1, 2).join()
    kept.restore()
    kept.restart()
    for number in range(published):
        kept.publish([("+", 10 + number)])
    kept.join()
    while kept.request is not None:
        kept.reply()
    assert (kept.state, kept.blocks) == (State.EXACT, set(range(10, 10 + published)))


@DROP_AND_KEEP
def test_a_snapshot_that_nothing_can_confirm_counts_as_a_gap(policy, state):
    """As a reconnection does."""
    kept = world(replay=False, policy=policy)
    kept.connect()
    kept.send(1)
    kept.restore()
    kept.connect()
    kept.take()
    assert (kept.state, kept.blocks) == (state, set() if policy == "drop" else {1})


def test_a_partial_snapshot_is_made_whole_where_the_buffer_reaches_back():
    """What was missing when it was taken may be there now."""
    kept = world(1)
    kept.replay_alive = False
    kept.connect()
    kept.send(2)
    kept.quiet_down(seconds=20)
    kept.restore()
    kept.replay_alive = True
    kept.join()
    assert kept.state is State.PARTIAL
    kept.quiet_down(seconds=20)
    assert (kept.state, kept.blocks) == (State.EXACT, {1, 2})


def test_nothing_applied_is_nothing_to_keep():
    """A snapshot of it would say nothing."""
    assert world().join().stream.checkpoint() is None


# --- the machine as such ---


def test_actions_come_in_the_order_in_which_they_are_to_be_done():
    """What is lost is told before what is forgotten for it, and that before what comes next."""
    stream = SourceStream(StreamSettings(), has_replay=False)
    stream.connected(0.0)
    stream.live(0.0, 0, b"a")
    assert list(stream.actions())[-1] == Apply(0, b"a")
    stream.live(1.0, 5, b"b")
    assert list(stream.actions()) == [Lost(1, 4, False), Forget(Reason.LOST, 0), Apply(5, b"b")]


def test_the_next_live_batch_needs_no_action():
    """It is accepted, and counts as applied."""
    stream = SourceStream(StreamSettings(), has_replay=False)
    stream.connected(0.0)
    stream.live(0.0, 0, b"a")
    list(stream.actions())
    assert stream.accepts(0.0, 1, b"b")
    assert not stream.accepts(0.0, 3, b"d")
    assert stream.last == 1
    assert list(stream.actions()) == []


def test_facts_that_come_too_late_are_passed_over():
    """A socket that was closed in the same moment may still have told something."""
    stream = SourceStream(StreamSettings(), has_replay=True)
    stream.asked(0.0)
    stream.replayed(0.0, 0, b"a")
    stream.replay_ended(0.0)
    stream.replay_failed(0.0)
    stream.disconnected(0.0)
    stream.tick(100.0)
    assert list(stream.actions()) == []
    assert stream.state is State.CONNECTING


def test_a_request_that_cannot_be_made_counts_as_unanswered():
    """And is made again, up to the limit."""
    stream = SourceStream(StreamSettings(attempts=2), has_replay=True)
    stream.connected(0.0)
    stream.replay_failed(0.0)
    stream.tick(stream.due)
    stream.replay_failed(1.0)
    assert any(isinstance(action, Note) for action in stream.actions())
    assert (stream.state, stream.counts.requests, stream.counts.unanswered) == (State.PARTIAL, 2, 2)


@pytest.mark.parametrize(
    "wrong",
    [{"policy": "forget"}, {"probe_interval_s": 0}, {"grace_s": -1}, {"attempts": 0}, {"held_batches": 0}, {"grace_s": "10"}],
)
def test_settings_are_checked(wrong):
    """Before anything runs."""
    with pytest.raises((ValueError, TypeError)):
        StreamSettings(**wrong)


def test_the_policy_may_be_written_as_a_word():
    """As it is in a source's text."""
    assert StreamSettings(policy="keep").policy is Policy.KEEP
