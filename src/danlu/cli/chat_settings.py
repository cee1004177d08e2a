"""How answers in the terminal are sampled: what was set, and what holds where nothing was."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class ChatSettings:
    """What is left out follows the model's own defaults."""

    temperature: float | None = None
    """Below 1 more predictable, above 1 more varied; 0 takes the likeliest token."""
    top_p: float | None = None
    """Only the likeliest tokens that together have this probability; 1: all."""
    top_k: int | None = None
    """Only this many of the likeliest tokens; 0: all."""
    min_p: float | None = None
    """Only tokens at least so likely, compared with the likeliest; 0: all."""
    repetition_penalty: float | None = None
    """Above 1 makes tokens less likely that were used already."""
    max_new_tokens: int = 256
    """Longest answer (tokens)."""
    seed: int | None = None
    """The same seed and the same words give the same talk."""


ALIASES = {"max": "max_new_tokens", "repetition": "repetition_penalty"}
"""Shorter names in the terminal."""


def changed(settings: ChatSettings, name: str, text: str) -> ChatSettings:
    """The settings with another value, as it was typed; `default` takes a value back.

    Raises:
        DanluError: there is no such setting, or the value is no number.
    """
    name = ALIASES.get(name, name).replace("-", "_")
    known = {each.name: each for each in fields(ChatSettings)}
    if name not in known:
        raise DanluError(f"there is no setting {name!r}.", f"They are {', '.join(known)}.")
    if text == "default":
        back: dict[str, Any] = {name: known[name].default}
        return replace(settings, **back)
    whole = name in ("top_k", "max_new_tokens", "seed")
    try:
        value: dict[str, Any] = {name: int(text) if whole else float(text)}
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise DanluError(f"{name} cannot be {text!r}.", f"Give {kind}, or the word default.") from None
    return replace(settings, **value)


def described(settings: ChatSettings, defaults: Mapping[str, "tuple[float, str]"]) -> Iterator[str]:
    """A line for each setting: its value, and where that comes from.

    Args:
        defaults: what holds where nothing was set, with its source.
    """
    for each in fields(ChatSettings):
        value = getattr(settings, each.name)
        if value is not None:
            yield f"{each.name} {value:g}" if value != each.default else f"{each.name} {value:g} (danlu)"
        elif each.name in defaults:
            yield "{} {:g} ({})".format(each.name, *defaults[each.name])
        else:
            yield f"{each.name}: another one each time"
