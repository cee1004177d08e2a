"""From the settings of a request, and the model's defaults, to what the engine is asked."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig
from danlu.generation.requests import Request
from danlu.web.served import Loaded, ServedModel

_MOST_STOPS, _LONGEST_STOP = 16, 1000


@dataclass(frozen=True)
class Settings:
    """How to sample; None: the model's default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    """None: as many as the context holds."""
    stop: tuple[str, ...] = ()
    seed: int | None = None
    """None: another one each time."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] = field(default_factory=dict)
    """By token id."""
    ignore_eos: bool = False


class WrongValue(DanluError):
    """A setting that is out of its range.

    Args:
        name: of the setting.
    """

    def __init__(self, name: str, cause: str, remedy: str) -> None:
        super().__init__(cause, remedy)
        self.name = name


_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_p": (1e-6, 1),
    "top_k": (-1, 2**31),
    "min_p": (0, 1),
    "max_tokens": (0, 2**31),
    "seed": (-(2**63), 2**63 - 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0.01, 100),
}


def check_settings(settings: Settings) -> None:
    """Refuse values that mean nothing.

    Raises:
        WrongValue: it names the setting.
    """
    for name, (low, high) in _RANGES.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            least = "above 0" if name == "top_p" else f"at least {low:g}"
            raise WrongValue(name, f"the value of {name} is {value:g}.", f"It must be {least} and at most {high:g}.")
    if settings.temperature is not None and 0 < settings.temperature < 1e-3:
        raise WrongValue("temperature", f"temperature is {settings.temperature:g}.", "Take 0, or 0.001 or more.")
    if len(settings.stop) > _MOST_STOPS or any(not 0 < len(stop) <= _LONGEST_STOP for stop in settings.stop):
        raise WrongValue(
            "stop", "stop is not as it must be.", f"Give up to {_MOST_STOPS} texts of 1 to {_LONGEST_STOP} characters."
        )
    for token, bias in settings.logit_bias.items():
        if not (token.isascii() and token.isdigit() and len(token) < 10) or not -100 <= bias <= 100:
            raise WrongValue("logit_bias", f"logit_bias has {token[:20]!r}.", "Give token ids with -100 to 100.")


def request_of(
    model: ServedModel, tokens: Sequence[int], settings: Settings, client: str, **more: "int | None"
) -> Request:
    """What the engine is asked.

    Args:
        tokens: the prompt.
        client: who asks.
        more: further fields of `Request`.

    Raises:
        WrongValue: a setting is out of its range.
    """
    check_settings(settings)

    def value(name: str) -> float:
        own = getattr(settings, name)
        return model.defaults[name].value if own is None else own

    room = max(0, model.context - len(tokens))
    limit = room if settings.max_tokens is None else min(settings.max_tokens, room)
    return Request(
        prompt=tokens,
        sampling=SamplingConfig(
            temperature=value("temperature"),
            top_k=max(0, int(value("top_k"))),
            top_p=value("top_p"),
            min_p=value("min_p"),
            max_new_tokens=max(1, limit),
            stop=settings.stop,
            seed=secrets.randbits(63) if settings.seed is None else settings.seed,
        ),
        max_new_tokens=limit,
        frequency_penalty=settings.frequency_penalty,
        presence_penalty=settings.presence_penalty,
        repetition_penalty=value("repetition_penalty"),
        logit_bias={int(token): bias for token, bias in settings.logit_bias.items()},
        ignore_end=settings.ignore_eos,
        client=client,
        **more,  # type: ignore[arg-type]
    )


def chat_tokens(model: ServedModel, loaded: Loaded, turns: Sequence[Mapping[str, str]]) -> list[int]:
    """The prompt of a conversation.

    Raises:
        DanluError: the model has no chat template, or the template refuses the conversation.
    """
    if model.template is None:
        raise DanluError(
            f"{model.name} is a base model without a chat template: it continues texts and was not taught to chat.",
            "Use /v1/completions, or serve a model that was fine-tuned (danlu sft).",
        )
    return model.template.encode(turns, loaded.markup, loaded.generator.tokenizer, loaded.special)


def text_tokens(loaded: Loaded, text: str) -> list[int]:
    """The prompt of a text to be continued; an empty one begins a document."""
    from danlu.generation.text import start_token

    tokens: list[int] = loaded.generator.tokenizer.encode(text).ids
    if tokens:
        return tokens
    start = start_token(loaded.generator.tokenizer)
    if start is None:
        raise DanluError("the prompt is empty, and the model has no token that begins a text.", "Give a text.")
    return [start]
