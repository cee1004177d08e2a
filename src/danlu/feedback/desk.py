"""The desk of an annotation page: tasks go out to several people at once and come back as answers.

Each person gets one task after another, in an order of completions of their own; between them come test questions and
hidden repeats. A lease keeps two people from the same task by accident; an answer after it ran out still counts.
"""

import json
import random
import time as clock
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping
from danlu.feedback.log import log, new_id
from danlu.feedback.records import (
    Demonstration,
    Ranking,
    Record,
    demonstration_from,
    dense_ranks,
    ranking_from,
    to_json,
)
from danlu.feedback.state import answers, apply, leases, tasks
from danlu.feedback.store import Store
from danlu.feedback.tasks import Lease, Task, TaskKind


class Desk(Store):
    """A store that hands tasks out."""

    def next_task(
        self,
        annotator: str,
        *,
        besides: Collection[str] = (),
        kinds: Collection[TaskKind] | None = None,
        now: float | None = None,
    ) -> Lease | None:
        """The next task for somebody: one that is in their hands already, else a new one; None: there is none.

        Args:
            besides: leases that the page holds already (it fetches the next one ahead).
            kinds: which kinds of task; None: all.
            now: the time (seconds since 1970, UTC), for tests.
        """
        now = clock.time() if now is None else now
        with self.log.write() as connection:
            held = connection.execute(
                sa.select(leases)
                .where(leases.c.annotator == annotator, leases.c.is_open, leases.c.expires > now)
                .order_by(leases.c.number)
            ).all()
            for row in held:
                lease = self._lease(connection, row)
                if row.id not in besides and (kinds is None or lease.kind in kinds):
                    return lease
            task, repeat = self._choose(connection, annotator, kinds, now)
            if task is None:
                return None
            number = len(_task(task.body).completions)
            body = {"repeat": repeat, "shown": self._order(annotator, task.id, repeat, number)}
            body["expires"] = now + self.policy.lease_seconds
            event, _ = self.log.append(connection, "lease", body, annotator=annotator, task=task.id, time=now)
            apply(connection, event)
            return self._lease(connection, self._row(connection, event.id))

    def _order(self, annotator: str, task: str, repeat: bool, number: int) -> list[int]:
        """The order in which completions are shown: random, and another one when they come again."""
        order = list(range(number))
        chance = random.Random(f"{self.policy.seed}/{annotator}/{task}/{repeat}")
        for i in range(number - 1, 0, -1):  # Fisher-Yates on `random()`, whose numbers Python promises to keep
            j = int(chance.random() * (i + 1))
            order[i], order[j] = order[j], order[i]
        return order

    def _choose(
        self, connection: Connection, annotator: str, kinds: Collection[TaskKind] | None, now: float
    ) -> tuple["sa.Row[Any] | None", bool]:
        """The task that is next, and whether it is a repeat."""
        policy = self.policy
        done = connection.execute(
            sa.select(answers.c.task, answers.c.kind, answers.c.is_repeat, tasks.c.is_gold)
            .join(tasks, tasks.c.id == answers.c.task)
            .where(answers.c.annotator == annotator, answers.c.is_active)
            .order_by(answers.c.number)
        ).all()
        number = sum(not row.is_repeat and not row.is_gold for row in done)
        answered = sa.exists().where(
            answers.c.task == tasks.c.id, answers.c.annotator == annotator, answers.c.is_active
        )
        running = sa.and_(leases.c.task == tasks.c.id, leases.c.is_open, leases.c.expires > now)
        held = sa.exists().where(running, leases.c.annotator == annotator)
        query = sa.select(tasks).where(~held).order_by(tasks.c.number).limit(1)
        if kinds is not None:
            query = query.where(tasks.c.kind.in_(kinds))
        busy = sa.select(sa.func.count()).where(running, ~leases.c.is_repeat).scalar_subquery()
        wants = sa.and_(tasks.c.skipped < policy.max_skips, tasks.c.answered + busy < tasks.c.wanted)
        wanted = connection.execute(query.where(~tasks.c.is_gold, ~answered, wants)).first()
        if wanted is None:  # tests and repeats come between tasks, not after the last one
            return None, False
        if policy.gold_every and sum(row.is_gold for row in done) < number // policy.gold_every:
            found = connection.execute(query.where(tasks.c.is_gold, ~answered)).first()
            if found is not None:
                return found, False
        if policy.repeat_every and sum(row.is_repeat for row in done) < number // policy.repeat_every:
            ranked = [row.task for row in done if row.kind == "ranking" and not row.is_repeat and not row.is_gold]
            repeated = {row.task for row in done if row.is_repeat}
            for task in ranked[: len(ranked) - policy.repeat_distance]:
                found = None if task in repeated else connection.execute(query.where(tasks.c.id == task)).first()
                if found is not None:
                    return found, True
        return wanted, False

    def _lease(self, connection: Connection, row: "sa.Row[Any]") -> Lease:
        body = connection.scalar(sa.select(tasks.c.body).where(tasks.c.id == row.task))
        assert body is not None
        task = _task(body)
        shown = tuple(task.completions[i] for i in json.loads(row.shown))
        return Lease(row.id, row.task, task.kind, row.annotator, task.prompt, shown, row.expires)

    def open_to(self, annotator: str) -> int:
        """How many tasks somebody could still answer, those in others' hands for the moment included."""
        own = sa.exists().where(answers.c.task == tasks.c.id, answers.c.annotator == annotator, answers.c.is_active)
        wanted = sa.and_(tasks.c.answered < tasks.c.wanted, tasks.c.skipped < self.policy.max_skips)
        query = sa.select(sa.func.count()).select_from(tasks).where(~tasks.c.is_gold, wanted, ~own)
        with self.log.read() as connection:
            return connection.scalar(query) or 0

    def skips(self) -> dict[str, int]:
        """How many tasks each person left to others."""
        query = sa.select(answers.c.annotator, sa.func.count()).where(answers.c.is_active, answers.c.kind == "skip")
        with self.log.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(answers.c.annotator))}

    def task(self, task: str) -> Task:
        """A task with all that annotators are not told, by its identity."""
        with self.log.read() as connection:
            body = connection.scalar(sa.select(tasks.c.body).where(tasks.c.id == task))
        if body is None:
            raise DanluError(f"there is no task {task}.", "Fetch the next task.")
        return _task(body)

    def release(self, lease: str) -> None:
        """Give a task back unanswered, for somebody else to have it now."""
        with self.log.write() as connection:
            row = self._open(connection, lease)
            body = {"lease": lease}
            event, _ = self.log.append(connection, "release", body, annotator=row.annotator, task=row.task)
            apply(connection, event)

    # Answers

    def rank(
        self,
        lease: str,
        ranks: Sequence[int],
        *,
        id: str | None = None,
        seconds: float | None = None,
        flags: Sequence[str] = (),
        completion_flags: Sequence[Sequence[str]] = (),
        ratings: Sequence[int | None] = (),
        strength: int | None = None,
        note: str = "",
        now: float | None = None,
    ) -> Ranking:
        """Answer a ranking or pair task.

        Args:
            lease: the lease's identity. A lease that has run out is accepted: nobody's work is lost.
            ranks: one for each completion in the order in which they were shown; lower is better, equal is tied.
            id: an identity for this answer, made by the page, so that sending it again counts once.
            completion_flags, ratings: in the order shown.
            strength: of a preference between two, 1 to 4.
            seconds: how long it took.

        Returns:
            what was kept, in the canonical order.

        Raises:
            DanluError: the lease is unknown or answered already, or the ranks do not fit.
        """
        now = clock.time() if now is None else now
        with self.log.write() as connection:
            before = self._before(connection, id)
            if before is not None:
                return ranking_from(before["record"], "the store")
            row = self._open(connection, lease)
            task = self._task_of(connection, row)
            if task.kind == "demonstrate":
                raise DanluError("this task asks for a response, not for an order.", "Answer it with a text.")
            shown: list[int] = json.loads(row.shown)
            canonical = sorted(range(len(shown)), key=shown.__getitem__)  # place where each completion was shown
            if len(ranks) != len(shown):
                raise DanluError(
                    f"{len(ranks)} ranks were given for {len(shown)} completions.", "Give one for each completion."
                )

            def moved(values: Sequence[Any]) -> tuple[Any, ...]:
                return tuple(values[place] for place in canonical) if values else ()

            record = Ranking(
                task.prompt,
                task.completions,
                dense_ranks(moved(ranks)),
                annotator=row.annotator,
                shown=tuple(shown),
                seconds=seconds,
                time=now,
                flags=tuple(flags),
                completion_flags=tuple(tuple(some) for some in moved(completion_flags)),
                ratings=moved(ratings),
                strength=strength,
                note=note,
                completion_sources=task.completion_sources,
                source="page",
                labels=task.labels,
            )
            self._answer(connection, row, "ranking", record, id, now)
            return record

    def demonstrate(
        self,
        lease: str,
        response: str,
        *,
        id: str | None = None,
        flags: Sequence[str] = (),
        labels: Mapping[str, Any] | None = None,
        now: float | None = None,
    ) -> Demonstration:
        """Answer a demonstration task with a text; arguments and errors as for `rank`.

        Args:
            labels: what is known about this answer, beside what the task's source said.
        """
        now = clock.time() if now is None else now
        with self.log.write() as connection:
            before = self._before(connection, id)
            if before is not None:
                return demonstration_from(before["record"], "the store")
            row = self._open(connection, lease)
            task = self._task_of(connection, row)
            if task.kind != "demonstrate":
                raise DanluError("this task asks for an order, not for a response.", "Answer it with ranks.")
            known = {**task.labels, **(labels or {})}
            record = Demonstration(task.prompt, response, "page", row.annotator, now, tuple(flags), known)
            self._answer(connection, row, "demonstration", record, id, now)
            return record

    def skip(self, lease: str, reason: str, *, id: str | None = None) -> None:
        """Leave a task to others, for a reason (unclear, wrong language, ...)."""
        with self.log.write() as connection:
            if self._before(connection, id) is not None:
                return
            row = self._open(connection, lease)
            body = {"lease": lease, "repeat": row.is_repeat, "reason": reason}
            event, _ = self.log.append(connection, "skip", body, annotator=row.annotator, task=row.task, id=id)
            apply(connection, event)

    def undo(self, annotator: str, *, id: str | None = None, now: float | None = None) -> Lease | None:
        """Take back somebody's last answer or skip; None: there is none.

        Returns:
            the task in their hands again, with the completions in the same order.
        """
        now = clock.time() if now is None else now
        with self.log.write() as connection:
            before = self._before(connection, id)
            if before is not None:
                undone = connection.execute(sa.select(answers).where(answers.c.id == before["undone"])).one()
                return self._lease(connection, self._row(connection, undone.lease))
            query = sa.select(answers).where(
                answers.c.annotator == annotator, answers.c.is_active, answers.c.lease != ""
            )
            last = connection.execute(query.order_by(answers.c.number.desc()).limit(1)).first()
            if last is None:
                return None
            body = {"undone": last.id, "expires": now + self.policy.lease_seconds}
            event, _ = self.log.append(connection, "undo", body, annotator=annotator, task=last.task, id=id, time=now)
            apply(connection, event)
            return self._lease(connection, self._row(connection, last.lease))

    def _before(self, connection: Connection, id: str | None) -> Mapping[str, Any] | None:
        """What was kept under an answer's identity, if it was sent before."""
        if id is None:
            return None
        body = connection.scalar(sa.select(log.c.body).where(log.c.id == id))
        return None if body is None else json.loads(body)

    def _open(self, connection: Connection, lease: str) -> "sa.Row[Any]":
        row = connection.execute(sa.select(leases).where(leases.c.id == lease)).first()
        if row is None:
            raise DanluError("this task was never handed out.", "Fetch the next task.")
        same = sa.and_(answers.c.task == row.task, answers.c.annotator == row.annotator, answers.c.is_active)
        again = sa.select(answers.c.id).where(same, answers.c.is_repeat == row.is_repeat)
        if not row.is_open or connection.execute(again).first() is not None:
            raise DanluError("this task is answered already, or was given back.", "Undo the answer to change it.")
        return row

    def _row(self, connection: Connection, lease: str) -> "sa.Row[Any]":
        return connection.execute(sa.select(leases).where(leases.c.id == lease)).one()

    def _task_of(self, connection: Connection, row: "sa.Row[Any]") -> Task:
        body = connection.scalar(sa.select(tasks.c.body).where(tasks.c.id == row.task))
        assert body is not None
        return _task(body)

    def _answer(
        self, connection: Connection, row: "sa.Row[Any]", kind: str, record: Record, id: str | None, now: float
    ) -> None:
        body = {"lease": row.id, "repeat": bool(row.is_repeat), "kind": kind, "record": to_json(record)}
        event, _ = self.log.append(
            connection, "answer", body, annotator=row.annotator, task=row.task, id=id or new_id(), time=now
        )
        apply(connection, event)


def _task(body: str) -> Task:
    return from_mapping(Task, json.loads(body), "the store")
