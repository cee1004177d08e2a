"""What the endpoints work with, made once when the server starts."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from danlu.feedback.desk import Desk
from danlu.web.accounts import Accounts
from danlu.web.config import ServerConfig
from danlu.web.conversations import Conversations
from danlu.web.database import Database
from danlu.web.generating import Bridge
from danlu.web.run_prompts import ServedRun
from danlu.web.served import ServedModels
from danlu.web.sessions import Brake, OneTimeToken, Sessions
from danlu.web.v1.counts import Counts


@dataclass
class Services:
    """Everything that is shared between requests."""

    config: ServerConfig
    database: Database
    accounts: Accounts
    sessions: Sessions
    brake: Brake
    token: OneTimeToken
    desk: Desk
    models: ServedModels
    conversations: Conversations
    counts: Counts = field(default_factory=Counts)
    bridge: Bridge = field(init=False)
    """Made when the server starts, in its thread."""
    token_used: Callable[[], None] = lambda: None
    """Called when somebody has signed in by the printed link, which is then good no more."""
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is about to stop: streams without an end of their own end."""

    @classmethod
    def of(cls, config: ServerConfig, models: ServedModels) -> "Services":
        """Open the databases.

        Raises:
            DanluError: one cannot be opened.
        """
        database = Database(config.database_place)
        accounts = Accounts(database)
        limits = config.limits
        return cls(
            config=config,
            database=database,
            accounts=accounts,
            sessions=Sessions(database, accounts, limits.session_seconds),
            brake=Brake(limits.login_failures, limits.login_window_seconds),
            token=OneTimeToken(),
            desk=Desk(config.feedback_place),
            models=models,
            conversations=Conversations(database),
        )

    @property
    def run(self) -> ServedRun | None:
        """The run whose feedback is collected here, if it is one's."""
        path = self.config.run
        return None if path is None else ServedRun(path, self.config.feedback_place)

    def draining_soon(self) -> None:
        """Have streams without an end of their own end; from any thread."""
        self.bridge.call(self.draining.set)

    def close(self) -> None:
        """Stop the engines and close the databases."""
        self.models.close()
        self.desk.close()
        self.database.close()
