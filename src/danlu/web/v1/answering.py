"""The generating endpoints: from a request to the engine, and from its events to one answer or a stream."""

import secrets
import time as clock
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from danlu import __version__
from danlu.common.errors import DanluError
from danlu.generation.requests import Drawn, Event, Failed, PromptScores, TokenLogprob
from danlu.generation.requests import Request as EngineRequest
from danlu.web.asking import chat_tokens, request_of, text_tokens
from danlu.web.generating import Stream, generate, ready
from danlu.web.served import Loaded, ServedModel
from danlu.web.services import Services
from danlu.web.streaming import EventStream, Json, event, until_gone
from danlu.web.v1.asked import Asked, ChatAsked, CompletionAsked
from danlu.web.v1.errors import ApiError, wrong
from danlu.web.v1.shapes import Choice, TokenNames, usage


@dataclass
class _Answering:
    """An answer that is being made."""

    asked: Asked
    model: ServedModel
    names: TokenNames
    prompts: Sequence[Sequence[int]]
    texts: Sequence[str]
    """Of the prompts, where they are echoed."""
    stream: Stream
    services: Services

    def __post_init__(self) -> None:
        self.is_chat = isinstance(self.asked, ChatAsked)
        self.id = f"{'chatcmpl' if self.is_chat else 'cmpl'}-{secrets.token_hex(12)}"
        self.created = int(clock.time())
        self.began = clock.monotonic()
        self.new_tokens = 0

    @property
    def echo(self) -> bool:
        return isinstance(self.asked, CompletionAsked) and self.asked.echo

    def envelope(self, choices: list[dict[str, Any]], *, chunk: bool) -> dict[str, Any]:
        kind = ("chat.completion.chunk" if chunk else "chat.completion") if self.is_chat else "text_completion"
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model.name,
            "choices": choices,
            "system_fingerprint": f"danlu-{__version__}",
        }

    def usage(self) -> dict[str, Any]:
        read = sum(len(prompt) for prompt in self.prompts)
        return usage(read, self.new_tokens, self.stream.cached_tokens)

    async def pieces(self) -> AsyncIterator[dict[int, Choice]]:
        """What has come since the last time, by the number of the choice.

        Raises:
            ApiError: the engine failed.
        """
        first = True
        async for events in self.stream.batches():
            if first:
                self.services.counts.first_token(clock.monotonic() - self.began)
                first = False
            found: dict[int, Choice] = {}
            for number, each in events:
                self._take(number, each, found)
            yield found

    def _take(self, number: int, each: Event, found: dict[int, Choice]) -> None:
        n = self.asked.n
        if isinstance(each, Failed):
            raise ApiError(500, f"the model failed: {each.reason}", code="engine_error")
        if isinstance(each, PromptScores):
            for index in range(number * n, number * n + n):
                found.setdefault(index, Choice()).logprobs += each.scores
        elif isinstance(each, Drawn):
            piece = found.setdefault(number * n + each.index, Choice())
            piece.text += each.text
            piece.finish = each.finish
            if each.token is not None:
                piece.tokens += 1
                self.new_tokens += 1
            if each.logprob is not None:
                piece.logprobs.append(each.logprob)

    def logprobs(self, index: int, scores: Sequence[TokenLogprob | None], offset: int) -> dict[str, Any] | None:
        if self.asked.logprobs is None or (self.is_chat and not scores):
            return None
        if self.is_chat:
            return self.names.chat(scores)
        return self.names.legacy(scores, self.prompts[index // self.asked.n][0], offset)


async def answer(request: Request, services: Services, asked: ChatAsked | CompletionAsked, client: str) -> Response:
    """Answer a request of either endpoint.

    Raises:
        ApiError: it cannot be served.
    """
    from danlu.generation.engine import QueueFull

    model = find_model(services, asked.model)
    try:
        loaded = await ready(model)
    except DanluError as error:
        raise ApiError(503, f"{error.cause} {error.remedy}", code="model_unavailable") from error
    prompts = await run_in_threadpool(_encode, model, loaded, asked)
    requests = [_engine_request(model, tokens, asked, client) for tokens in prompts]
    texts: list[str] = []
    if isinstance(asked, CompletionAsked) and asked.echo:
        table = loaded.generator.table
        texts = [
            prompt if isinstance(prompt, str) else b"".join(table[token] for token in prompt).decode(errors="replace")
            for prompt in asked.prompts
        ]
    async with AsyncExitStack() as stack:
        try:
            stream = await stack.enter_async_context(generate(services.bridge, model, requests))
        except QueueFull as error:
            headers = {"Retry-After": "1"}
            raise ApiError(503, f"{error.cause} {error.remedy}", code="overloaded", headers=headers) from error
        except DanluError as error:
            raise ApiError(400, f"{error.cause} {error.remedy}", param=_param(asked)) from error
        names = TokenNames(loaded.generator.table, loaded.generator.tokenizer)
        made = _Answering(asked, model, names, prompts, texts, stream, services)
        if asked.stream:
            return EventStream(_chunks(made), stack.pop_all().aclose)
        whole = await until_gone(_whole(made), request.receive)
        if whole is None:  # the client has gone; nobody reads this
            return Response(status_code=499)
        return Json(whole)


def find_model(services: Services, name: str) -> ServedModel:
    """A model by its name.

    Raises:
        ApiError: 404; the message lists those there are.
    """
    model = services.models.get(name)
    if model is None:
        known = ", ".join(each.name for each in services.models) or "none"
        message = f"there is no model {name[:200]!r} here. Models: {known}."
        raise ApiError(404, message, param="model", code="model_not_found")
    return model


def _param(asked: Asked) -> str:
    return "messages" if isinstance(asked, ChatAsked) else "prompt"


def _encode(model: ServedModel, loaded: Loaded, asked: ChatAsked | CompletionAsked) -> list[list[int]]:
    param = _param(asked)
    try:
        if isinstance(asked, ChatAsked):
            prompts = [chat_tokens(model, loaded, asked.messages)]
        else:
            prompts = [
                text_tokens(loaded, prompt) if isinstance(prompt, str) else list(prompt) for prompt in asked.prompts
            ]
    except DanluError as error:
        raise wrong(param, f"{error.cause} {error.remedy}") from error
    scores_only = asked.settings.max_tokens == 0
    for tokens in prompts:
        if len(tokens) > model.context - (0 if scores_only else 1):
            raise wrong(
                param,
                f"This model's maximum context length is {model.context} tokens, and the prompt has {len(tokens)}."
                " Shorten it: nothing is cut off.",
                "context_length_exceeded",
            )
    return prompts


def _engine_request(
    model: ServedModel, tokens: Sequence[int], asked: ChatAsked | CompletionAsked, client: str
) -> EngineRequest:
    echoes = isinstance(asked, CompletionAsked) and asked.echo
    scored = asked.logprobs if echoes else None
    return request_of(model, tokens, asked.settings, client, n=asked.n, logprobs=asked.logprobs, prompt_logprobs=scored)


async def _whole(made: _Answering) -> dict[str, Any]:
    """The answer in one piece."""
    asked = made.asked
    choices = [Choice() for _ in range(len(made.prompts) * asked.n)]
    async for found in made.pieces():
        for index, piece in found.items():
            choice = choices[index]
            choice.text += piece.text
            choice.logprobs += piece.logprobs
            choice.finish = piece.finish or choice.finish
    shaped = []
    for index, choice in enumerate(choices):
        before = made.texts[index // asked.n] if made.echo else ""
        offset = 0 if made.echo else len(before)
        one: dict[str, Any] = {"index": index, "logprobs": made.logprobs(index, choice.logprobs, offset)}
        if made.is_chat:
            one["message"] = {"role": "assistant", "content": choice.text, "refusal": None}
        else:
            one["text"] = before + choice.text
        shaped.append({**one, "finish_reason": choice.finish})
    made.services.counts.finished(made.new_tokens)
    return {**made.envelope(shaped, chunk=False), "usage": made.usage()}


async def _chunks(made: _Answering) -> AsyncIterator[bytes]:
    """The answer in pieces."""
    asked = made.asked
    extra: dict[str, Any] = {"usage": None} if asked.include_usage else {}

    def chunk(choice: dict[str, Any]) -> bytes:
        return event({**made.envelope([choice], chunk=True), **extra})

    def piece_of(index: int, text: str, logprobs: dict[str, Any] | None, finish: str | None) -> bytes:
        body: dict[str, Any] = {"delta": {"content": text} if text or finish is None else {}}
        if not made.is_chat:
            body = {"text": text}
        return chunk({"index": index, **body, "logprobs": logprobs, "finish_reason": finish})

    lengths = [0] * (len(made.prompts) * asked.n)
    for index in range(len(lengths)):
        if made.is_chat:
            start = {"delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
            yield chunk({"index": index, **start})
    begun: set[int] = set()
    try:
        async for found in made.pieces():
            for index, piece in found.items():
                text = piece.text
                logprobs = made.logprobs(index, piece.logprobs, lengths[index])
                if made.echo and index not in begun:
                    text = made.texts[index // asked.n] + text
                begun.add(index)
                lengths[index] += len(text)
                if made.is_chat and piece.finish is not None and text:
                    yield piece_of(index, text, logprobs, None)
                    text, logprobs = "", None
                if text or piece.finish is not None or piece.logprobs:
                    yield piece_of(index, text, logprobs, piece.finish)
    except ApiError as error:
        yield event(error.body())
        return
    made.services.counts.finished(made.new_tokens)
    if asked.include_usage:
        yield event({**made.envelope([], chunk=True), "usage": made.usage()})
    yield event("[DONE]")
