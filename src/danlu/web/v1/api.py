"""The routes of /v1 and what stands beside it: keys, other sites' pages, models, tokens, health, metrics."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from danlu.common.errors import DanluError
from danlu.web.asking import chat_tokens
from danlu.web.endpoints import address_of, services_of
from danlu.web.generating import ready
from danlu.web.guard import Refused, log, parse_json, read_body, same_origin
from danlu.web.passwords import digest
from danlu.web.served import Loaded, ServedModel
from danlu.web.services import Services
from danlu.web.streaming import Json
from danlu.web.v1.answering import answer, find_model
from danlu.web.v1.asked import read_chat, read_completion
from danlu.web.v1.counts import metrics_text
from danlu.web.v1.errors import ApiError, wrong

Handler = Callable[[Request, Services], Awaitable[Response]]


def routes() -> list[BaseRoute]:
    """The routes of this file."""
    return [
        _route("/v1/models", _models, "GET"),
        _route("/v1/models/{name:path}", _model, "GET"),
        _route("/v1/chat/completions", _chat, "POST"),
        _route("/v1/completions", _completions, "POST"),
        _route("/v1/embeddings", _embeddings, "POST"),
        _route("/tokenize", _tokenize, "POST"),
        _route("/detokenize", _detokenize, "POST"),
        _route("/tokenizer_info", _tokenizer_info, "GET"),
        _route("/metrics", _metrics, "GET"),
        Route("/health", _health, methods=["GET"]),
    ]


def _route(path: str, handler: Handler, method: str) -> Route:
    async def safe(request: Request) -> Response:
        services = services_of(request)
        response = await _answer(request, services, handler)
        services.counts.answered(path, response.status_code)
        origin = request.headers.get("origin")
        if origin in services.config.cors_origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            response.headers.append("Vary", "Origin")
        return response

    return Route(path, safe, methods=[method, "OPTIONS"])


async def _answer(request: Request, services: Services, handler: Handler) -> Response:
    try:
        _check_origin(request, services)
        if request.method == "OPTIONS":
            return Response(status_code=204)
        _check_key(request, services)
        return await handler(request, services)
    except ApiError as error:
        return error.response()
    except Refused as refusal:
        return ApiError(refusal.status, f"{refusal.cause} {refusal.remedy}", headers=refusal.headers).response()
    except DanluError as error:
        return ApiError(400, f"{error.cause} {error.remedy}").response()
    except Exception:  # noqa: BLE001 (the last stop: the client learns nothing of our insides)
        log.exception("%s %s failed", request.method, request.url.path)
        return ApiError(500, "something went wrong in the server; its log says what.").response()


def _check_origin(request: Request, services: Services) -> None:
    """Pages of other sites may not make a browser of this machine use the models."""
    origin = request.headers.get("origin")
    if origin is not None and origin not in services.config.cors_origins and not same_origin(request):
        raise ApiError(403, f"pages of {origin[:100]} may not call this server; --cors-origin allows it.")


def _check_key(request: Request, services: Services) -> None:
    wanted = services.config.api_key
    if wanted is None:
        return
    kind, _, offered = request.headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(offered.strip().encode("utf-8", "surrogatepass"), wanted.encode())
    if kind.lower() != "bearer" or not right:
        headers = {"WWW-Authenticate": "Bearer"}
        message = "Incorrect API key provided; send the server's as a Bearer token."
        raise ApiError(401, message, code="invalid_api_key", headers=headers)


async def _body(request: Request, services: Services) -> Mapping[str, Any]:
    return parse_json(await read_body(request, services.config))


def _client(request: Request) -> str:
    """Who asks, so that the engine serves them in turn: an address with a key."""
    return f"{address_of(request)} {digest(request.headers.get('authorization', ''))[:16]}"


# Generating


async def _chat(request: Request, services: Services) -> Response:
    asked = read_chat(await _body(request, services))
    return await answer(request, services, asked, _client(request))


async def _completions(request: Request, services: Services) -> Response:
    asked = read_completion(await _body(request, services))
    return await answer(request, services, asked, _client(request))


async def _embeddings(request: Request, services: Services) -> Response:
    raise ApiError(501, "embeddings are not made here: the models generate text.", code="not_implemented")


# Models and tokens


def _shown(model: ServedModel) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "danlu",
        "max_model_len": model.context,
    }


async def _models(request: Request, services: Services) -> Response:
    return Json({"object": "list", "data": [_shown(model) for model in services.models]})


async def _model(request: Request, services: Services) -> Response:
    return Json(_shown(find_model(services, request.path_params["name"])))


async def _loaded(services: Services, name: Any) -> tuple[ServedModel, Loaded]:
    """The model that a request names, or the first."""
    if name is not None and not isinstance(name, str):
        raise wrong("model", "model must be a string.")
    first = next(iter(services.models), None)
    model = first if first is not None and not name else find_model(services, name or "")
    return model, await ready(model)


async def _tokenize(request: Request, services: Services) -> Response:
    body = await _body(request, services)
    model, loaded = await _loaded(services, body.get("model"))
    prompt, messages = body.get("prompt"), body.get("messages")
    if messages is not None:
        chat = read_chat({"model": model.name, "messages": messages})
        tokens = await run_in_threadpool(chat_tokens, model, loaded, chat.messages)
    elif isinstance(prompt, str):
        # Special tokens spelled out are themselves here, as in other servers: clients look up eos_token by its name.
        added = body.get("add_special_tokens", True) is not False
        encoded = await run_in_threadpool(loaded.markup.encode, prompt, add_special_tokens=added)
        tokens = encoded.ids
    else:
        raise wrong("prompt", "Send prompt (a text) or messages.")
    return Json({"tokens": tokens, "count": len(tokens), "max_model_len": model.context})


async def _detokenize(request: Request, services: Services) -> Response:
    body = await _body(request, services)
    _, loaded = await _loaded(services, body.get("model"))
    tokens, table = body.get("tokens"), loaded.generator.table
    known = isinstance(tokens, list) and all(
        isinstance(token, int) and not isinstance(token, bool) and 0 <= token < len(table) for token in tokens
    )
    if not known:
        raise wrong("tokens", f"tokens must be a list of ids from 0 to {len(table) - 1}.")
    assert isinstance(tokens, list)
    text = loaded.generator.tokenizer.decode(tokens, skip_special_tokens=False)
    return Json({"prompt": text})


async def _tokenizer_info(request: Request, services: Services) -> Response:
    model, loaded = await _loaded(services, request.query_params.get("model"))
    tokenizer, ends = loaded.generator.tokenizer, loaded.generator.stop_tokens
    from danlu.generation.text import start_token

    start = start_token(tokenizer)
    return Json(
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "vocab_size": tokenizer.get_vocab_size(),
            "model_max_length": model.context,
            "eos_token": tokenizer.id_to_token(ends[0]) if ends else None,
            "bos_token": None if start is None else tokenizer.id_to_token(start),
            "pad_token": "<|pad|>" if "<|pad|>" in loaded.special else None,
            "chat_template": None if model.template is None else model.template.text,
        }
    )


# How the server is


async def _health(request: Request) -> Response:
    services = services_of(request)
    states = {model.name: model.state for model in services.models}
    status = "loading" if "loading" in states.values() else "failed" if "failed" in states.values() else "ok"
    return Json({"status": status, "models": states}, 200 if status == "ok" else 503)


async def _metrics(request: Request, services: Services) -> Response:
    text = metrics_text(services.counts, services.models)
    return PlainTextResponse(text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
