"""The state machine against a model publisher: whatever happens, it never claims more than is so, and it recovers."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from kato_transport_kv_events.stream import Lost, SourceStream, State
from kato_transport_kv_events.stream.live_numbers import Link
from kato_transport_kv_events.stream.rounds import Round

from .model import World

EXAMPLES = int(os.environ.get("KATO_MODEL_EXAMPLES", "100"))
"""`make model` has more: some faults take tens of thousands to be found."""

blocks = st.integers(0, 9)
plain_ops = st.lists(
    st.one_of(st.tuples(st.just("+"), blocks), st.tuples(st.just("-"), blocks), st.tuples(st.just("clear"))),
    min_size=1,
    max_size=3,
)
flawed_ops = st.lists(st.tuples(st.sampled_from(["STORED", "REMOVED", "BATCH"]), blocks), min_size=1, max_size=1)
few = st.integers(1, 4)
alive = precondition(lambda self: self.world.engine.alive)
asked = precondition(lambda self: self.world.request is not None)


class Follow(RuleBasedStateMachine):
    """One source and everything that may befall it."""

    machine = SourceStream

    @initialize(
        replay=st.sampled_from(["alive", "alive", "alive", "silent", "none"]),
        buffer_batches=st.sampled_from([10_000, 10_000, 5, 1]),
        policy=st.sampled_from(["drop", "keep"]),
        held_batches=st.sampled_from([1000, 3]),
        proxied=st.sampled_from([False, False, False, True]),
        capped=st.sampled_from([False, False, True]),
        bound=st.booleans(),
    )
    def start(self, replay, buffer_batches, policy, held_batches, proxied, capped, bound):
        self.world = World(
            machine=self.machine,
            replay=replay != "none",
            buffer_batches=buffer_batches,
            policy=policy,
            held_batches=held_batches,
            bound=bound,
            grace_s=100.0 if bound else 1000.0,  # the model's engine is down for as long as hypothesis likes
        )
        self.world.replay_alive = replay != "silent"
        self.world.capped = capped
        self.flawed = False
        self.proxied = proxied

    # --- the engine ---

    @alive
    @rule(ops=plain_ops)
    def publishes(self, ops):
        self.world.publish(ops)

    @alive
    @rule(ops=plain_ops)
    def loses(self, ops):
        self.world.publish(ops, lost=True)

    @alive
    @rule(ops=plain_ops)
    def repeats(self, ops):
        self.world.publish(ops, copies=2)

    @alive
    @rule(ops=flawed_ops)
    def publishes_what_nobody_can_read(self, ops):
        self.flawed = True
        self.world.publish(ops)

    @precondition(lambda self: not self.world.connection)
    @rule()
    def connects(self):
        self.world.connect()

    @precondition(lambda self: self.world.connection)
    @rule()
    def loses_its_connection(self):
        self.world.disconnect()

    @rule(cut=few)
    def crashes(self, cut):
        self.world.crash(cut)

    @rule()
    def restarts(self):
        self.world.restart()

    @rule(beyond=st.integers(-1, 2), ops=plain_ops)
    def restarts_and_catches_up_unheard(self, beyond, ops):
        """To just before, exactly at, or beyond the number after the last that was applied."""
        self.world.restart()
        while self.world.engine.last < self.world.stream.last + beyond:
            self.world.publish(ops)
        self.world.connect()

    @alive
    @precondition(lambda self: self.proxied)
    @rule()
    def restarts_behind_a_proxy(self):
        self.world.restart_hidden()

    # --- the replay socket ---

    @asked
    @rule()
    def serves(self):
        self.world.serve()

    @asked
    @precondition(lambda self: self.world.engine.buffer_batches > 100)
    @rule(at=st.integers(0, 5))
    def serves_with_a_hole(self, at):
        self.world.serve(damage=lambda frames: frames[:at] + frames[at + 1 :])

    @asked
    @rule(at=st.integers(0, 5))
    def serves_out_of_order(self, at):
        self.world.serve(damage=lambda frames: frames[:at] + frames[at : at + 2][::-1] + frames[at + 2 :])

    @asked
    @rule(at=st.integers(0, 5))
    def serves_twice(self, at):
        self.world.serve(damage=lambda frames: frames[:at] + frames[at : at + 1] + frames[at:])

    @rule()
    def goes_silent(self):
        self.world.replay_alive = False

    @rule()
    def answers_again(self):
        self.world.replay_alive = True

    # --- the subscriber ---

    @precondition(lambda self: self.world.waiting is not None)
    @rule(fails=st.sampled_from([False, False, True]))
    def gets_its_turn_to_ask(self, fails):
        self.world.take_turn(fails=fails)

    @precondition(lambda self: self.world.wire)
    @rule(count=few)
    def arrives(self, count):
        self.world.arrive(count)

    @precondition(lambda self: self.world.pipe)
    @rule(count=few)
    def reads(self, count):
        self.world.read(count)

    @precondition(lambda self: self.world.monitor)
    @rule()
    def looks(self):
        self.world.look()

    @precondition(lambda self: self.world.answer)
    @rule(count=few)
    def hears(self, count):
        self.world.hear(count)

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0]))
    def waits(self, seconds):
        self.world.tick(seconds)

    @rule()
    def catches_up(self):
        world = self.world
        world.arrive(100)
        world.read(100)
        world.serve()
        world.hear(100)

    @rule()
    def begins_again_from_a_snapshot(self):
        self.world.restore()

    # --- what has to hold ---

    @invariant()
    def claims_nothing_false(self):
        if hasattr(self, "world"):
            self.world.check()

    @rule(revive=st.booleans())
    def quiets_down(self, revive):
        """With the engine there: the claim is about it, and with a living replay socket all is recovered that can be."""
        world = self.world
        if not world.engine.alive:
            world.engine.restart()
        world.replay_alive = world.replay_alive or revive
        world.connect()
        world.quiet_down()
        world.check_quiet()
        answers = world.has_replay and world.replay_alive and not world.doing_without
        if answers and world.engine.reaches_back and not self.flawed and not world.answers_damaged:
            nothing = world.engine.last < 0 and not world.blocks  # nobody can tell it from an engine without a buffer
            assert nothing or world.stream.state is State.EXACT, world.stream.state

    def teardown(self):
        if hasattr(self, "world"):
            self.quiets_down(True)


TestFollow = Follow.TestCase
TestFollow.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)


# --- faults planted on purpose, which the model has to notice ---


class AsksBehindTheAnchor(SourceStream):
    """As most consumers do: from the number after the last."""

    def _ask(self, now, *, hold=True):
        self._open(now, Round(self._life.next, [], self._held.newest), hold)


class GoesOnAcrossAConnection(SourceStream):
    """A connection that comes back is no reason to ask."""

    def connected(self, now):
        if self._link is Link.NEW:
            super().connected(now)
        self._link = Link.UP


class TakesSilenceForConsent(SourceStream):
    """An answer with nothing in it brings nothing new, so nothing has changed."""

    def _nothing_there(self, now, current):
        self._settle(now, current)


class OverlooksWhatIsLost(SourceStream):
    """A stream with a gap in it is as good as any."""

    def actions(self):
        for action in super().actions():
            if isinstance(action, Lost):
                self._trust.cleared()
            yield action


@pytest.mark.parametrize(
    "faulty",
    [
        AsksBehindTheAnchor,
        GoesOnAcrossAConnection,
        TakesSilenceForConsent,
        OverlooksWhatIsLost,
    ],
)
def test_the_model_notices_a_planted_fault(faulty):
    """A model that finds nothing wrong with these would find nothing wrong with anything."""

    class FollowFaulty(Follow):
        machine = faulty

    thorough = settings(
        max_examples=2000,
        stateful_step_count=50,
        deadline=None,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(FollowFaulty, settings=thorough)
