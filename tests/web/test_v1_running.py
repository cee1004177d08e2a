"""A server at work: clients that leave, many at once, slow ones, keys, and an orderly end."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.steering import hold, hold_reading
from tests.waiting import PATIENCE, get, post, until

from danlu.web.config import ServerConfig
from danlu.web.serve import allow_many_connections

from .conftest import LIMITS, Served, models_of, start

LONG = {"model": "base", "prompt": "The", "max_tokens": 400, "ignore_eos": True, "temperature": 0}


@pytest.mark.parametrize("stream", [False, True])
def test_19_a_client_that_leaves_frees_its_slot(served: Served, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """It is noticed while the engine has nothing new to say, and not by a piece that cannot be sent."""
    engine = served.engine("base")
    hold(engine, monkeypatch, 3)
    before = engine.stats.cancelled
    body = json.dumps({**LONG, "stream": stream}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", served.services.config.port), timeout=PATIENCE) as raw:
        raw.sendall(head + body)
        until(lambda: engine.stats.rows == 1)
        left = engine.stats.steps
    until(lambda: engine.stats.cancelled > before)
    until(lambda: (engine.stats.rows, engine.stats.waiting) == (0, 0))
    assert engine.stats.steps - left < 6  # of 400: those up to where it was held, and one more


def test_19_during_the_reading_of_its_prompt(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = served.engine("base")
    hold_reading(engine, monkeypatch, 3)
    before = engine.stats.cancelled
    prompts = [[number % 300] * 500 for number in range(20)]
    body = json.dumps({**LONG, "prompt": prompts, "max_tokens": 5}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", served.services.config.port), timeout=PATIENCE) as raw:
        raw.sendall(head + body)
        until(lambda: engine.stats.reading > 2)
    until(lambda: engine.stats.cancelled > before)
    until(lambda: (engine.stats.rows, engine.stats.reading, engine.stats.waiting) == (0, 0, 0))
    assert engine.stats.cancelled - before == 20


def test_20_streams_at_once_do_not_interleave(served: Served) -> None:
    async def one(client: httpx.AsyncClient, number: int) -> str:
        body = {**LONG, "prompt": f"The {'gold ' * number}", "max_tokens": 60, "stream": True}
        text = ""
        async with client.stream("POST", f"{served.url}/v1/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    text += json.loads(line[6:])["choices"][0]["text"]
        return text

    async def together() -> list[str]:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            return await asyncio.gather(*(one(client, number) for number in range(8)))

    async def apart() -> list[str]:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            return [await one(client, number) for number in range(8)]

    assert asyncio.run(together()) == asyncio.run(apart())


def test_a_slow_reader_and_half_open_connections_hold_nobody_up(served: Served) -> None:
    address = ("127.0.0.1", served.services.config.port)
    allow_many_connections()
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(socket.create_connection(address, timeout=PATIENCE))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        body = json.dumps({**LONG, "stream": True, "n": 8}).encode()
        slow.sendall(
            f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        slow.sendall(body)
        half = [stack.enter_context(socket.create_connection(address, timeout=PATIENCE)) for _ in range(1000)]
        for raw in half[:500]:
            raw.sendall(b"GET / HTTP/1.1\r\nHost:")
        answer = post(f"{served.url}/v1/completions", json={**LONG, "max_tokens": 5})
        assert answer.json()["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_a_connection_that_never_sends_a_header_is_closed(impatient: Served, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", impatient.services.config.port), timeout=PATIENCE) as raw:
        raw.sendall(sent)
        assert raw.recv(100) == b""


def test_18_with_a_key(tmp_path: Path, base_folder: Path) -> None:
    config = ServerConfig(
        data=tmp_path, port=0, api_key="s3cret", cors_origins=("https://good.example",), limits=LIMITS
    )
    served, stop = start(config, models_of(base_folder))
    try:
        for headers in (
            {},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "s3cret"},
        ):
            answer = get(f"{served.url}/v1/models", headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        right = {"Authorization": "Bearer s3cret"}
        assert get(f"{served.url}/v1/models", headers=right).status_code == 200
        good = get(f"{served.url}/v1/models", headers={**right, "Origin": "https://good.example"})
        assert good.headers["access-control-allow-origin"] == "https://good.example"
        preflight = httpx.options(
            f"{served.url}/v1/chat/completions", headers={"Origin": "https://good.example"}, timeout=PATIENCE
        )
        assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (
            204,
            "Authorization, Content-Type",
        )
        evil = post(f"{served.url}/v1/completions", headers={**right, "Origin": "https://evil.example"}, json=LONG)
        assert evil.status_code == 403
        assert "access-control-allow-origin" not in evil.headers
    finally:
        stop()


@pytest.fixture
def process(tmp_path: Path, base_folder: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [
        sys.executable,
        "-m",
        "danlu.cli.main",
        "serve",
        str(base_folder),
        "--port",
        "0",
        "--data",
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as made:
        yield made
        made.kill()


@pytest.mark.slow
def test_25_and_26_the_program(process: "subprocess.Popen[str]") -> None:
    """It says what it serves and how it samples, answers while the model loads, and lets answers end after SIGTERM."""
    assert process.stdout is not None
    lines: list[str] = []
    while not (lines and "OpenAI-compatible" in lines[-1]):
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    said = "".join(lines)
    assert "temperature 0.8 (generation_config.json)" in said
    assert "min_p 0 (danlu)" in said
    assert "model base" in said
    found = re.search(r"http://127\.0\.0\.1:\d+", said)
    assert found is not None
    url = found[0]
    assert get(f"{url}/health").status_code in (200, 503)
    assert get(f"{url}/v1/models").json()["data"][0]["id"] == "base"
    body = {**LONG, "n": 12, "stream": True}
    with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=PATIENCE) as answer:
        lines_of_answer = answer.iter_lines()
        next(lines_of_answer)
        process.send_signal(signal.SIGTERM)
        rest = [line for line in lines_of_answer if line]
    assert rest[-1] == "data: [DONE]"
    ends = [json.loads(line[6:])["choices"][0]["finish_reason"] for line in rest[:-1]]
    assert ends.count("length") == 12
    assert process.wait(PATIENCE) == 0
    with pytest.raises(httpx.ConnectError):
        get(f"{url}/health")
    assert "ready" in process.stdout.read()
