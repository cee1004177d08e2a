"""Running the server: the socket, the lines that it prints, connections that stall, and an orderly end."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from danlu.common.errors import DanluError
from danlu.web.app import create_app
from danlu.web.config import ServerConfig
from danlu.web.served import ServedModel, describe
from danlu.web.services import Services

# The engine's thread and the server's share the interpreter; at the usual 5 ms between switches each of a step's many
# calls into torch can wait so long for the other.
_SWITCH_SECONDS = 0.0002
_CONNECTIONS = 65_536
_BACKLOG = 2048


def bind(config: ServerConfig) -> socket.socket:
    """The socket, listening.

    Raises:
        DanluError: the port is taken or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((config.host, config.port))
        server.listen(_BACKLOG)  # at once: whoever opens the printed link waits for the server, and is not refused
    except OSError as error:
        server.close()
        raise DanluError(
            f"cannot listen at {config.host}, port {config.port}: {error.strerror or error}.",
            "Choose another --port (0 takes a free one) or --host.",
        ) from error
    return server


def serve(services: Services, listening: socket.socket, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; answers under way then end first.

    Args:
        say: prints a line.

    Raises:
        DanluError: the server would be open to a network without an account.
    """
    config = services.config
    if not config.is_local and not services.accounts.all():
        raise DanluError(
            f"--host {config.host} opens the server to the network, and there are no accounts.",
            f"Make one first: danlu users add NAME --role admin --data {config.data}",
        )
    sys.setswitchinterval(_SWITCH_SECONDS)
    allow_many_connections()
    app = create_app(services)
    settings = uvicorn.Config(
        app,
        http=header_timeout_protocol(config.limits.header_seconds),
        ws="none",
        lifespan="on",
        access_log=False,  # its lines would hold the tokens of links
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(config.limits.drain_seconds),
        backlog=_BACKLOG,
    )
    server = _Server(settings, services)
    for model in services.models:
        for line in describe(model):
            say(line)
    say(f"conversations in {_shown(config.database_place)}, feedback in {_shown(config.feedback_place)}")
    for line in addresses(services):
        say(line)
    services.token_used = lambda: say(f"for another browser: {_link(services)}")
    services.models.told = lambda model: say(_state(model))
    server.run(sockets=[listening])
    say("stopped.")


def allow_many_connections() -> None:
    """Have this process hold as many open files as the system lets it: each connection is one, and usually 1,024 are
    allowed that could be more."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS if most == resource.RLIM_INFINITY else min(most, _CONNECTIONS)
    with contextlib.suppress(ValueError, OSError):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def addresses(services: Services) -> list[str]:
    """Where the pages and the API are; for this machine alone with the one-time link."""
    config = services.config
    base = base_url(config)
    key = "any key" if config.api_key is None else "the API key"
    first = f"open {_link(services)}" if config.is_local else f"open {base}/ and sign in"
    return [first, f"OpenAI-compatible API: {base}/v1 (with {key}); Ctrl-C stops the server"]


def base_url(config: ServerConfig) -> str:
    """The server's address for a browser."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{config.port}"


def _link(services: Services) -> str:
    return f"{base_url(services.config)}/login?token={services.token.value}"


def _state(model: ServedModel) -> str:
    error = model.loaded.exception()
    return f"model {model.name} is ready" if error is None else f"model {model.name} cannot be loaded: {error}"


def _shown(place: str) -> str:
    """A place without its password."""
    if "://" not in place:
        return place
    import sqlalchemy as sa

    return sa.make_url(place).render_as_string(hide_password=True)


class _Server(uvicorn.Server):
    """Tells endless streams to end before it waits for the others."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.draining_soon()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        # The first signal drains and is a success; uvicorn would raise it again at the end.
        super().handle_exit(sig, frame)
        self._captured_signals.clear()


def header_timeout_protocol(seconds: float) -> type[H11Protocol]:
    """uvicorn's protocol, closing connections that send no whole header in time (seconds)."""

    class Protocol(H11Protocol):
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def handle_events(self) -> None:
            super().handle_events()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Start the clock where a header is awaited, and stop it where one has come."""
            if self.conn.their_state is not h11.IDLE:
                self._unwatch()
            elif self._waiting is None:
                self._waiting = self.loop.call_later(seconds, self.transport.close)

        def _unwatch(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

    return Protocol
