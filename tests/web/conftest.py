"""A real server on the loopback with tiny random models: one that was taught to chat, one that was not."""

import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import torch
import uvicorn
from tests.waiting import PATIENCE, until

from danlu.generation.engine import Engine
from danlu.model.config import ModelConfig
from danlu.model.huggingface import save_pretrained
from danlu.model.transformer import Transformer
from danlu.tokens.tokenizer import save_tokenizer, train_tokenizer
from danlu.web.app import create_app
from danlu.web.config import Limits, ServerConfig
from danlu.web.serve import bind, header_timeout_protocol
from danlu.web.served import ServedModels, find_models, load_model
from danlu.web.services import Services

TEXTS = ["The furnace is hot and the gold is cold.", "炉火正红，丹未成。🙂", "one two three four five six"]


def make_model(folder: Path, *, chat: bool) -> Path:
    """A model folder, every tensor random, whose logits are neither flat nor a single peak."""
    tokens = folder.with_name(f"{folder.name}-tokenizer")
    tokens.mkdir(parents=True)
    save_tokenizer(train_tokenizer(TEXTS * 4, 320), tokens)
    shape = ModelConfig(
        vocab_size=328,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
    )
    model = Transformer(shape, torch.float32)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name else 0.0
            parameter.copy_(centre + 0.15 * torch.randn(parameter.shape, generator=generator))
    save_pretrained(shape, model.state_dict(), tokens, folder, torch.float32, chat=chat)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Hashes that cost a thirtieth, for many are made here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("danlu.web.passwords._COST", 2**10)
        yield


@pytest.fixture(scope="session")
def chat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", chat=True)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "base", chat=False)


LIMITS = Limits(header_seconds=PATIENCE, body_seconds=PATIENCE)
"""A client that has no core for seconds is not refused; what too slow a one is told has tests of its own."""

POSTGRES = "DANLU_POSTGRES"
"""Names an empty PostgreSQL database by its URL, for tests that then run on it too."""


DATABASES = ("sqlite", "postgresql")


@contextmanager
def database(kind: str) -> Iterator[dict[str, Any]]:
    """Where a server's tables go: files, or a schema of its own in PostgreSQL (skips where there is none)."""
    if kind == "sqlite":
        yield {}
        return
    url = os.environ.get(POSTGRES)
    if not url:
        pytest.skip(f"{POSTGRES} names no PostgreSQL database")
    schema = f"test_{uuid.uuid4().hex}"
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    place = f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"
    yield {"database": place, "feedback": place}
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@dataclass
class Served:
    """A running server."""

    services: Services
    url: str
    said: list[str] = field(default_factory=list)

    def engine(self, name: str) -> Engine:
        """A model's engine, as soon as it is loaded."""
        model = self.services.models.get(name)
        assert model is not None
        return model.loaded.result().engine

    def sign_in(self) -> httpx.Client:
        """A browser that opened the printed link."""
        client = httpx.Client(base_url=self.url, timeout=PATIENCE)
        answer = client.get("/login", params={"token": self.services.token.value})
        assert answer.status_code == 303, answer.text
        return self.with_csrf(client)

    def with_csrf(self, client: httpx.Client) -> httpx.Client:
        """A browser that sends what our own pages send."""
        client.headers.update({"Origin": self.url, "X-CSRF-Token": client.get("/api/session").json()["csrf"]})
        return client


def start(config: ServerConfig, models: ServedModels) -> tuple[Served, Any]:
    """Start a server in a thread; returns it and what stops it."""
    listening: socket.socket = bind(config)
    config = replace(config, port=listening.getsockname()[1])
    services = Services.of(config, models)
    settings = uvicorn.Config(
        create_app(services),
        http=header_timeout_protocol(config.limits.header_seconds),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        # A connection that is kept open is not closed in the moment in which a client uses it again.
        timeout_keep_alive=round(PATIENCE),
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    assert server.started

    def stop() -> None:
        services.draining_soon()
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()

    return Served(services, f"http://127.0.0.1:{config.port}"), stop


def models_of(*folders: Path) -> ServedModels:
    """Models in fp32, so that figures can be compared closely."""
    return find_models(folders, lambda path: path, partial(load_model, device="cpu", precision="fp32"))


def serve_models(data: Path, *folders: Path, **more: Any) -> tuple[Served, Any]:
    """A server of some models with limits that suit tests."""
    limits = replace(LIMITS, body_bytes=1 << 20)
    return start(ServerConfig(data=data, port=0, runs=data / "runs", limits=limits, **more), models_of(*folders))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, chat_folder: Path, base_folder: Path) -> Iterator[Served]:
    found, stop = serve_models(tmp_path_factory.mktemp("data"), chat_folder, base_folder)
    yield found
    stop()


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Served]:
    """A server without models that waits half a second for a header and for a body."""
    limits = Limits(header_seconds=0.5, body_seconds=0.5)
    found, stop = start(ServerConfig(data=tmp_path, port=0, limits=limits), ServedModels([]))
    yield found
    stop()


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[httpx.Client]:
    client = served.sign_in()
    yield client
    client.close()
