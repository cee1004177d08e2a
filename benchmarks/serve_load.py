"""How a served model bears load on the loopback: many streaming clients, slow readers, half-open connections.

    python benchmarks/serve_load.py [MODEL] [--clients 200] [--seconds 60] [--tokens 64] [--rival COMMAND]...

Without MODEL, one with 12 million random parameters is made. COMMAND starts another server, with {model} and {port} in
it: "transformers serve {model} --port {port} --device cpu --dtype float32 --continuous-batching". With one rival it
takes five minutes.

Clients and server share the machine. Each client asks for its own text over and over, sampled with its own seed: any
answer that differs from its first one is counted as mixed up. Answers under way when the time is over are cut, and what
came of them counts. Memory is that of the server process. The last line is all figures as JSON.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Tally:
    """What one client saw."""

    tokens: int = 0
    answers: int = 0
    errors: int = 0
    mixed_up: int = 0
    cut: int = 0
    """Answers under way when the time was over."""
    waits: list[float] = field(default_factory=list)
    """Times to the first token (seconds)."""
    reference: str | None = None


@dataclass(frozen=True)
class Target:
    """A server and how it is asked."""

    port: int
    path: str
    body: dict[str, Any]

    def request(self, number: int) -> bytes:
        """The bytes of a client's request."""
        text = f"Client {number} says: the furnace is hot and"
        asked = dict(self.body, seed=number)
        if "chat" in self.path:
            asked["messages"] = [{"role": "user", "content": text}]
        else:
            asked["prompt"] = text
        data = json.dumps(asked).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data


async def ask(target: Target, number: int, tally: Tally, pause: float = 0.0) -> None:
    """One streamed answer."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    texts: list[str] = []
    finished, tokens = False, 0
    try:
        writer.write(target.request(number))
        status = await reader.readline()
        async for line in reader:
            if not line.startswith(b"data: {"):
                finished = finished or line.startswith(b"data: [DONE]")
                continue
            event = json.loads(line[6:])
            if "error" in event:
                break
            if event.get("usage"):
                tokens = event["usage"]["completion_tokens"]
            for choice in event.get("choices", ()):
                finished = finished or choice.get("finish_reason") is not None
                text = choice.get("text") or choice.get("delta", {}).get("content") or ""
                if not text and not choice.get("finish_reason"):
                    continue  # a chat begins with the role alone, before there is a token
                if not texts:
                    tally.waits.append(time.perf_counter() - began)
                texts.append(text)
            if pause:
                await asyncio.sleep(pause)
    except asyncio.CancelledError:
        tally.cut += 1
        tally.tokens += len(texts)
        raise
    finally:
        writer.close()
    if b" 200 " not in status or not finished:
        tally.errors += 1
        return
    tally.answers += 1
    tally.tokens += tokens or len(texts)
    whole = "".join(texts)
    if tally.reference is None:
        tally.reference = whole
    tally.mixed_up += whole != tally.reference


async def load(target: Target, clients: int, seconds: float) -> tuple[list[Tally], float]:
    """Have clients ask for a while; what they saw, and how long it took."""
    began = time.perf_counter()
    tallies = [Tally() for _ in range(clients)]

    async def one(number: int) -> None:
        while True:
            try:
                await ask(target, number, tallies[number])
            except (OSError, ValueError):
                tallies[number].errors += 1
                await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(one(number)) for number in range(clients)]
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return tallies, took


def figures(tallies: list[Tally], seconds: float) -> dict[str, Any]:
    """Tokens a second, waits, fairness (Jain et al. 1984: 1 where all got the same)."""
    tokens = [tally.tokens for tally in tallies]
    waits = sorted(wait for tally in tallies for wait in tally.waits)
    squares = sum(number * number for number in tokens)
    return {
        "clients": len(tallies),
        "seconds": round(seconds, 2),
        "answers": sum(tally.answers for tally in tallies),
        "cut": sum(tally.cut for tally in tallies),
        "errors": sum(tally.errors for tally in tallies),
        "mixed_up": sum(tally.mixed_up for tally in tallies),
        "tokens_per_second": round(sum(tokens) / seconds, 1),
        "first_token_median": round(statistics.median(waits), 4) if waits else None,
        "first_token_p99": round(waits[min(len(waits) - 1, int(0.99 * len(waits)))], 4) if waits else None,
        "tokens_least_and_most": [min(tokens), max(tokens)],
        "fairness": round(sum(tokens) ** 2 / (len(tokens) * squares), 4) if squares else None,
    }


async def disturbed(target: Target, seconds: float, half_open: int, slow: int) -> dict[str, Any]:
    """One client beside connections that never say what they want, and readers that hardly read."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(half_open):
            _, writer = await asyncio.open_connection("127.0.0.1", target.port)
            stack.callback(writer.close)
            if number % 2:
                writer.write(b"GET / HTTP/1.1\r\nHost:")
        readers = [asyncio.create_task(ask(target, 10_000 + number, Tally(), 1.0)) for number in range(slow)]
        tallies, took = await load(target, 1, seconds)
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        return figures(tallies, took)


@contextmanager
def danlu(model: str, data: str) -> Iterator[tuple["subprocess.Popen[str]", int, float]]:
    """Our server as a process; its port, and how long it took until a page came."""
    command = [sys.executable, "-m", "danlu.cli.main", "serve", model, "--port", "0", "--data", data]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                found = re.search(r"http://127\.0\.0\.1:(\d+)/v1", line)
                if found:
                    break
            else:
                raise SystemExit("danlu serve did not start.")
            with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/login") as answer:
                answer.read()
            answering = time.perf_counter() - began
            wait_for(int(found[1]))
            yield process, int(found[1]), answering
        finally:
            process.terminate()


def wait_for(port: int, path: str = "/health", seconds: float = 300) -> None:
    """Wait until a server says that it is ready."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"nothing answers at port {port}.")


def memory_mb(pid: int) -> dict[str, int]:
    """Memory of a process: resident, with shared pages divided among those who share them (proportional), and what
    is its own alone and cannot be read from a file again (anonymous)."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        sizes = {line.split()[0]: int(line.split()[1]) for line in file if line.endswith("kB\n")}
    names = {"resident": "Rss:", "proportional": "Pss:", "anonymous": "Anonymous:"}
    return {name: round(sizes[key] / 1024) for name, key in names.items()}


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model folder or run that chats; left out: one of 12M is made")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--half-open", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=10)
    parser.add_argument("--rival", action="append", default=[], help="a command of another server: {model}, {port}")
    parser.add_argument("--rival-model", help="what the rival calls the model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if options.model is None:
            options.model = f"{made}/random-12m"
            # In a process of its own: this one is to hold no model and no threads of its library.
            making = multiprocessing.get_context("spawn").Process(target=make_model, args=(options.model,))
            making.start()
            making.join()
        found = measure(options)
    for line in summary(found):
        print(line)
    print(json.dumps(found))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    found: dict[str, Any] = {}
    body = {"max_tokens": options.tokens, "temperature": 1.0, "stream": True}
    body["stream_options"] = {"include_usage": True}
    with tempfile.TemporaryDirectory() as data, danlu(options.model, data) as (process, port, answering):
        found["answers_after_seconds"] = round(answering, 2)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models") as answer:
            name = json.load(answer)["data"][0]["id"]
        found["memory_mb_loaded"], used = memory_mb(process.pid), cpu_seconds(process.pid)
        tell("idle for 10 s")
        time.sleep(10)
        found["idle_cpu_percent"] = round(100 * (cpu_seconds(process.pid) - used) / 10, 2)
        target = Target(port, "/v1/completions", {**body, "model": name, "ignore_eos": True})
        tell(f"one client, then {options.clients}, then one beside {options.half_open} half-open connections")
        asyncio.run(load(target, 1, 1))  # warm
        found["one"] = figures(*asyncio.run(load(target, 1, options.seconds / 4)))
        used = cpu_seconds(process.pid)
        found["many"] = figures(*asyncio.run(load(target, options.clients, options.seconds)))
        found["many_cpu_seconds"] = round(cpu_seconds(process.pid) - used, 1)
        found["ratio"] = round(found["many"]["tokens_per_second"] / found["one"]["tokens_per_second"], 2)
        found["one_disturbed"] = asyncio.run(disturbed(target, options.seconds / 4, options.half_open, options.slow))
        found["memory_mb_after"] = memory_mb(process.pid)
        chat = Target(port, "/v1/chat/completions", {**body, "model": name})
        if options.rival:
            tell("the same with /v1/chat/completions")
            found["one_chat"] = figures(*asyncio.run(load(chat, 1, options.seconds / 4)))
            found["many_chat"] = figures(*asyncio.run(load(chat, options.clients, options.seconds)))
    for command in options.rival:
        tell(command)
        found[command] = there = rival(command, options, body)
        many = there["many"]["tokens_per_second"]
        there["ours_to_theirs"] = round(found["many_chat"]["tokens_per_second"] / many, 2) if many else None
    return found


def tell(what: str) -> None:
    """Say what is being measured now."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def summary(found: dict[str, Any]) -> Iterator[str]:
    """The figures in words."""

    def one(what: str, got: dict[str, Any]) -> str:
        least, most = got["tokens_least_and_most"]
        each = f"; {least} to {most} tokens each, fairness {got['fairness']}" if got["clients"] > 1 else ""
        waits = f"first token after {got['first_token_median']} s (median), {got['first_token_p99']} s (p99)"
        wrong = f"{got['errors']} errors, {got['mixed_up']} mixed up"
        return f"{what}, clients {got['clients']}: {got['tokens_per_second']} tokens/s in all; {waits}{each}; {wrong}"

    yield f"a page after {found['answers_after_seconds']} s; idle at {found['idle_cpu_percent']}% of a core"
    yield f"memory when loaded, MB: {found['memory_mb_loaded']}; after the load: {found['memory_mb_after']}"
    yield one("alone", found["one"])
    yield one("completions", found["many"])
    yield f"all together get {found['ratio']} times what one gets"
    yield one("alone beside half-open connections and slow readers", found["one_disturbed"])
    for command, there in found.items():
        if isinstance(there, dict) and "ours_to_theirs" in there:
            yield one("chat", found["many_chat"])
            yield one(command, there["many"])
            if there["ours_to_theirs"] is not None:
                yield f"danlu gives {there['ours_to_theirs']} times as many tokens"


def make_model(folder: str) -> None:
    """A chat model of 11.7 million random parameters, with a tokenizer trained on Python's own library."""
    import torch

    from danlu.model.config import ModelConfig
    from danlu.model.huggingface import save_pretrained
    from danlu.model.transformer import Transformer
    from danlu.tokens.tokenizer import save_tokenizer, train_tokenizer

    sources = sorted(Path(os.__file__).parent.glob("*.py"))[:120]
    tokenizer = Path(folder).with_name("tokenizer")
    tokenizer.mkdir()
    save_tokenizer(train_tokenizer([path.read_text("utf-8", "replace") for path in sources], 8192), tokenizer)
    shape = ModelConfig(
        vocab_size=8192,
        hidden_size=320,
        intermediate_size=864,
        num_hidden_layers=8,
        num_attention_heads=10,
        num_key_value_heads=5,
        head_dim=32,
        max_position_embeddings=1024,
    )
    model, chance = Transformer(shape, torch.float32), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name else 0.0
            parameter.copy_(centre + 0.06 * torch.randn(parameter.shape, generator=chance))
    save_pretrained(shape, model.state_dict(), tokenizer, Path(folder), torch.float32, chat=True)


def rival(rival_command: str, options: argparse.Namespace, body: dict[str, Any]) -> dict[str, Any]:
    """The same load on another server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = shlex.split(rival_command.format(port=port, model=options.model))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port, "/v1/models")
            model = options.rival_model or options.model
            target = Target(port, "/v1/chat/completions", {**body, "model": model})
            for _ in range(2):  # warm: it may load the model now
                asyncio.run(asyncio.wait_for(ask(target, 0, Tally()), 300))
            one = figures(*asyncio.run(load(target, 1, options.seconds / 4)))
            return {"one": one, "many": figures(*asyncio.run(load(target, options.clients, options.seconds)))}
        finally:
            process.kill()


if __name__ == "__main__":
    main()
