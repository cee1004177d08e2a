"""`danlu serve`: the pages and the OpenAI-compatible API, for one model or several."""

import math
import os
import secrets
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import tyro

from danlu.cli.model_folder import model_folder
from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.pipeline.folder import RunFolder


@dataclass(frozen=True)
class Arguments:
    """Chat, annotate, watch runs, and serve an OpenAI-compatible API at /v1. Ctrl-C ends it in an orderly way."""

    models: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Run folders or model folders; the first is the default."""
    host: str = "127.0.0.1"
    """Address to listen at; any but this machine's own needs accounts (danlu users add)."""
    port: int = 8000
    """TCP port; 0 takes a free one."""
    data: Path | None = None
    """Folder for conversations, accounts and feedback; by default $XDG_DATA_HOME/danlu or ~/.local/share/danlu."""
    database: str | None = None
    """Where conversations and accounts are kept instead: a file, or a postgresql:// URL."""
    feedback: str | None = None
    """Where feedback is kept: a file, or a postgresql:// URL; by default in the run that is served (where `danlu run`
    waits for rankings), or beside the conversations."""
    runs: Path | None = None
    """Folder whose runs the dashboard shows; by default the folder of the first run, or ./runs."""
    api_key: str | None = None
    """What clients of /v1 must send; by default $DANLU_API_KEY, or nothing on this machine alone."""
    public_host: tuple[str, ...] = ()
    """Further names under which browsers reach the server, such as a proxy's."""
    cors_origin: tuple[str, ...] = ()
    """Other sites whose pages may call /v1, such as https://example.org."""
    secure_cookies: bool = False
    """Send cookies over HTTPS only: for a server behind a proxy that ends TLS."""
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it."""


def models_first(words: list[str]) -> list[str]:
    """The same words with the models before the flags: `A --port 8001 B` means what `A B --port 8001` does.

    A flag that takes several values keeps all words up to the next flag.
    """
    takes = {f"--{field.name.replace('_', '-')}": field.type for field in fields(Arguments)}
    models: list[str] = []
    others: list[str] = []
    left: float = 0  # words that the flag before may still take
    for word in words:
        if word.startswith("-"):
            kind = takes.get(word.replace("_", "-"), bool)
            left = 0 if kind is bool else math.inf if str(kind).startswith("tuple") else 1
            others.append(word)
        elif left:
            left -= 1
            others.append(word)
        else:
            models.append(word)
    return [*models, *others]


def data_folder(given: Path | None) -> Path:
    """Where the server keeps its things."""
    return given or Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "danlu"


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, models_first(words), "serve")
    # MKL keeps the buffers of its products, each thread its own: 14 MB with a small model, and not faster (NOTES.md).
    os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
    from functools import partial

    from danlu.web.config import ServerConfig
    from danlu.web.serve import bind, serve
    from danlu.web.served import find_models, load_model
    from danlu.web.services import Services

    for origin in arguments.cors_origin:
        if not origin.startswith(("http://", "https://")) or origin.endswith("/"):
            raise DanluError(f"{origin} is no origin.", "Write it as https://example.org, without a path.")
    run = _run(arguments.models)
    key = arguments.api_key or os.environ.get("DANLU_API_KEY")
    config = ServerConfig(
        data=data_folder(arguments.data),
        host=arguments.host,
        port=arguments.port,
        database=arguments.database,
        feedback=arguments.feedback or (None if run is None else str(RunFolder(run).feedback)),
        run=run,
        runs=arguments.runs or (Path("runs") if run is None else run.resolve().parent),
        api_key=key,
        public_hosts=arguments.public_host,
        cors_origins=arguments.cors_origin,
        secure_cookies=arguments.secure_cookies,
    )
    if not config.is_local and config.api_key is None:
        raise DanluError(
            f"--host {config.host} opens /v1 to the network, and no key is asked for.",
            f"Give one: --api-key {secrets.token_urlsafe(24)}, or set DANLU_API_KEY.",
        )
    load = partial(
        load_model,
        device=arguments.device,
        precision=arguments.precision,
        queue_length=config.limits.queue_length,
    )
    models = find_models(arguments.models, partial(model_folder, assistant=True), load)
    listening = bind(config)
    config = replace(config, port=listening.getsockname()[1])
    serve(Services.of(config, models), listening, lambda line: print(line, flush=True))


def _run(models: tuple[Path, ...]) -> Path | None:
    """The first run that is served: its people's feedback is collected, and the dashboard shows those beside it."""
    return next((path for path in models if (path / "recipe.toml").exists()), None)
