"""Stopping on request: SIGINT and SIGTERM as one exception, at once or at the end of the step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Somebody asked this process to stop (Ctrl-C, or a scheduler's SIGTERM).

    Not an `Exception`, so that nothing that handles errors swallows it. What was finished is on the disk.
    """

    def __init__(self, signum: int = signal.SIGINT) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """The shell's convention, 128 + signal: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signum


class StopRequest:
    """Whether a stop was asked for; a loop looks at it between two steps."""

    signum: int | None = None

    def __bool__(self) -> bool:
        return self.signum is not None

    def raise_if_set(self) -> None:
        """Raise `Stopped` when a stop was asked for: call it after saving."""
        if self.signum is not None:
            raise Stopped(self.signum)


@contextmanager
def stop_at_once() -> Iterator[None]:
    """Inside the block SIGINT and SIGTERM raise `Stopped` wherever the program is."""

    def handler(signum: int, frame: FrameType | None) -> None:
        raise Stopped(signum)

    with _handlers(handler):
        yield


@contextmanager
def stop_between_steps() -> Iterator[StopRequest]:
    """Inside the block the first SIGINT or SIGTERM is only noted; a second one raises `Stopped` at once."""
    request = StopRequest()

    def handler(signum: int, frame: FrameType | None) -> None:
        if request:
            raise Stopped(signum)
        request.signum = signum

    with _handlers(handler):
        yield request


@contextmanager
def _handlers(handler: "signal._HANDLER") -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread alone
        yield
        return
    before = [(number, signal.signal(number, handler)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)
