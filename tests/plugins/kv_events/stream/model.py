"""A publisher, a network and a shell that are simple enough to be right, to try the state machine against.

The publisher has a cache, a replay buffer and lives; the live channel loses and repeats batches, and is read late; answers
of the replay socket are lost, damaged or never given. The shell keeps the set of blocks that the actions come to.
"""

from __future__ import annotations

import json
from collections import deque

from kato_transport_kv_events.stream import Apply, Ask, Flaw, Forget, Lost, Note, Quit, SourceStream, State, StreamSettings

END = object()


def encoded(life, sequence, ops):
    """A batch: its time makes it unlike that of any other life."""
    return json.dumps([life, sequence, ops]).encode()


def apply_ops(blocks, ops, flawed=None, cleared=None):
    """What a batch does to a set of blocks; `flawed` and `cleared` are told what it does to trust."""
    for op, *args in ops:
        match op:
            case "+":
                blocks |= set(args)
            case "-":
                blocks -= set(args)
            case "clear":
                blocks.clear()
                if cleared:
                    cleared()
            case _ if flawed:
                flawed(Flaw[op])


class Engine:
    """One publisher over all its lives; `history` has the cache after each batch of each life."""

    def __init__(self, buffer_batches):
        self.buffer_batches = buffer_batches
        self.life = -1
        self.alive = False
        self.history = {}
        self.restart()

    def restart(self):
        self.life += 1
        self.alive = True
        self.batches = []
        self.blocks = set()
        self.history[self.life, -1] = frozenset()

    @property
    def last(self):
        return len(self.batches) - 1

    @property
    def reaches_back(self):
        """Whether the buffer has everything of this life."""
        return len(self.batches) <= self.buffer_batches

    def publish(self, ops):
        sequence = len(self.batches)
        payload = encoded(self.life, sequence, ops)
        self.batches.append(payload)
        apply_ops(self.blocks, [op for op in ops if op[0] not in Flaw.__members__])
        for name, *args in ops:  # a flawed event has an effect that the subscriber cannot read
            match name:
                case "STORED" | "BATCH":
                    self.blocks |= set(args)
                case "REMOVED":
                    self.blocks -= set(args)
        self.history[self.life, sequence] = frozenset(self.blocks)
        return sequence, payload

    def answer(self, start):
        first = max(start, len(self.batches) - self.buffer_batches, 0)
        return [(number, self.batches[number]) for number in range(first, len(self.batches))]


class World:
    """An engine, a live channel, a replay socket, and a shell around the machine under test."""

    def __init__(
        self, *, machine=SourceStream, replay=True, bound=False, buffer_batches=10_000, jitter=lambda: 0.5, **settings
    ):
        self.now = 0.0
        self.engine = Engine(buffer_batches)
        self.has_replay = replay
        self.bound = bound
        """Whether the subscriber waits for the engine to connect: then only batches tell that it did."""
        self.replay_alive = True
        self.settings = StreamSettings(**settings)
        self.new_stream = lambda restored=None: machine(self.settings, has_replay=replay, restored=restored, jitter=jitter)
        self.stream = self.new_stream()
        self.blocks = set()
        self.lost = []
        self.forgotten = 0
        self.answers_damaged = False
        self.doing_without = False
        self.connection = False
        """Whether the engine has a connection to send to."""
        self.wire = deque()
        """On its way to the subscriber: batches, and what its socket monitor will tell."""
        self.pipe = deque()
        """Batches that arrived and nobody read yet."""
        self.monitor = deque()
        self.hidden = False
        """Whether the engine restarted behind a connection that lasted, as behind a proxy: only an anchor shows it."""
        self.capped = False
        """Whether requests wait until it is their turn."""
        self.waiting = None
        """Where a request that was not made yet wants to begin."""
        self.request = None
        """Where a request that nobody served yet wants to begin."""
        self.answer = deque()
        self.begin()

    # --- the engine ---------------------------------------------------------------------------------------------

    def connect(self):
        if self.engine.alive and not self.connection:
            self.connection = True
            self.wire.append("up")

    def disconnect(self):
        if self.connection:
            self.connection = False
            self.wire.append("down")

    def publish(self, ops, *, lost=False, copies=1):
        batch = self.engine.publish(ops)
        if self.connection and not lost:
            self.wire.extend([batch] * copies)

    def crash(self, cut=0):
        """The connection ends, a request is lost with the engine, and so are the last frames of an answer under way."""
        self.disconnect()
        self.engine.alive = False
        self.request = None
        for _ in range(min(cut, len(self.answer))):
            self.answer.pop()

    def restart(self):
        if self.engine.alive:
            self.crash()
        self.arrive(len(self.wire))  # starting takes longer than what the network still carries
        self.engine.restart()

    def restart_hidden(self):
        """A restart that the subscriber's connection outlives."""
        self.hidden = True
        self.engine.restart()
        self.request = None
        self.answer.clear()

    def serve(self, *, damage=None):
        """Answer the replay request; `damage` turns the list of batches into another."""
        if self.request is None or not self.engine.alive or not self.replay_alive:
            return
        frames = self.engine.answer(self.request)
        self.request = None
        if damage is not None:
            frames = damage(frames)
            self.answers_damaged = True
        self.answer.extend(frames)
        self.answer.append(END)

    # --- the shell ----------------------------------------------------------------------------------------------

    def begin(self):
        if self.bound:
            self.stream.awaits_connection(self.now)
            self.act()

    def arrive(self, count=1):
        """What was sent first arrives first."""
        for _ in range(min(count, len(self.wire))):
            item = self.wire.popleft()
            (self.monitor if isinstance(item, str) else self.pipe).append(item)

    def look(self):
        """Read the monitor. A broken connection ends the socket: what it still has is read, unless it may be of a newer one."""
        while self.monitor:
            if self.monitor.popleft() == "up":
                if not self.bound:
                    self.stream.connected(self.now)
                    self.act()
                continue
            if self.monitor:
                self.pipe.clear()
            while self.pipe:
                self.tell(*self.pipe.popleft())
            if self.bound:
                self.end_bound()
                continue
            self.stream.disconnected(self.now)
            self.wire.clear()
            self.monitor.clear()
            self.connection = False
            self.act()

    def end_bound(self):
        """The socket stays; a connection over which nothing ever came was nobody's."""
        if self.stream.is_connected:
            self.stream.disconnected(self.now)
            self.begin()

    def read(self, count=1):
        """Receive, look at the monitor, tell: in this order, as the machine asks for."""
        for _ in range(count):
            if not self.pipe:
                return
            if "down" in self.monitor:
                self.look()
                return
            batch = self.pipe.popleft()
            self.look()
            self.tell(*batch)

    def tell(self, sequence, payload):
        if self.stream.accepts(self.now, sequence, payload):
            self.apply(payload)
        else:
            self.stream.live(self.now, sequence, payload)
        self.act()

    def hear(self, count=1):
        """Frames of an answer; the end marker only after what came live before."""
        for _ in range(count):
            if not self.answer:
                return
            self.look()
            if not self.answer:
                return
            frame = self.answer[0]
            if frame is END:
                self.read(len(self.pipe))
                self.look()
                if not self.answer or self.answer[0] is not END:  # what came live may have closed the socket
                    return
                self.answer.popleft()
                self.stream.replay_ended(self.now)
            else:
                self.answer.popleft()
                self.stream.replayed(self.now, *frame)
            self.act()

    def tick(self, seconds):
        self.now += seconds
        self.stream.tick(self.now)
        self.act()

    def act(self):
        for action in self.stream.actions():
            match action:
                case Apply(_, payload):
                    self.apply(payload)
                case Forget():
                    self.blocks.clear()
                    self.forgotten += 1
                case Lost():
                    self.lost.append(action)
                case Note(text):
                    self.doing_without = "doing without" in text
                case Ask(start):
                    self.doing_without = False
                    self.answer.clear()
                    self.request, self.waiting = None, start
                case Quit():
                    self.answer.clear()
                    self.request = self.waiting = None
        if not self.capped:
            self.take_turn()

    def take_turn(self, *, fails=False):
        """The request that waited is made; or cannot be."""
        if self.waiting is None:
            return
        start, self.waiting = self.waiting, None
        if fails:
            self.stream.replay_failed(self.now)
            self.act()
        else:
            self.request = start
            self.stream.asked(self.now)

    def apply(self, payload):
        _, _, ops = json.loads(payload)
        apply_ops(self.blocks, ops, self.stream.flawed, self.stream.cleared)

    def restore(self):
        """The subscriber ends, and another begins with a snapshot of what it had."""
        checkpoint = self.stream.checkpoint()
        if checkpoint is None:
            self.blocks.clear()
        self.wire.clear()
        self.pipe.clear()
        self.monitor.clear()
        self.answer.clear()
        self.request = self.waiting = None
        self.connection = False
        self.stream = self.new_stream(checkpoint)
        self.begin()

    # --- what is to hold ----------------------------------------------------------------------------------------

    def check(self):
        """What the state claims holds of one single life, at the number that the machine stands at."""
        stream, history = self.stream, self.engine.history
        if self.hidden:
            return
        candidates = [history[life, stream.last] for life in range(self.engine.life + 1) if (life, stream.last) in history]
        match stream.state:
            case State.EXACT:
                assert self.blocks in candidates, "exact, and wrong"
            case State.PARTIAL:
                assert any(self.blocks <= blocks for blocks in candidates), "partial, and something is there that is gone"

    def quiet_down(self, seconds=150.0):
        """No more faults; everything arrives, requests are served, and time passes."""
        self.capped = False
        until = self.now + seconds
        while True:
            self.take_turn()
            while not self.connection or self.wire or self.monitor or self.pipe or self.answer or self._servable:
                self.arrive(len(self.wire))
                self.read(len(self.pipe))
                self.look()
                self.connect()
                self.serve()
                self.hear(len(self.answer))
            self.check()
            if self.now >= until:
                return
            self.tick(min(max(self.stream.due - self.now, 0.0), until - self.now))

    @property
    def _servable(self):
        return self.request is not None and self.engine.alive and self.replay_alive

    def check_quiet(self):
        """With nothing under way any more, and the engine there, the claim is about the engine as it is now."""
        engine, stream = self.engine, self.stream
        answers = self.has_replay and self.replay_alive and not self.doing_without
        now = engine.history[engine.life, engine.last if answers else min(stream.last, engine.last)]
        assert stream.state is not State.SYNCING
        assert stream.state is not State.CONNECTING or (self.bound and not answers)
        if self.hidden and not answers:
            return
        if stream.state is State.EXACT:
            assert self.blocks == now, f"exact, and wrong: {self.blocks} for {set(now)}"
        if stream.state is State.PARTIAL:
            assert self.blocks <= now, f"partial, and wrong: {self.blocks} for {set(now)}"
        if answers:
            assert stream.last == engine.last
            assert stream.state is not State.STALE
            self.hidden = False
