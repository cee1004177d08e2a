"""Where several trainings run: here one after the other, in several processes at once, or on a Ray cluster.

Small models keep two cores waiting for each other more than working, so on a processor several of them (a ladder's
rungs, an ensemble's reward models) are quickest with one on each core; and where there are several accelerators, with
one on each.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from danlu.common.errors import DanluError
from danlu.common.files import is_full_disk
from danlu.common.interrupt import Stopped, stop_at_once, stop_between_steps
from danlu.common.progress import Progress
from danlu.common.worker import begin_worker
from danlu.hardware.machine import usable_cores


class Job(Protocol):
    """One model's work. It travels to another process, so everything in it, and what it gives, can be pickled."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def kind(self) -> tuple[str, str]:
        """What such a job is, in words, and what all of them together are."""

    @property
    def legs(self) -> Sequence[tuple[str, float]]:
        """The trainings it makes, in order: what the moving line calls each, and its compute (FLOPs)."""

    def __call__(self, report: Progress) -> Any:
        """Do it, or go on with it: what it gives.

        Raises:
            DanluError: it failed.
            Stopped: somebody asked it to stop, and it saved.
        """


@dataclass(frozen=True)
class Outcome:
    """How a job went: what it gave, or why it gave nothing."""

    result: Any = None
    cause: str = ""
    """What was wrong, in words; empty where nothing was."""
    remedy: str = ""
    full_disk: bool = False
    """Whether it failed because the disk is full: every other would fail too."""
    stopped: int | None = None
    """The signal that it stopped on."""


_GONE = Outcome()
"""Of a worker that ended without a word."""


class Executor(Protocol):
    """Runs jobs and hands out each one's place and outcome as it ends."""

    @property
    def at_once(self) -> int:
        """How many run at the same time on this machine."""

    @property
    def threads(self) -> int | None:
        """Threads of each; None: all that this process has."""

    def __call__(self, jobs: Sequence[Job], report: Progress) -> Iterator[tuple[int, Outcome]]:
        """Run them all. Ended early, it asks those under way to save and waits for them."""


@dataclass(frozen=True)
class Here:
    """One after the other in this process, or in torchrun's processes together."""

    at_once = 1
    threads = None

    def __call__(self, jobs: Sequence[Job], report: Progress) -> Iterator[tuple[int, Outcome]]:
        for place, job in enumerate(jobs):
            report(f"{job.kind[0]} {place + 1} of {len(jobs)}: {job}")
            try:
                yield place, Outcome(job(report))
            except DanluError as error:
                yield place, _failure(error)


@dataclass(frozen=True)
class Processes:
    """Several at once, each in a process of its own."""

    at_once: int
    threads: int
    devices: tuple[str, ...] = ()
    """What CUDA_VISIBLE_DEVICES is in each; empty on a processor."""

    def __call__(self, jobs: Sequence[Job], report: Progress) -> Iterator[tuple[int, Outcome]]:
        # A server that has imported torch once forks every worker: they start at once and share its memory.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(sorted({type(job).__module__ for job in jobs} - {"__main__"}))
        waiting, running = list(enumerate(jobs)), dict[Connection, tuple[int, BaseProcess, str]]()
        board = _Board(report, jobs)
        try:
            while waiting or running:
                while waiting and len(running) < self.at_once:
                    place, job = waiting.pop(0)
                    taken = {device for _, _, device in running.values()}
                    device = next((each for each in self.devices if each not in taken), "")
                    ours, theirs = context.Pipe(duplex=False)
                    process = context.Process(target=_work, args=(job, theirs, self.threads, device))
                    with stop_between_steps() as stop:  # a stop in here would leave a worker that nobody ends
                        process.start()
                        theirs.close()
                        running[ours] = (place, process, device)
                    stop.raise_if_set()
                    report(f"{job.kind[0]} {place + 1} of {len(jobs)}: {job}")
                for pipe in wait(list(running)):
                    assert isinstance(pipe, Connection)
                    place, under_way, _ = running[pipe]
                    outcome = board.read(pipe, place)
                    if outcome is None:
                        continue
                    under_way.join()
                    del running[pipe]
                    yield place, _killed(under_way.exitcode) if outcome is _GONE else outcome
        finally:
            for _, under_way, _ in running.values():
                under_way.terminate()  # asks: a job saves and ends
            for _, under_way, _ in running.values():
                under_way.join()
            report.clear()


@dataclass(frozen=True)
class OnRay:
    """On a Ray cluster, whose machines see the same files: one task a job."""

    threads: int
    """Also the cores that a task asks for."""
    gpus: int
    """Accelerators that a task asks for."""
    at_once = 1

    def __call__(self, jobs: Sequence[Job], report: Progress) -> Iterator[tuple[int, Outcome]]:
        try:
            import ray
        except ImportError as error:
            raise DanluError("the executor 'ray' needs Ray.", "Install it: pip install 'danlu[ray]'.") from error
        if not ray.is_initialized():
            ray.init(log_to_driver=False, configure_logging=False)  # a running cluster by RAY_ADDRESS, else one here
        # A killed task is tried once more and goes on from its last checkpoint.
        task = ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=1)(_outcome)
        places = {task.remote(job, self.threads): place for place, job in enumerate(jobs)}
        report(f"{len(jobs)} trainings on Ray: {ray.cluster_resources().get('CPU', 0):g} cores in the cluster")
        pending = list(places)
        try:
            while pending:
                done, pending = ray.wait(pending, num_returns=1)
                place = places[done[0]]
                try:
                    outcome = ray.get(done[0])
                except ray.exceptions.RayError as error:
                    outcome = Outcome(cause=f"its task failed: {error}".splitlines()[0], remedy="See Ray's logs.")
                report(f"{len(jobs) - len(pending)} of {len(jobs)} have ended: {jobs[place].name}")
                yield place, outcome
        finally:
            for task_under_way in pending:
                ray.cancel(task_under_way)


def spread(jobs: int, device: str, workers: int | None = None) -> Executor:
    """As many processes as the machine has room for, each with its share of the threads or an accelerator.

    Args:
        jobs: how many there are.
        device: torch's name of the device that trains, "cpu" or "cuda:0".
        workers: processes that are asked for; None: one for each core or accelerator.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # torchrun's processes do each job together
        return Here()
    places = usable_cores() if device == "cpu" else _accelerators()
    count = min(jobs, workers or places)
    if device != "cpu":
        count = min(count, places)  # an accelerator trains one at a time
    if count < 2:
        return Here()
    return Processes(count, max(1, usable_cores() // count), () if device == "cpu" else _visible(count))


def _accelerators() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 1


def _visible(count: int) -> tuple[str, ...]:
    """What to name each of `count` accelerators by, among those that this process may see."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = allowed.split(",") if allowed else [str(index) for index in range(count)]
    return tuple(names[:count])


def _failure(error: DanluError) -> Outcome:
    return Outcome(cause=error.cause, remedy=error.remedy, full_disk=is_full_disk(error.__cause__))


def _killed(code: int | None) -> Outcome:
    return Outcome(
        cause=f"its process was killed (exit code {code}).",
        remedy="See whether memory ran out; fewer at once (ladder.workers, reward.seeds) need less.",
    )


def _outcome(job: Job, threads: int, report: Progress | None = None) -> Outcome:
    """Do a job in a process that is there for it alone."""
    import torch

    torch.set_num_threads(threads)
    try:
        with stop_at_once():
            return Outcome(job(report or Progress(silent=True)))
    except DanluError as error:
        return _failure(error)
    except Stopped as stop:
        return Outcome(stopped=stop.signum)


def _work(job: Job, pipe: Connection, threads: int, device: str) -> None:
    """What a worker process does."""
    begin_worker()
    if device:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    outcome = _outcome(job, threads, _Sender(pipe))
    pipe.send(outcome)
    pipe.close()


class _Sender(Progress):
    """A reporter in a worker: what it is told goes to the parent."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__(terminal=False)
        self._pipe = pipe

    def __call__(self, line: str) -> None:
        self._pipe.send(line)

    def show(self, done: float, total: float, label: str = "", note: str = "") -> None:
        self._pipe.send((done / total if total else 0.0, label, note))

    def clear(self) -> None:
        pass


class _Board:
    """What workers say, as one line that moves."""

    def __init__(self, report: Progress, jobs: Sequence[Job]) -> None:
        self._report, self._jobs = report, jobs
        self._total = sum(flops for job in jobs for _, flops in job.legs)
        self._done = dict.fromkeys(range(len(jobs)), 0.0)
        self._notes: dict[int, str] = {}

    def read(self, pipe: Connection, place: int) -> Outcome | None:
        """Take one message: the outcome where it is that, `_GONE` where the worker is gone."""
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            message = _GONE
        legs = self._jobs[place].legs
        if isinstance(message, Outcome):
            self._notes.pop(place, None)
            self._done[place] = sum(flops for _, flops in legs)
            return message
        if isinstance(message, str):
            self._report(f"{self._jobs[place].name}: {message}")
            return None
        share, label, note = message
        names = [name for name, _ in legs]
        if label in names:
            at = names.index(label)
            self._done[place] = sum(flops for _, flops in legs[:at]) + share * legs[at][1]
        self._notes[place] = f"{label}: {note.split(' · ')[0]}"
        self._report.show(
            sum(self._done.values()), self._total, self._jobs[0].kind[1], " · ".join(self._notes.values())
        )
        return None
