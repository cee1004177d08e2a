"""A real server on the loopback with tiny random models: one that was taught to chat, one that was not."""

import os
import socket
import threading
import time
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

    def sign_in(self) -> httpx.Client:
        """A browser that opened the printed link."""
        client = httpx.Client(base_url=self.url, timeout=60)
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
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)

    def stop() -> None:
        services.draining_soon()
        server.should_exit = True
        thread.join(30)

    return Served(services, f"http://127.0.0.1:{config.port}"), stop


def models_of(*folders: Path) -> ServedModels:
    """Models in fp32, so that figures can be compared closely."""
    return find_models(folders, lambda path: path, partial(load_model, device="cpu", precision="fp32"))


def serve_models(data: Path, *folders: Path, **more: Any) -> tuple[Served, Any]:
    """A server of some models with limits that suit tests."""
    limits = Limits(body_bytes=1 << 20, header_seconds=2, body_seconds=5)
    return start(ServerConfig(data=data, port=0, runs=data / "runs", limits=limits, **more), models_of(*folders))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, chat_folder: Path, base_folder: Path) -> Iterator[Served]:
    found, stop = serve_models(tmp_path_factory.mktemp("data"), chat_folder, base_folder)
    yield found
    stop()


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[httpx.Client]:
    client = served.sign_in()
    yield client
    client.close()
