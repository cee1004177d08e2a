"""From the engine's thread to the server's: a request's events as an asynchronous stream that can be left any time."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from danlu.common.errors import DanluError
from danlu.generation.requests import Drawn, Event, Failed, Request
from danlu.web.served import Loaded, ServedModel

if TYPE_CHECKING:
    from danlu.generation.running import Ticket

Queue: TypeAlias = "asyncio.Queue[tuple[int, Sequence[Event]]]"


class Bridge:
    """Hands events over to the server's thread, all of a step's at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pending: list[tuple[Queue, tuple[int, Sequence[Event]]]] = []

    def post(self, queue: Queue, events: tuple[int, Sequence[Event]]) -> None:
        """Called in the engine's thread."""
        with self._lock:
            self._pending.append((queue, events))
            first = len(self._pending) == 1
        if first:
            with contextlib.suppress(RuntimeError):  # the server is gone already
                self._loop.call_soon_threadsafe(self._flush)

    def call(self, function: Callable[[], None]) -> None:
        """Have something done in the server's thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _flush(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
        for queue, events in pending:
            queue.put_nowait(events)


async def ready(model: ServedModel) -> Loaded:
    """The model, as soon as it is loaded.

    Raises:
        DanluError: it cannot be loaded.
    """
    try:
        return await asyncio.shield(asyncio.wrap_future(model.loaded))
    except DanluError:
        raise
    except Exception as error:
        raise DanluError(
            f"the model {model.name} cannot be loaded: {error}.", "Look at the server's output."
        ) from error


class Stream:
    """Requests under way."""

    def __init__(self, queue: Queue, tickets: "Sequence[Ticket]") -> None:
        self._queue, self._tickets = queue, tickets

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompts that did not have to be read again; known with the last event."""
        return sum(ticket.cached_tokens for ticket in self._tickets)

    async def batches(self) -> AsyncIterator[list[tuple[int, Event]]]:
        """What has come since the last time, with the request's number; a reader that is slow gets more at once."""
        left = sum(ticket.request.n for ticket in self._tickets)
        while left:
            come = [await self._queue.get()]
            while not self._queue.empty():
                come.append(self._queue.get_nowait())
            events = [(number, event) for number, some in come for event in some]
            yield events
            left -= sum(isinstance(event, Drawn) and event.finish is not None for _, event in events)
            if any(isinstance(event, Failed) for _, event in events):
                return


@asynccontextmanager
async def generate(bridge: Bridge, model: ServedModel, requests: Sequence[Request]) -> AsyncIterator[Stream]:
    """Have prompts continued while the block lasts: when it ends, for whatever reason, the rows are free.

    Raises:
        DanluError: the model cannot be loaded or cannot serve a request (`QueueFull` among them).
    """
    loaded = await ready(model)
    queue: Queue = asyncio.Queue()
    tickets: list[Ticket] = []

    def receiver(number: int) -> Callable[[Sequence[Event]], None]:
        return lambda events: bridge.post(queue, (number, events))

    try:
        for number, request in enumerate(requests):
            tickets.append(loaded.engine.submit(request, receiver(number)))
        yield Stream(queue, tickets)
    finally:
        for ticket in tickets:
            ticket.cancel()
