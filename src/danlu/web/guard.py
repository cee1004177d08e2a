"""What holds for every request and answer: known host names, security headers, bodies of bounded size, strict JSON."""

import asyncio
import json
import logging
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from danlu.common.errors import DanluError
from danlu.web.config import LOOPBACK, ServerConfig

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
log = logging.getLogger("danlu.web")


class Refused(Exception):
    """A request that is not served, with its status.

    Args:
        status: of HTTP.
        cause: what was wrong.
        remedy: what to do.
    """

    def __init__(self, status: int, cause: str, remedy: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(cause)
        self.status, self.cause, self.remedy, self.headers = status, cause, remedy, headers


class Guard:
    """ASGI middleware: refuses unknown host names (DNS rebinding), and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self._app = app
        local = (*LOOPBACK, "[::1]") if config.is_local else (config.host, f"[{config.host}]")
        self._hosts = {name.lower() for name in (*local, *config.public_hosts)}
        # A server for a whole network is reached under names that it cannot know; accounts protect it.
        self._any_host = config.host in ("0.0.0.0", "::") and not config.public_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if not self._any_host and hostname(host) not in self._hosts:
            await _plain(guarded, 421, f"This server is not called {hostname(host)!r}; start it with --public-host.")
            return
        await self._app(scope, receive, guarded)


def hostname(host: str) -> str:
    """The name in a Host header, without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def same_origin(request: Request) -> bool:
    """Whether a browser sent this from one of our own pages."""
    origin = request.headers.get("origin", "")
    own = request.headers.get("host", "")
    site = request.headers.get("sec-fetch-site", "same-origin")
    return site == "same-origin" and bool(own) and origin in (f"http://{own}", f"https://{own}")


async def _plain(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(request: Request, config: ServerConfig) -> bytes:
    """The whole body.

    Raises:
        Refused: it is too long or does not arrive.
    """
    most = config.limits.body_bytes
    declared = request.headers.get("content-length", "0")
    too_long = Refused(413, f"the body is longer than {most:,} bytes.", "Send less.", {"Connection": "close"})
    if declared.isdigit() and int(declared) > most:
        raise too_long
    parts, size = [], 0
    try:
        async with asyncio.timeout(config.limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_long
                parts.append(part)
    except TimeoutError as error:
        raise Refused(408, "the body did not arrive in time.", "Send it again.", {"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise Refused(400, "the connection was closed.", "Send it again.") from error
    return b"".join(parts)


def parse_json(data: bytes) -> dict[str, Any]:
    """A JSON object, strictly (no NaN, no bombs of nesting or digits).

    Raises:
        DanluError: it is none.
    """
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise DanluError("the body is not UTF-8.", "Send JSON in UTF-8.") from error
    except RecursionError as error:
        raise DanluError("the body is nested too deeply.", "Send a flatter object.") from error
    except ValueError as error:
        raise DanluError(f"the body is not valid JSON: {error}.", "Send a JSON object.") from error
    if "\\ud" in data.decode("utf-8").lower():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise DanluError("the body holds half a surrogate pair.", "Send proper Unicode.") from error
    if not isinstance(value, dict):
        raise DanluError("the body is not a JSON object.", "Send an object, in braces.")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
