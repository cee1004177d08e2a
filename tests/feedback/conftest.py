import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from danlu.feedback.records import Ranking, prompt_of
from danlu.feedback.tasks import Task

POSTGRES = "DANLU_POSTGRES"
"""Names an empty PostgreSQL database by its URL, for tests that then run on it too."""


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a store can be: a file, and a schema of its own in a PostgreSQL database."""
    if request.param == "sqlite":
        yield str(tmp_path / "feedback.db")
        return
    url = os.environ.get(POSTGRES)
    if not url:
        pytest.skip(f"{POSTGRES} names no PostgreSQL database")
    schema = f"test_{uuid.uuid4().hex}"
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def task() -> Callable[..., Task]:
    """Makes a ranking task of three completions."""

    def make(number: int = 0, **values: object) -> Task:
        defaults: dict[str, object] = {
            "kind": "rank",
            "prompt": prompt_of(f"Question {number}?"),
            "completions": (f"a{number}", f"b{number}", f"c{number}"),
            "completion_sources": ("model-1", "model-2", "person"),
        }
        return Task(**(defaults | values))  # type: ignore[arg-type]

    return make


@pytest.fixture
def ranking() -> Callable[..., Ranking]:
    """Makes a ranking of three completions."""

    def make(number: int = 0, ranks: tuple[int, ...] = (0, 1, 2), **values: object) -> Ranking:
        completions = tuple(f"{chr(97 + i)}{number}" for i in range(len(ranks)))
        return Ranking(prompt_of(f"Question {number}?"), completions, ranks, **values)  # type: ignore[arg-type]

    return make
