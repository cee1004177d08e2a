"""How the server is set up."""

from dataclasses import dataclass, field
from pathlib import Path

from danlu.common.errors import DanluError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Limits:
    """What a request may take of the server."""

    body_bytes: int = 8 << 20
    """Longest body of a request (bytes)."""
    header_seconds: float = 20.0
    """A connection that has not sent a whole header by then is closed (seconds)."""
    body_seconds: float = 30.0
    """A body that has not arrived whole by then is refused (seconds)."""
    drain_seconds: float = 30.0
    """After SIGTERM, answers under way have so long to end (seconds)."""
    session_seconds: float = 14 * 86400.0
    """How long a sign-in lasts (seconds)."""
    invite_seconds: float = 7 * 86400.0
    """How long an invitation is good for (seconds)."""
    login_failures: int = 5
    """Failed sign-ins for a name or an address, after which it must wait."""
    login_window_seconds: float = 300.0
    """For how long failures count (seconds)."""
    queue_length: int = 1024
    """Most generations that wait or run at a time for a model; more are told to come again."""


@dataclass(frozen=True)
class ServerConfig:
    """How the server is set up."""

    data: Path
    """Folder of what the server keeps: conversations, accounts, feedback."""
    host: str = "127.0.0.1"
    """Address to listen at; any but this machine's own needs accounts (`danlu users add`)."""
    port: int = 8000
    """TCP port; 0 takes a free one."""
    database: str | None = None
    """Where conversations and accounts are kept: a file, or a postgresql:// URL; by default DATA/web.db."""
    feedback: str | None = None
    """Where feedback is kept: a file, or a postgresql:// URL; by default DATA/feedback.db."""
    run: Path | None = None
    """The run whose feedback is collected: its prompts can be demonstrated."""
    runs: Path | None = None
    """Folder whose runs the dashboard shows."""
    api_key: str | None = None
    """What clients of /v1 must send as their key; None: nothing is asked."""
    public_hosts: tuple[str, ...] = ()
    """Further names under which browsers reach the server, such as a proxy's."""
    cors_origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may call /v1."""
    secure_cookies: bool = False
    """Cookies go over HTTPS only: for a server behind a proxy that ends TLS."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise DanluError(f"there is no port {self.port}.", "Give one from 0 to 65535.")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK

    @property
    def database_place(self) -> str:
        """Where conversations and accounts are kept."""
        return self.database or str(self.data / "web.db")

    @property
    def feedback_place(self) -> str:
        """Where feedback is kept."""
        return self.feedback or str(self.data / "feedback.db")
