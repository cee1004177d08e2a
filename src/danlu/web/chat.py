"""The chat page's endpoints: conversations, messages, streamed replies, thumbs."""

import asyncio
import time as clock
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping, to_mapping
from danlu.feedback.records import Role
from danlu.generation.requests import Drawn, Failed
from danlu.web.asking import Settings, chat_tokens, request_of, text_tokens
from danlu.web.conversations import Conversations, State, StoredMessage, branch
from danlu.web.database import reason
from danlu.web.endpoints import Call, admit, answered, endpoint
from danlu.web.generating import generate, ready
from danlu.web.guard import log
from danlu.web.served import ServedModel
from danlu.web.streaming import EventStream, event

_SAVE_SECONDS = 1.0
"""How often the text of a reply that is being written goes to the database."""


@dataclass(frozen=True)
class NewConversation:
    """A conversation to be begun."""

    id: str
    title: str = ""


@dataclass(frozen=True)
class Change:
    """What is to change about a conversation."""

    title: str | None = None
    archived: bool | None = None


@dataclass(frozen=True)
class NewMessage:
    """What a person says, after another message (empty: at the beginning)."""

    id: str
    content: str
    parent: str = ""
    role: Role = "user"


@dataclass(frozen=True)
class NewReply:
    """A model is asked to reply to a message."""

    id: str
    parent: str
    model: str = ""
    """Empty: the first that is served."""
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True)
class Thumb:
    """What somebody thinks of a message."""

    id: str
    value: int


def routes() -> list[BaseRoute]:
    """The routes of this file."""
    one = "/api/conversations/{id}"
    return [
        endpoint("/api/models", _models),
        endpoint("/api/conversations", _list),
        endpoint("/api/conversations", _create, "POST"),
        endpoint(one, _get),
        endpoint(one, _change, "PATCH"),
        endpoint(one + "/messages", _add, "POST"),
        Route(one + "/replies", answered(_reply), methods=["POST"]),
        endpoint(one + "/export", _export),
        endpoint("/api/messages/{message}/thumb", _thumb, "POST"),
    ]


def _models(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "name": model.name,
            "state": model.state,
            "error": model.error,
            "chats": model.template is not None,
            "context": model.context,
            "defaults": to_mapping(model.defaults),
        }
        for model in call.services.models
    ]


def _list(call: Call) -> list[dict[str, Any]]:
    archived = call.query.get("archived") == "1"
    return [to_mapping(each) for each in _conversations(call).all(call.account.name, archived=archived)]


def _create(call: Call) -> dict[str, Any]:
    asked = call.read(NewConversation)
    return to_mapping(_conversations(call).create(call.account.name, asked.id, asked.title))


def _get(call: Call) -> dict[str, Any]:
    head, messages = _conversations(call).get(call.account.name, call.path["id"])
    return {**to_mapping(head), "messages": to_mapping(messages)}


def _change(call: Call) -> dict[str, Any]:
    asked = call.read(Change)
    changed = _conversations(call).change(
        call.account.name, call.path["id"], title=asked.title, archived=asked.archived
    )
    return to_mapping(changed)


def _add(call: Call) -> dict[str, Any]:
    asked = call.read(NewMessage)
    message = StoredMessage(asked.id, asked.parent, asked.role, asked.content, "")
    return to_mapping(_conversations(call).add(call.account.name, call.path["id"], message))


def _thumb(call: Call) -> dict[str, Any]:
    asked = call.read(Thumb)
    path, is_new = _conversations(call).thumb(call.account.name, call.path["message"], asked.value, asked.id)
    if is_new:
        body = {
            "prompt": [{"role": message.role, "content": message.content} for message in path[:-1]],
            "completion": path[-1].content,
            "value": asked.value,
            "model": path[-1].model,
            "message": path[-1].id,
        }
        call.services.desk.note("thumb", body, annotator=call.account.name)
    return {"thumb": path[-1].thumb}


def _export(call: Call) -> dict[str, Any]:
    """The whole tree; with ?leaf=ID the one branch as `messages`, the form in which conversations are trained on."""
    head, messages = _conversations(call).get(call.account.name, call.path["id"])
    leaf = call.query.get("leaf")
    if leaf is None:
        return {**to_mapping(head), "messages": to_mapping(messages)}
    return {"messages": [{"role": each.role, "content": each.content} for each in branch(messages, leaf)]}


def _conversations(call: Call) -> Conversations:
    return call.services.conversations


async def _reply(request: Request) -> Response:
    """Stream a model's reply: `start`, then `text` as it comes, then `done` (or `error`). To stop it, close it."""
    call = await admit(request, ("admin",))
    asked = from_mapping(NewReply, call.body, "the request")
    services = call.services
    model = next(iter(services.models), None) if not asked.model else services.models.get(asked.model)
    if model is None:
        raise DanluError(f"there is no model {asked.model!r}.", "GET /api/models lists them.")
    owner, conversation = call.account.name, call.path["id"]
    _, tree = await run_in_threadpool(services.conversations.get, owner, conversation)
    path = branch(tree, asked.parent)
    tokens = await _prompt(model, path)
    message = StoredMessage(
        asked.id, asked.parent, "assistant", "", model.name, {"settings": to_mapping(asked.settings)}, "running"
    )
    asking = request_of(model, tokens, asked.settings, owner)
    stored = await run_in_threadpool(services.conversations.add, owner, conversation, message)
    if stored.state != "running" or stored.content:
        raise DanluError("this reply was written already.", "Load the page again, or ask for another one.")
    details = {**message.details, "prompt_tokens": len(tokens), "seed": asking.sampling.seed}

    async def keep(text: str, state: State) -> None:
        try:
            await run_in_threadpool(services.conversations.write, asked.id, text, state, dict(details))
        except sa.exc.DBAPIError as error:  # the reader has the text; the next try may go well
            log.error("a reply was not saved: %s", reason(error))

    async def written() -> AsyncIterator[bytes]:
        text, count, began = "", 0, clock.monotonic()
        state: State = "stopped"
        saved, finish = began, None
        first: float | None = None
        yield event({"type": "start", "id": asked.id, "model": model.name, "prompt_tokens": len(tokens)})
        try:
            async with generate(services.bridge, model, [asking]) as stream:
                async for events in stream.batches():
                    piece = ""
                    for _, each in events:
                        if isinstance(each, Failed):
                            raise DanluError(f"the model failed: {each.reason}.", "Try again.")
                        if isinstance(each, Drawn):
                            piece, count, finish = piece + each.text, count + 1, each.finish
                    first = first or clock.monotonic()
                    text += piece
                    yield event({"type": "text", "text": piece, "tokens": count})
                    if clock.monotonic() - saved > _SAVE_SECONDS:
                        saved = clock.monotonic()
                        await keep(text, "running")
                details["cached_tokens"] = stream.cached_tokens
            state = "done"
        except DanluError as error:
            state = "failed"
            yield event({"type": "error", "message": error.cause, "remedy": error.remedy})
        finally:
            now = clock.monotonic()
            details.update(tokens=count, finish=finish, seconds=round(now - began, 3))
            details["first_token_seconds"] = round((first or now) - began, 3)
            # Shielded: closing the stream cancels this task, and what was said until then is kept.
            await asyncio.shield(asyncio.ensure_future(keep(text, state)))
        if state == "done":
            yield event({"type": "done", **{key: value for key, value in details.items() if key != "settings"}})

    return EventStream(written())


async def _prompt(model: ServedModel, path: "list[StoredMessage]") -> list[int]:
    loaded = await ready(model)
    if model.template is None:
        tokens = await run_in_threadpool(text_tokens, loaded, "".join(message.content for message in path))
    else:
        turns: list[Mapping[str, str]] = [{"role": each.role, "content": each.content} for each in path]
        if not turns or turns[-1]["role"] == "assistant":
            raise DanluError("there is nothing to reply to.", "Say something first.")
        tokens = await run_in_threadpool(chat_tokens, model, loaded, turns)
    if len(tokens) >= model.context:
        raise DanluError(
            f"the conversation has {len(tokens):,} tokens, and the model's context is {model.context:,}.",
            "Begin a new conversation, or go on from an earlier message.",
        )
    return tokens
