"""Prompts of conversations for any model with a chat template: to be served, it need not mark what it generates."""

import datetime
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.tokens.chat import read_template, template_environment


@dataclass(frozen=True)
class ChatTemplate:
    """How a conversation is written for a model that was taught to chat."""

    text: str
    """Jinja, with the names that `transformers` gives: messages, add_generation_prompt, bos_token, eos_token."""
    special: Mapping[str, str]
    """bos_token and eos_token, as far as there are any."""

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation up to where the assistant speaks.

        Raises:
            DanluError: the template refuses the conversation (some want user and assistant to take turns).
        """
        environment = template_environment()
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        try:
            text: str = environment.from_string(self.text).render(
                messages=list(messages), add_generation_prompt=True, tools=None, documents=None, **self.special
            )  # fmt: skip
        except jinja2.TemplateError as error:
            raise DanluError(
                f"the model's chat template refuses these messages: {error}.",
                "Look at its chat_template.jinja for the roles and the order that it allows.",
            ) from error
        return text

    def encode(self, messages: Sequence[Mapping[str, str]], markup: Any, literal: Any, special: set[str]) -> list[int]:
        """The tokens of a conversation, in which no message can end its own turn.

        A special token that is spelled out in a message is read as the characters that it is.

        Args:
            markup: a `Tokenizer` that reads special tokens spelled out in a text.
            literal: the same one, taking them for characters.
            special: the special tokens.
        """
        mark = secrets.token_hex(8)  # nobody can have written it
        hidden: list[str] = []

        def hide(text: str) -> str:
            for token in special:
                while token in text:
                    text = text.replace(token, f"\ufdd0{mark}:{len(hidden)}\ufdd1", 1)
                    hidden.append(token)
            return text

        shown = [{**message, "content": hide(message["content"])} for message in messages]
        rendered = self.render(shown)
        if not hidden:
            return list(markup.encode(rendered, add_special_tokens=False).ids)
        ids: list[int] = []
        first, *rest = rendered.split(f"\ufdd0{mark}:")
        ids += markup.encode(first, add_special_tokens=False).ids
        for part in rest:
            number, _, after = part.partition("\ufdd1")
            ids += literal.encode(hidden[int(number)], add_special_tokens=False).ids
            ids += markup.encode(after, add_special_tokens=False).ids
        return ids


def served_template(folder: Path) -> ChatTemplate | None:
    """The chat template of a model folder; None: it has none."""
    text = read_template(folder)
    if text is None:
        return None
    path = folder / "tokenizer_config.json"
    settings: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    special = {}
    for key in ("bos_token", "eos_token"):
        token = settings.get(key)
        special[key] = (token.get("content") if isinstance(token, dict) else token) or ""
    return ChatTemplate(text, special)
