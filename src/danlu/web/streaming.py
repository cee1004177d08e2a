"""Server-sent events, and JSON answers that hold any text."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # a proxy (nginx) must not hold pieces back
)


# What ends a line for Python's `splitlines`, and so for clients that read events with httpx's `iter_lines`.
_LINE_ENDS = {ord(each): f"\\u{ord(each):04x}" for each in "\x85\u2028\u2029"}


def event(value: Mapping[str, Any] | str) -> bytes:
    """One event; a string is sent as it is. Whatever character a model says, none ends the line before its end."""
    if isinstance(value, str):
        return f"data: {value}\n\n".encode()
    text = to_json(value)
    return f"data: {text if text.isascii() else text.translate(_LINE_ENDS)}\n\n".encode()


def to_json(value: Any) -> str:
    """JSON on one line; NaN and infinity, which JSON lacks, become null."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: in escapes it can be said
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = to_json(_finite(value))
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


class Json(JSONResponse):
    """A JSON answer."""

    def render(self, content: Any) -> bytes:
        return to_json(content).encode()


class EventStream(Response):
    """A stream of events. When the reader goes, the iterator is closed at once."""

    def __init__(self, events: AsyncIterator[bytes], closing: Callable[[], Awaitable[None]] | None = None) -> None:
        """
        Args:
            closing: is awaited at the end, even of a stream that was never begun.
        """
        self._events, self._closing = events, closing
        self.status_code = 200
        self.background = None
        self.raw_headers = list(_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def pump() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": list(self.raw_headers)})
            async with contextlib.aclosing(self._events) as events:  # type: ignore[type-var]
                async for chunk in events:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        try:
            await until_gone(pump(), receive)
        finally:
            if self._closing is not None:
                await self._closing()


async def until_gone(work: Any, receive: Receive) -> Any:
    """Do some work; stop it when the client goes. Returns its result, or None where it was stopped."""
    working = asyncio.ensure_future(work)

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    watching = asyncio.ensure_future(watch())
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        return None
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
