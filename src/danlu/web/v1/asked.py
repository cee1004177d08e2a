"""Requests of OpenAI's API, read: fields are checked, and those that we lack and that would matter are refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from danlu.generation.requests import MAX_LOGPROBS
from danlu.web.asking import Settings, WrongValue, check_settings
from danlu.web.v1.errors import wrong

_MOST_CHOICES = 128
_COMPLETION_TOKENS = 16  # OpenAI's default for the older endpoint


@dataclass(frozen=True)
class Asked:
    """What both endpoints have in common."""

    model: str
    settings: Settings
    n: int
    stream: bool
    include_usage: bool
    logprobs: int | None
    """Alternatives for each token; None: no log-probabilities."""


@dataclass(frozen=True)
class ChatAsked(Asked):
    """A conversation to be continued."""

    messages: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class CompletionAsked(Asked):
    """Prompts to be continued."""

    prompts: tuple[str | tuple[int, ...], ...]
    echo: bool


class _Fields:
    """A body's fields, by type; null is as if it were not there."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body

    def get(self, name: str) -> Any:
        return self._body.get(name)

    def number(self, name: str) -> float | None:
        value = self.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise wrong(name, f"{name} must be a number.")
        return None if value is None else float(value)

    def whole(self, name: str) -> int | None:
        value = self.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise wrong(name, f"{name} must be a whole number.")
        return value

    def flag(self, name: str) -> bool:
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise wrong(name, f"{name} must be true or false.")
        return bool(value)

    def text(self, name: str) -> str | None:
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong(name, f"{name} must be a string.")
        return value


def read_chat(body: Mapping[str, Any]) -> ChatAsked:
    """The body of /v1/chat/completions.

    Raises:
        ApiError: 400 with the field.
    """
    fields = _Fields(body)
    for name in ("tools", "functions", "audio", "web_search_options", "prediction"):
        if fields.get(name):
            raise wrong(name, f"{name} is not supported: the models answer with text alone.", "unsupported_parameter")
    modalities = fields.get("modalities")
    if modalities not in (None, ["text"]):
        raise wrong("modalities", "Only text is supported.", "unsupported_parameter")
    most = fields.whole("max_completion_tokens")
    common = _common(fields, "max_completion_tokens" if most is not None else "max_tokens", None)
    wanted = fields.flag("logprobs")
    top = fields.whole("top_logprobs")
    if top is not None and not wanted:
        raise wrong("top_logprobs", "top_logprobs needs logprobs to be true.")
    common["logprobs"] = _alternatives("top_logprobs", top or 0) if wanted else None
    return ChatAsked(messages=_messages(fields.get("messages")), **common)


def read_completion(body: Mapping[str, Any]) -> CompletionAsked:
    """The body of /v1/completions.

    Raises:
        ApiError: 400 with the field.
    """
    fields = _Fields(body)
    if fields.text("suffix"):
        raise wrong("suffix", "suffix is not supported.", "unsupported_parameter")
    common = _common(fields, "max_tokens", _COMPLETION_TOKENS)
    best_of = fields.whole("best_of")
    if best_of not in (None, 1, common["n"]):
        raise wrong("best_of", "best_of is not supported; ask for n and choose.", "unsupported_parameter")
    top = fields.whole("logprobs")
    common["logprobs"] = None if top is None else _alternatives("logprobs", top)
    echo = fields.flag("echo")
    if common["settings"].max_tokens == 0 and not echo:
        raise wrong("max_tokens", "max_tokens is 0: nothing is asked for. With echo it scores the prompt.")
    prompts = _prompts(fields.get("prompt"))
    if len(prompts) * common["n"] > 2048:
        raise wrong("prompt", f"{len(prompts)} prompts with n = {common['n']} are too many; send 2048 at most.")
    return CompletionAsked(prompts=prompts, echo=echo, **common)


def _common(fields: _Fields, limit: str, default_limit: int | None) -> dict[str, Any]:
    form = fields.get("response_format")
    if form is not None and (not isinstance(form, Mapping) or form.get("type") != "text"):
        raise wrong("response_format", "Only response_format {'type': 'text'} is supported.", "unsupported_parameter")
    model = fields.text("model")
    if not model:
        raise wrong("model", "model is missing; GET /v1/models lists them.", "missing_required_parameter")
    n = fields.whole("n")
    n = 1 if n is None else n
    if not 1 <= n <= _MOST_CHOICES:
        raise wrong("n", f"n is {n}. It must be from 1 to {_MOST_CHOICES}.")
    most = fields.whole(limit)
    most = default_limit if most is None else most
    if most is not None and most < (1 if limit == "max_completion_tokens" or default_limit is None else 0):
        raise wrong(limit, f"{limit} is {most}. It must be 1 or more.")
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, Mapping):
        raise wrong("stream_options", "stream_options must be an object.")
    stream = fields.flag("stream")
    if options and not stream:
        raise wrong("stream_options", "stream_options needs stream to be true.")
    settings = Settings(
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.whole("top_k"),
        min_p=fields.number("min_p"),
        max_tokens=most,
        stop=_stop(fields.get("stop")),
        seed=fields.whole("seed"),
        frequency_penalty=fields.number("frequency_penalty") or 0.0,
        presence_penalty=fields.number("presence_penalty") or 0.0,
        repetition_penalty=fields.number("repetition_penalty"),
        logit_bias=_bias(fields.get("logit_bias")),
        ignore_eos=fields.flag("ignore_eos"),
    )
    try:
        check_settings(settings)
    except WrongValue as error:
        raise wrong(limit if error.name == "max_tokens" else error.name, f"{error.cause} {error.remedy}") from error
    if settings.temperature is not None and settings.temperature > 2:
        raise wrong("temperature", f"temperature is {settings.temperature:g}. It must be at most 2.")
    usage = bool(options.get("include_usage")) if options else False
    return {"model": model, "settings": settings, "n": n, "stream": stream, "include_usage": usage}


def _alternatives(name: str, value: int) -> int:
    if not 0 <= value <= MAX_LOGPROBS:
        raise wrong(name, f"{name} is {value}. It must be from 0 to {MAX_LOGPROBS}.")
    return value


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise wrong("stop", "stop must be a string or a list of strings.")
    return tuple(stops)


def _bias(value: Any) -> dict[str, float]:
    if value is None:
        return {}
    numbers = isinstance(value, Mapping) and all(
        isinstance(bias, int | float) and not isinstance(bias, bool) for bias in value.values()
    )
    if not numbers:
        raise wrong("logit_bias", "logit_bias must map token ids to numbers.")
    return {token: float(bias) for token, bias in value.items()}


def _messages(value: Any) -> tuple[Mapping[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise wrong("messages", "messages must be a list with at least one message.")
    return tuple(_message(message, f"messages[{number}]") for number, message in enumerate(value))


def _message(message: Any, where: str) -> Mapping[str, str]:
    if not isinstance(message, Mapping):
        raise wrong(where, f"{where} must be an object with role and content.")
    role = message.get("role")
    if role not in ("system", "developer", "user", "assistant"):
        raise wrong(f"{where}.role", f"{where}.role must be system, developer, user or assistant.")
    if message.get("tool_calls") or message.get("function_call"):
        raise wrong(f"{where}.tool_calls", "Tool calls are not supported.", "unsupported_parameter")
    content = _content(message.get("content"), f"{where}.content")
    return {"role": "system" if role == "developer" else role, "content": content}


def _content(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise wrong(where, f"{where} must be a string or a list of parts.")
    texts = []
    for number, part in enumerate(value):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise wrong(f"{where}[{number}]", f"{where}[{number}] is {kind!r}: only parts of the type text are read.")
        texts.append(part["text"])
    return "".join(texts)


def _prompts(value: Any) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        raise wrong("prompt", "prompt must be a text, a list of texts, of token ids, or of lists of token ids.")
    if _are_tokens(value):
        return (tuple(value),)
    prompts: list[str | tuple[int, ...]] = []
    for each in value:
        if isinstance(each, str):
            prompts.append(each)
        elif isinstance(each, list) and each and _are_tokens(each):
            prompts.append(tuple(each))
        else:
            raise wrong("prompt", "prompt must hold texts, or lists of token ids with at least one.")
    return tuple(prompts)


def _are_tokens(value: Sequence[Any]) -> bool:
    return all(isinstance(token, int) and not isinstance(token, bool) for token in value)
