"""Claims rows that are due, looks at their clusters, decides and performs. It may die at any line and lose nothing."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Generic

import structlog

from submarine_ray.core import leases
from submarine_ray.core.database import Database
from submarine_ray.core.engine import metrics
from submarine_ray.core.engine.backoff import Backoff
from submarine_ray.core.engine.bounds import Bounds as Bounds
from submarine_ray.core.engine.change_queue import ChangeQueue
from submarine_ray.core.engine.feature import Feature, ObservedT, Outcome, RowT, StepT
from submarine_ray.core.engine.hand import Hand
from submarine_ray.core.engine.restless import Restless
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.events import Event
from submarine_ray.core.lanes import SLOW_MS, Lanes, Runner, finish
from submarine_ray.core.leases import Lessee
from submarine_ray.core.loop import Loop

log = structlog.get_logger(__name__)

IDLE_SECONDS = 60.0
STOP_SECONDS = 10.0
TOLD_AFTER = 3  # failures in a row before a user is told; a bug of ours is told of after the first
FIRST_OUTAGE_MS, LONGEST_OUTAGE_MS = 1_000, 8_000  # users wait for the cluster, and a look costs little
STALE_MS = 10_000  # a step that has waited longer for a worker is dropped: its observation is out of date


class Engine(Generic[RowT, ObservedT, StepT]):
    """One feature's rows in one control service."""

    def __init__(
        self,
        feature: Feature[RowT, ObservedT, StepT],
        database: Database,
        lessee: Lessee,
        bounds: Bounds | None = None,
        runner: Runner | None = None,
    ) -> None:
        self._feature = feature
        self._database = database
        self._lessee = lessee
        self._bounds = bounds = bounds or Bounds()
        told = (runner, self._freed, lessee.clock.even_ms)
        self._looks = Lanes(f"{feature.name}-look", bounds.looks, bounds.looks_of_cluster, *told)
        self._steps = Lanes(f"{feature.name}-step", bounds.steps, bounds.steps_of_cluster, *told)
        self._hand = Hand(database, feature.table, lessee)
        self._rows = Backoff()
        self._restless = Restless()
        self._clusters = Backoff(FIRST_OUTAGE_MS, LONGEST_OUTAGE_MS)
        self._away: dict[str, int] = {}
        self._stranded: dict[str, str] = {}
        self._working: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._next_tick_ms = math.inf
        self._passed_over: set[str] = set()
        self._is_crowded = False
        self._stopping = threading.Event()
        self._beat = threading.Thread(target=self._beat_on, name=f"{feature.name}-heartbeat", daemon=True)
        self.loop = Loop(feature.name, self.tick)
        self.changes = ChangeQueue(self.wake)
        metrics.show(feature.name, lambda: len(self._hand.keys()), self._backlog)

    def start(self) -> None:
        """Free what this service held when it last died, look at everything, and go on until `stop`."""
        with self._database.session(write=True) as session:
            leases.recover(session, self._feature.table, self._lessee)
        self._beat.start()
        self.loop.start()

    def wake(self) -> None:
        """Look for rows that are due now: somebody has changed what is desired."""
        self.loop.wake()

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """End: steps under way have `patience` seconds to be finished; what had not begun is given back for others."""
        self.loop.stop()
        lanes = (self._looks, self._steps)  # in this order: what is looked at brings steps
        ending = threading.Thread(target=finish, args=lanes, daemon=True)
        ending.start()
        ending.join(patience)
        for one in lanes:
            one.close(wait=False)
        self._stopping.set()
        if self._beat.is_alive():
            self._beat.join(STOP_SECONDS)
        with self._lock:
            if hanging := set(self._working):
                log.warning("reconcile.still_working", feature=self._feature.name, rows=sorted(hanging))
        if left := {key: token for key, token in self._hand.tokens().items() if key not in hanging}:
            self._hand.let_go(left)
            try:
                with self._database.session(write=True) as session:
                    leases.give_back(session, self._feature.table, left)
            except DatabaseUnavailable:
                log.warning("reconcile.not_given_back", feature=self._feature.name, rows=len(left))

    # One tick

    def tick(self) -> float:
        """Claim what is due and hand it to workers, cluster by cluster; the seconds until more will be due."""
        self._next_tick_ms = math.inf
        self._feature.ready()
        self._catch_up()
        self._steps.advance()
        while (free := self._looks.free()) > 0:
            rows = self._claim(free)
            by_cluster: dict[str, list[RowT]] = {}
            for row in rows:
                by_cluster.setdefault(row.row_lane, []).append(row)
            for cluster, group in by_cluster.items():
                self._looks.put(cluster, partial(self._surely, group, partial(self._work, cluster, group)))
            if len(rows) < self._bounds.batch and len(by_cluster) < free:
                break  # these were all that are due
        return self._pause()

    def _catch_up(self) -> None:
        """Release rows that could not be written without the database, and wake rows that clusters have reported."""
        with self._lock:
            stranded = dict(self._stranded)
        changed = self.changes.take()
        if not (stranded or changed):
            return
        try:
            with self._database.session(write=True) as session:
                if stranded:
                    leases.give_back(session, self._feature.table, stranded)
                if changed:
                    leases.wake(session, self._feature.table, changed, self._lessee.clock.due_ms())
        except DatabaseUnavailable:
            self.changes.put_back(changed)
            raise
        with self._lock:
            for key, token in stranded.items():
                if self._stranded.get(key) == token:
                    del self._stranded[key]

    def _claim(self, free: int) -> Sequence[RowT]:
        held, full = self._hand.keys(), self._full()
        table, begun = self._feature.table, self._lessee.clock.even_ms()
        with self._database.session() as session:  # the write lock is for those who have something to write
            asked = leases.agreed_ms(session, table, self._lessee)
            due = leases.next_due(session, table, asked, held, full)
        if due is None or due > asked:
            return []
        with self._database.session(write=True) as session:
            rows = leases.claim(session, table, self._lessee, self._bounds.batch, free, held, full)
        self._hand.take(rows, begun)
        self.changes.hold(row.row_key for row in rows)
        return rows

    def _full(self) -> set[str]:
        """The clusters whose rows cannot be worked on now: all their workers are busy, or they do not answer."""
        now = self._lessee.clock.due_ms()
        behind = {cluster for cluster, count in self._steps.waiting().items() if count >= self._bounds.batch}
        with self._lock:
            away = {cluster for cluster, until in self._away.items() if now < until}
        return self._looks.full() | behind | away

    def _pause(self) -> float:
        now = self._lessee.clock.due_ms()
        with self._lock:
            back = min((until for until in self._away.values() if until > now), default=math.inf)
        self._is_crowded = True  # from here on `_freed` tells of the first that is free
        if not self._looks.free():
            return SLOW_MS / 1000
        self._is_crowded = False
        self._passed_over = self._full()
        full = self._passed_over & self._full()  # of those that are free from here on, `_freed` tells
        with self._database.session() as session:
            due = leases.next_due(session, self._feature.table, now, self._hand.keys(), full)
        self._next_tick_ms = min(back, math.inf if due is None else due)
        return max(0.02, min(IDLE_SECONDS, (self._next_tick_ms - now) / 1000))

    def _freed(self, cluster: str) -> None:
        """A worker of a cluster is free again, whose rows the last tick may have passed over."""
        if self._is_crowded or cluster in self._passed_over:
            self.wake()

    # One look at a cluster

    def _work(self, cluster: str, rows: list[RowT]) -> None:
        rows = self._still_held(rows)
        if not rows:
            return
        try:
            observed = self._feature.observe(cluster, rows)
        except DatabaseUnavailable as failure:
            self._strand(rows, failure)
            return
        except self._feature.expected as failure:
            self._outage(cluster, rows, failure)
            return
        except Exception as failure:  # noqa: BLE001 (a mistake of ours, perhaps about one of the rows)
            if len(rows) > 1:
                for row in rows:
                    self._work(cluster, [row])
            else:
                self._failed(rows[0], None, failure)
            return
        self._answers(cluster)
        stale = self._lessee.clock.due_ms() + STALE_MS
        notes: list[tuple[RowT, Outcome]] = []
        for row in rows:
            try:
                step = self._feature.decide(row, observed)
                is_note = self._feature.is_note(step)
            except Exception as failure:  # noqa: BLE001 (of this row alone: nobody else waits for its mending)
                self._failed(row, None, failure)
                continue
            if is_note:
                if outcome := self._taken(row, step, observed):
                    notes.append((row, outcome))
            else:
                going = partial(self._step, row, step, observed, stale)
                self._steps.put(cluster, partial(self._surely, [row], going))
        self._write(notes)

    def _surely(self, rows: Sequence[RowT], work: Callable[[], None]) -> None:
        """Whatever ends a work, its rows are not kept in hand by a heartbeat that nobody works under."""
        keys = [row.row_key for row in rows]
        with self._lock:
            self._working.update(keys)
        try:
            work()
        except BaseException as failure:  # such as SystemExit of a library
            log.exception("reconcile.work_broken", feature=self._feature.name, rows=keys)
            self._strand([row for row in rows if self._hand.tokens().get(row.row_key) == row.lock_token], failure)
            raise
        finally:
            with self._lock:
                self._working -= Counter(keys)  # drops those that nobody works on any more

    def _still_held(self, rows: Sequence[RowT]) -> list[RowT]:
        """Those whose leases have not ended while they waited for a worker; of the others nothing is done."""
        held = [row for row in rows if self._hand.holds(row.row_key)]
        if len(held) < len(rows):  # perhaps nobody has taken them, and a heartbeat was late but in time
            self._give_back([row for row in rows if row not in held])
        return held

    def _outage(self, cluster: str, rows: Sequence[RowT], failure: Exception) -> None:
        """A cluster that does not answer changes no row, and is left alone for a while."""
        count, pause = self._clusters.failed(cluster)
        if count == 1:
            log.warning("reconcile.cluster_away", feature=self._feature.name, cluster=cluster, why=str(failure))
        metrics.FAILURES.labels(self._feature.name, "cluster").inc()
        with self._lock:
            self._away[cluster] = self._lessee.clock.due_ms() + pause
        self._give_back(rows)

    def _answers(self, cluster: str) -> None:
        with self._lock:
            self._away.pop(cluster, None)
        if self._clusters.succeeded(cluster):
            log.info("reconcile.cluster_back", feature=self._feature.name, cluster=cluster)

    # One step of a row

    def _step(self, row: RowT, step: StepT, observed: ObservedT, stale_ms: int) -> None:
        if not self._still_held([row]):
            return
        if self._lessee.clock.due_ms() > stale_ms:
            self._give_back([row])
        elif outcome := self._taken(row, step, observed):
            self._write([(row, outcome)])

    def _taken(self, row: RowT, step: StepT, observed: ObservedT) -> Outcome | None:
        """What came of a step; None if it failed, which is written then."""
        try:
            with metrics.STEP.labels(self._feature.name, type(step).__name__).time():
                outcome = self._feature.perform(row, step, observed)
        except DatabaseUnavailable as failure:
            self._strand([row], failure)
            return None
        except Exception as failure:  # noqa: BLE001 (of this row alone)
            self._failed(row, step, failure)
            return None
        return self._restless.settle(row.row_key, outcome, self._lessee.clock.due_ms())

    def _failed(self, row: RowT, step: StepT | None, failure: Exception) -> None:
        """Write what a failure means: to the feature, or that the row is tried again, each time later."""
        is_expected = isinstance(failure, self._feature.expected)
        about = {"feature": self._feature.name, "row": row.row_key, "step": type(step).__name__ if step else "Decide"}
        metrics.FAILURES.labels(self._feature.name, "world" if is_expected else "mistake").inc()
        if is_expected:
            log.warning("reconcile.step_failed", **about, why=str(failure))
        else:
            log.error("reconcile.step_broken", **about, exc_info=failure)
        try:
            outcome = self._feature.failed(row, step, failure)
        except Exception:
            log.exception("reconcile.failure_not_understood", **about)
            outcome = None
        self._write([(row, outcome or self._later(row, failure, is_expected))], is_failure=True)

    def _later(self, row: RowT, failure: Exception, is_expected: bool) -> Outcome:
        count, pause = self._rows.failed(row.row_key)
        why = str(failure) if is_expected else f"an internal error ({type(failure).__name__}); the service's log has it"
        told = Event("NotReconciled", f"Its next step failed {count} times, and is tried again: {why}")
        events = [told] if count == (TOLD_AFTER if is_expected else 1) else []
        return Outcome({"next_check_ms": self._lessee.clock.due_ms() + pause}, events)

    # What came of it

    def _write(self, taken: Sequence[tuple[RowT, Outcome]], is_failure: bool = False) -> None:
        """Write rows of a cluster together, then tell of them. One that cannot be written keeps no other back."""
        if not taken:
            return
        # In one order everywhere: on MySQL two transactions would otherwise wait for one another.
        ordered = sorted(taken, key=lambda one: one[0].row_key)
        self._hand.ending(row.row_key for row, _ in ordered)
        try:
            with self._database.session(write=True) as session:
                written = [one for one in ordered if self._feature.write(session, *one)]
        except DatabaseUnavailable as failure:
            self._strand([row for row, _ in ordered], failure)
            return
        except Exception as failure:
            log.exception("reconcile.not_written", feature=self._feature.name, rows=[row.row_key for row, _ in ordered])
            if len(ordered) > 1:
                for one in ordered:
                    self._write([one])
            elif is_failure:
                self._strand([ordered[0][0]], failure)
            else:
                self._failed(ordered[0][0], None, failure)
            return
        for row, outcome in written:
            if not is_failure or outcome.due_ms == math.inf:
                self._rows.succeeded(row.row_key)
            try:
                self._feature.written(row, outcome)
            except Exception:  # it is kept: whoever waits looks again by himself
                log.exception("reconcile.not_told", feature=self._feature.name, row=row.row_key)
        is_changed = len(written) < len(ordered)  # what is desired has changed: decide anew
        due = min((outcome.due_ms for _, outcome in written), default=math.inf)
        self._let_go((row.row_key for row, _ in ordered), is_changed)
        if due < self._next_tick_ms:
            self.loop.wake(max(0.0, (due - self._lessee.clock.due_ms()) / 1000))

    def _let_go(self, keys: Iterable[str], wake: bool = False) -> None:
        done = list(keys)
        self._hand.let_go(done)
        if self.changes.let_go(done) or wake:
            self.wake()

    def _give_back(self, rows: Sequence[RowT]) -> None:
        """Free rows as they are: they stay due."""
        try:
            with self._database.session(write=True) as session:
                leases.give_back(session, self._feature.table, {row.row_key: row.lock_token or "" for row in rows})
        except DatabaseUnavailable as failure:
            self._strand(rows, failure)
        else:
            self._let_go(row.row_key for row in rows)

    def _strand(self, rows: Sequence[RowT], failure: BaseException) -> None:
        """The database went away while rows were in hand: the next tick that reaches it gives them back."""
        why = str(failure.__cause__ or failure)
        log.warning("reconcile.stranded", feature=self._feature.name, rows=len(rows), why=why)
        with self._lock:
            self._stranded |= {row.row_key: row.lock_token or "" for row in rows}
        self._let_go(row.row_key for row in rows)

    # Beside it

    def heartbeat(self) -> None:
        """Renew the leases of all rows in hand, once. Raises DatabaseUnavailable."""
        for key in self._hand.renew():
            metrics.LOST.labels(self._feature.name).inc()
            log.warning("reconcile.lease_lost", feature=self._feature.name, row=key)

    def _beat_on(self) -> None:
        while not self._stopping.wait(self._lessee.lease_ms / 3000):
            try:
                self.heartbeat()
            except DatabaseUnavailable as failure:
                log.warning("reconcile.no_heartbeat", feature=self._feature.name, why=str(failure.__cause__ or failure))
            except Exception:
                log.exception("reconcile.heartbeat_failed", feature=self._feature.name)

    def _backlog(self) -> tuple[float, float]:
        try:
            now = self._lessee.clock.due_ms()
            with self._database.session() as session:
                count, oldest = leases.backlog(session, self._feature.table, now)
        except DatabaseUnavailable:
            return math.nan, math.nan
        waited = 0 if oldest is None else max(0, now - oldest)
        return count, waited / 1000
