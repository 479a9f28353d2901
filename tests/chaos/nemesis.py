"""Faults drawn from a seed: what happens, to whom, for how long, and what lateness that excuses.

The seed decides what is drawn; when exactly it strikes a process is up to the machine. Every fault says in
which time it may delay a decision: until the others have noticed (a crash: 2 s; a stall: the lease and 2 s),
and all the while nobody is there who could lead.
"""

from __future__ import annotations

import heapq
import random
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, cycle

from tests.chaos import server as postgres
from tests.chaos import shim
from tests.chaos.cluster import DRAIN_SECONDS, Cluster, Instance
from tests.chaos.effects import Disturbance
from tests.postgres import OwnServer

LEASE_SECONDS = 10.0
SETTLING = 2.0
"""How long a change of leader may take."""
DRAIN_LIMIT = DRAIN_SECONDS + 9.0
"""The drain, the farewell to a ledger that may not answer, and what a busy machine adds."""

PROCESS_FAULTS = (
    "kill", "kill", "pause", "pause", "terminate", "terminate", "stall", "stop_all", "roll", "double",
)  # fmt: skip
WIRE_FAULTS = ("hold", "hold_long", "cut", "slow", "mute", "refuse")
SESSION_FAULTS = ("end_holder", "end_sessions")
SERVER_FAULTS = ("restart", "crash")
CLOCK_FAULTS = ("shift",)


class Nemesis:
    """Draws faults and injects them, one after the other, some at the same time."""

    def __init__(
        self,
        cluster: Cluster,
        chance: random.Random,
        *,
        instances: int = 3,
        server: OwnServer | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._instances = instances
        self._cluster = cluster
        self._chance = chance
        self._server = server
        self._say = say
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._draining: dict[int, tuple[Instance, float]] = {}
        self._troubled: dict[int, int] = {}
        self._ready: set[int] = set()
        self._look_at = 0.0
        self._is_server_down = False
        self._nobody_since: float | None = None
        self.disturbances: list[Disturbance] = []
        self.drains: list[str] = []
        self.injected: list[str] = []

    def possible(self) -> tuple[str, ...]:
        """Return the names of the faults that make sense here."""
        faults: tuple[str, ...] = PROCESS_FAULTS
        if not self._cluster.is_sqlite:
            faults += SESSION_FAULTS
            faults += WIRE_FAULTS if self._cluster.instances[0].proxy else ()
            faults += CLOCK_FAULTS if self._cluster.instances[0].shift else ()
            faults += SERVER_FAULTS if self._server else ()
        return faults

    def rage(
        self,
        seconds: float,
        faults: Sequence[str] = (),
        *,
        in_turn: bool = False,
        pause: tuple[float, float] = (1.5, 6.0),
    ) -> None:
        """Inject faults for a time; then end all of them."""
        until = time.monotonic() + seconds
        strike_at = time.monotonic() + self._chance.uniform(*pause)
        turns = cycle(faults or self.possible())
        while time.monotonic() < until:
            if time.monotonic() >= strike_at:
                self.strike(next(turns) if in_turn else self._chance.choice(faults or self.possible()))
                strike_at = time.monotonic() + self._chance.uniform(*pause)
            self.attend(0.05)
        self.relent()

    def strike(self, fault: str) -> None:
        """Inject one fault by name."""
        getattr(self, f"_{fault}")()

    def relent(self) -> None:
        """End every fault now, and wait for the instances that drain."""
        while self._agenda:
            heapq.heappop(self._agenda)[2]()
            self.attend(0.05)  # what hands over asks again until the other is ready
        while self._draining:
            self.attend(0.05)

    def attend(self, seconds: float) -> None:
        """Let time pass: end what is to end, look after those that drain, note when nobody could lead."""
        until = time.monotonic() + seconds
        while True:
            while self._agenda and self._agenda[0][0] <= time.monotonic():
                heapq.heappop(self._agenda)[2]()
            self._see_drained()
            self._see_healthy()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.05))

    def begin(self, label: str) -> Instance:
        """Start an instance."""
        return self._cluster.start(label)

    # --- processes --------------------------------------------------------------------------------------

    def _kill(self) -> None:
        """Fault 1, 2: a process dies without a word and is started again."""
        self.kill(self._target())

    def kill(self, instance: Instance) -> None:
        """Let a process die without a word, and start it again."""
        self.note(f"kill -9 of {_name(instance)}", SETTLING)
        instance.signal(signal.SIGKILL)
        self._later(self._chance.uniform(0.0, 5.0), lambda: self._begin_again(instance.label))

    def _pause(self) -> None:
        self.stop(self._target(), self._chance.uniform(0.3, 4.0))

    def _stall(self) -> None:
        """Fault 6, 7: a process stands still for longer than its lease, and does not know."""
        self.stop(self._target(), self._chance.uniform(12.0, 20.0))

    def stop(self, instance: Instance, seconds: float) -> None:
        """Let a process stand still for a time."""
        # A writer that stands still in its transaction holds up every other writer of a SQLite file.
        bound = seconds if self._cluster.is_sqlite else min(seconds, LEASE_SECONDS)
        self.note(f"SIGSTOP of {_name(instance)} for {seconds:.1f} s", bound + SETTLING)
        instance.signal(signal.SIGSTOP)
        self._later(seconds, lambda: instance.signal(signal.SIGCONT))

    def _stop_all(self) -> None:
        """Fault 9: everybody stands still, and goes on together."""
        seconds, everybody = self._chance.uniform(2.0, 15.0), self._usable()
        self.note(f"SIGSTOP of everybody for {seconds:.1f} s", seconds + SETTLING)
        for instance in everybody:
            instance.signal(signal.SIGSTOP)
        for instance in everybody:
            self._later(seconds, partial(instance.signal, signal.SIGCONT))

    def _terminate(self) -> None:
        """Fault 55: a process is asked to end, and is started again."""
        instance = self._target()
        self._ask_to_end(instance)
        self._later(self._chance.uniform(0.0, 4.0), lambda: self._begin_again(instance.label))

    def _roll(self) -> None:
        """Fault 57: one after the other is replaced, the new one first."""
        self._say("a rolling update")
        for number, instance in enumerate(list(self._usable())):
            self._later(number * 4.0, partial(self._replace, instance))

    def _double(self) -> None:
        """Fault 58: a second process of the same name, on the same machine."""
        first = self._target()
        second = self.begin(first.label)
        self._say(f"a second {first.label} ({second.pid}) beside {first.pid}")
        self._later(self._chance.uniform(4.0, 10.0), lambda: self._ask_to_end(second))

    def _replace(self, old: Instance) -> None:
        """Put a new process in the place of an old one: one at a time, however slowly they come up."""
        if len(self._usable()) > self._instances:
            self._later(1.0, partial(self._replace, old))
        elif old in self._usable():
            self._hand_over(old, self.begin(old.label))

    def _hand_over(self, old: Instance, new: Instance) -> None:
        """Ask the old process to end once the new one is there."""
        if new.pid in self._ready or not new.is_up:
            self._ask_to_end(old)
        else:
            self._later(0.5, lambda: self._hand_over(old, new))

    def _begin_again(self, label: str) -> None:
        """Start an instance unless there are enough: a fault may have struck one that another has added."""
        if len(self._usable()) < self._instances:
            self.begin(label)

    def _ask_to_end(self, instance: Instance) -> None:
        if not instance.is_up or instance.pid in self._draining:
            return
        self.note(f"SIGTERM to {_name(instance)}", SETTLING)
        instance.signal(signal.SIGCONT)
        instance.signal(signal.SIGTERM)
        self._draining[instance.pid] = (instance, time.monotonic())

    # --- the wire ---------------------------------------------------------------------------------------

    def _hold(self) -> None:
        self._hold_for(self._chance.uniform(0.5, 5.0))

    def _hold_long(self) -> None:
        """Fault 18, 21: nothing is delivered for twice the lease, then everything."""
        self._hold_for(self._chance.uniform(14.0, 22.0))

    def _hold_for(self, seconds: float) -> None:
        instance = self._target()
        self.note(f"{_name(instance)}: nothing is delivered for {seconds:.1f} s",
                   min(seconds, LEASE_SECONDS) + SETTLING)  # fmt: skip
        self._trouble(instance, seconds, lambda: instance.proxy and instance.proxy.hold())

    def _cut(self) -> None:
        """Fault 16: every connection breaks."""
        instance = self._target()
        self.note(f"{_name(instance)}: connections cut", SETTLING)
        if instance.proxy:
            instance.proxy.cut()

    def _slow(self) -> None:
        """Fault 20: a slow database."""
        self.slow(self._target(), self._chance.choice((0.05, 0.2, 2.0)), self._chance.uniform(5.0, 12.0))

    def slow(self, instance: Instance, delay: float, seconds: float) -> None:
        """Deliver everything later for a time."""
        # A renewal that takes longer than the lease allows ends the term: the others must wait for the lease.
        excuses = seconds + LEASE_SECONDS + SETTLING
        self.note(f"{_name(instance)}: {delay:g} s slower each way for {seconds:.1f} s", excuses)
        self._trouble(instance, seconds, lambda: instance.proxy and instance.proxy.slow(delay))

    def _mute(self) -> None:
        """Fault 17: the server hears and commits, its answers are lost, then the connections break."""
        instance, seconds = self._target(), self._chance.uniform(0.1, 2.0)
        self.note(f"{_name(instance)}: answers lost for {seconds:.1f} s", seconds + SETTLING)
        self._trouble(instance, seconds, lambda: instance.proxy and instance.proxy.mute())

    def _refuse(self) -> None:
        instance, seconds = self._target(), self._chance.uniform(1.0, 15.0)
        self.note(
            f"{_name(instance)}: no connection for {seconds:.1f} s", min(seconds, LEASE_SECONDS) + SETTLING
        )
        self._trouble(instance, seconds, lambda: instance.proxy and instance.proxy.refuse())

    def _trouble(self, instance: Instance, seconds: float, begin: Callable[[], object]) -> None:
        def end() -> None:
            self._troubled[instance.pid] -= 1
            if self._troubled[instance.pid] == 0 and instance.proxy and instance.is_up:
                instance.proxy.release()
                self.note(f"{_name(instance)}: the wire is whole again", SETTLING)

        self._troubled[instance.pid] = self._troubled.get(instance.pid, 0) + 1
        begin()
        self._later(seconds, end)

    # --- the database -----------------------------------------------------------------------------------

    def _end_holder(self) -> None:
        """Fault 11: the session that holds the leader's lock is ended."""
        if not self._is_server_down:
            self.note("the session of the leader's lock is ended", SETTLING)
            postgres.terminate_lock_holder(self._cluster.url)

    def _end_sessions(self) -> None:
        """Fault 12: every session is ended."""
        if not self._is_server_down:
            self.note("every session is ended", SETTLING)
            postgres.terminate_sessions(self._cluster.url)

    def _restart(self) -> None:
        """Fault 13: a fast restart."""
        if self._server and not self._is_server_down:
            began = time.time()
            self._server.stop()
            self._server.start()
            self.note("PostgreSQL restarted", SETTLING, began=began)

    def _crash(self) -> None:
        """Fault 14: the server stops without a word, and recovers."""
        self.outage(self._chance.uniform(0.5, 8.0))

    def outage(self, seconds: float) -> None:
        """Stop the server without a word; start it again after a time."""
        if self._server is None or self._is_server_down:
            return
        began, server = time.time(), self._server
        self._is_server_down = True
        self.note(f"PostgreSQL stopped for {seconds:.1f} s", seconds + SETTLING)
        server.stop("immediate")

        def recover() -> None:
            server.start()
            self._is_server_down = False
            self.note("PostgreSQL is back", SETTLING, began=began)

        self._later(seconds, recover)

    # --- clocks -----------------------------------------------------------------------------------------

    def _shift(self) -> None:
        """Fault 50 to 52: the wall clock of one instance is wrong for a while. It excuses nothing."""
        instance = self._target()
        ahead = self._chance.choice((-1, 1)) * self._chance.choice((0.3, 5.0, 60.0, 3600.0))
        file = instance.shift
        if file is None:
            return
        self._say(f"{_name(instance)}: the wall clock is {ahead:+g} s off")
        shim.shift(file, ahead)
        self._later(self._chance.uniform(5.0, 20.0), lambda: shim.shift(file, 0.0))

    # --- bookkeeping ------------------------------------------------------------------------------------

    def _usable(self) -> list[Instance]:
        return [each for each in self._cluster.up() if each.pid not in self._draining]

    def _target(self) -> Instance:
        """Return the leader as often as not, otherwise anybody."""
        wants_leader, number = self._chance.random() < 0.6, self._chance.random()
        while not (usable := [each for each in self._usable() if each.pid in self._ready]):
            self.attend(0.1)
        leader = self._cluster.leader() if wants_leader and not self._is_server_down else None
        return leader if leader in usable else usable[int(number * len(usable))]

    def _later(self, seconds: float, function: Callable[[], object]) -> None:
        def call() -> None:
            function()

        heapq.heappush(self._agenda, (time.monotonic() + seconds, next(self._numbers), call))

    def note(self, what: str, excuses: float, *, began: float | None = None) -> None:
        """Say what happens, and for how long from now on it may delay a decision."""
        now = time.time()
        self.disturbances.append(Disturbance((began or now) - 0.5, now + excuses, what))
        self.injected.append(what)
        self._say(what)

    def _see_drained(self) -> None:
        for pid, (instance, since) in list(self._draining.items()):
            took = time.monotonic() - since
            code = instance.process.poll()
            if self._troubled.get(pid) or instance.is_stopped or self._is_server_down:
                self._draining[pid] = (instance, time.monotonic())  # it could not end yet
            if code is None and took > DRAIN_LIMIT:
                self.drains.append(f"{_name(instance)} had not ended {DRAIN_LIMIT:g} s after SIGTERM")
                instance.signal(signal.SIGKILL)
                del self._draining[pid]
            elif code is not None:
                if code not in (0, -signal.SIGKILL) and (pid in self._ready or code != -signal.SIGTERM):
                    self.drains.append(f"{_name(instance)} ended with exit code {code} after SIGTERM")
                del self._draining[pid]

    def _see_ready(self) -> None:
        """Learn which processes have come up: on a busy machine that takes its time."""
        if self._is_server_down or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + 0.5
        if any(each.pid not in self._ready for each in self._cluster.up()):
            self._ready |= self._cluster.announced()

    def _see_healthy(self) -> None:
        """Excuse lateness while there is nobody who could lead."""
        self._see_ready()
        healthy = not self._is_server_down and any(
            each.pid in self._ready and not each.is_stopped and not self._troubled.get(each.pid)
            for each in self._usable()
        )
        if not healthy:
            self._nobody_since = self._nobody_since or time.time()
        elif self._nobody_since is not None:
            self.disturbances.append(
                Disturbance(self._nobody_since - SETTLING, time.time() + SETTLING, "nobody could lead")
            )
            self._nobody_since = None


def _name(instance: Instance) -> str:
    return f"{instance.label} ({instance.pid})"
