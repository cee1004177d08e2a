"""What a person sees while something long runs: lines that stay, and one line that moves with an ETA."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from danlu.common.duration import format_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

_PLAIN_INTERVAL = 15.0
"""Seconds between two moving lines where they cannot move (a log file, a pipe)."""


class Progress:
    """A reporter. Call it with a line and the line stays; call `show` with how far things are and one line moves.

    Any code that wants only lines may take it as a `Callable[[str], None]`. On a terminal the moving line is drawn by
    rich; elsewhere it becomes a plain line every 15 seconds.
    """

    def __init__(
        self, terminal: bool | None = None, clock: Callable[[], float] = time.monotonic, *, silent: bool = False
    ) -> None:
        """
        Args:
            terminal: whether lines can move; None asks standard output.
            clock: seconds, growing; for tests.
            silent: say nothing at all: for all but one of several processes.
        """
        self._silent = silent
        self._terminal = sys.stdout.isatty() if terminal is None else terminal
        self._clock = clock
        self._indent = ""
        self._bar: RichProgress | None = None
        self._console: Console | None = None
        self._label = ""
        self._first: tuple[float, float] | None = None  # (clock, done) when this piece of work was first shown
        self._last_plain = 0.0

    def __call__(self, line: str) -> None:
        """Print a line that stays."""
        if self._silent:
            return
        text = self._indent + line
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, flush=True)

    def show(self, done: float, total: float, label: str = "", note: str = "") -> None:
        """Move the moving line.

        Args:
            done, total: how far, in any unit; `total` may grow.
            label: what runs; a new label starts the clock of the ETA again.
            note: what else is worth seeing now (loss, tokens/s).
        """
        if self._silent:
            return
        now = self._clock()
        if self._first is None or label != self._label or done < self._first[1]:
            self._first, self._label, self._last_plain = (now, done), label, now
        text = self._text(done, total, now, note)
        if self._terminal:
            self._draw(done, total, text)
        elif now - self._last_plain >= _PLAIN_INTERVAL:
            self._last_plain = now
            self(text)

    def _text(self, done: float, total: float, now: float, note: str) -> str:
        assert self._first is not None
        began, offset = self._first
        parts = [f"{self._label} {done / total:.0%}" if total > 0 else self._label]
        if note:
            parts.append(note)
        if done > offset and total > done:
            parts.append(f"{format_seconds((now - began) * (total - done) / (done - offset))} left")
        return " · ".join(parts)

    def _draw(self, done: float, total: float, text: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as RichProgress

            self._console = self._console or Console()
            columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
            self._bar = RichProgress(*columns, console=self._console, transient=True, refresh_per_second=4)
            self._bar.add_task("")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=text)

    def clear(self) -> None:
        """Take the moving line away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._first = None

    @contextmanager
    def indented(self) -> Iterator[None]:
        """Lines in the block stand two columns in; the moving line ends with the block, however it ends."""
        before, self._indent = self._indent, self._indent + "  "
        try:
            yield
        finally:
            self.clear()
            self._indent = before
