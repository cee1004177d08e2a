"""Conversations as tokens: a chat template, the tokens that it marks as the assistant's own, and where a turn ends.

Templates are those of `transformers`: Jinja over `messages` and `add_generation_prompt`, with `{% generation %}` around
what the assistant says. The tokens and the mask are those of its `apply_chat_template(..., return_dict=True,
return_assistant_tokens_mask=True)`, but that a special token spelled out in somebody's message stays the characters
that it is: no message can end its own turn.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.tokens.tokenizer import END_OF_TEXT, MESSAGE_END, PAD, load_tokenizer, token_id

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- message['content'] + '<|im_end|>' -}}{%- endif -%}"
    "{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""ChatML, with the assistant's words and the end of its turn marked as generated."""
_MARKERS = re.compile(r"\{%[-+]?\s*generation\b")
Turn = Mapping[str, str]
"""A message: `role` and `content`."""


@dataclass(frozen=True)
class Text:
    """A prompt with its response."""

    tokens: tuple[int, ...]
    start: int
    """Where the response begins; it ends, with the token that ends a turn, at the last token."""


class Chat:
    """How one model writes conversations.

    Args:
        template: Jinja with generation markers.
        markup: the tokenizer, reading special tokens spelled out in a text.
        literal: the same one, taking them for characters.
        end: the token that ends the assistant's turn.
        pad: the token that fills up rows.
        special: bos_token and eos_token, as templates may name them.
    """

    def __init__(
        self, template: str, markup: Tokenizer, literal: Tokenizer, end: int, pad: int, special: Mapping[str, str]
    ) -> None:
        if pad == end:
            raise DanluError(
                f"the token that fills up rows is the one that ends a turn ({markup.id_to_token(end)}).",
                "Name another pad_token in tokenizer_config.json: who is not judged on the end never learns to stop.",
            )
        if not _MARKERS.search(template):
            raise DanluError(
                "the model's chat template does not mark what the assistant says ({% generation %}).",
                "Add the markers to it, or give --template chatml to teach danlu's own.",
            )
        self.template, self.end, self.pad = template, end, pad
        self._markup, self._literal, self._special = markup, literal, special
        added = markup.get_added_tokens_decoder().values()
        self._names = sorted((token.content for token in added if token.special), key=len, reverse=True)
        self._mark = secrets.token_hex(8)  # nobody can have written it
        self._asked: tuple[list[dict[str, Any]], list[int]] | None = None

    @cached_property
    def _compiled(self) -> jinja2.Template:
        return template_environment(self._mark).from_string(self.template)

    @property
    def end_text(self) -> str:
        """The token that ends a turn, spelled out."""
        return str(self._markup.id_to_token(self.end))

    def prompt(self, messages: Sequence[Turn]) -> list[int]:
        """A conversation's tokens up to where the assistant speaks."""
        return self._encode(messages, True)[0]

    def conversation(self, messages: Sequence[Turn]) -> tuple[list[int], list[bool]]:
        """A whole conversation's tokens, and which of them are the assistant's own."""
        return self._encode(messages, False)

    def text(self, prompt: Sequence[Turn], response: str) -> Text:
        """A prompt with its response, as a model sees it that answers: the prompt's tokens, the response's, the end.

        Raises:
            DanluError: the template has no place for the response, or does not end it.
        """
        turns, asked = [dict(turn) for turn in prompt], self._asked
        if asked is None or asked[0] != turns:  # several responses to one prompt: it is read once
            asked = self._asked = turns, self.prompt(prompt)
        before = asked[1]
        ids, mask = self.conversation([*prompt, {"role": "assistant", "content": response}])
        last = max((place for place, own in enumerate(mask) if own), default=-1)
        start = last
        while start > 0 and mask[start - 1]:
            start -= 1
        if last < 0 or ids[last] != self.end:
            raise DanluError(
                f"the model's chat template does not end the assistant's turn with {self.end_text} inside its markers.",
                "Put the end token before {% endgeneration %}, or give --template chatml.",
            )
        if ids[:start] == before:
            return Text(tuple(ids[: last + 1]), start)
        # A line end at the response's beginning has joined the prompt's last one. The model that answers cannot do so.
        spoken = self._literal.encode(response, add_special_tokens=False).ids
        return Text((*before, *spoken, self.end), len(before))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a response's tokens, without special ones."""
        text: str = self._literal.decode(list(tokens), skip_special_tokens=True)
        return text

    def _encode(self, messages: Sequence[Turn], ask: bool) -> tuple[list[int], list[bool]]:
        hidden: list[str] = []
        rendered = self._render([{**turn, "content": self._hide(turn["content"], hidden)} for turn in messages], ask)
        ids: list[int] = []
        mask: list[bool] = []
        # Cut at the hidden tokens; what the assistant generated stands between two marks, which are taken out.
        first, *rest = rendered.split(f"\ufdd0{self._mark}:")
        generated = self._append(first, False, ids, mask)
        for part in rest:
            number, _, after = part.partition("\ufdd1")
            spelled = self._literal.encode(hidden[int(number)], add_special_tokens=False).ids
            ids += spelled
            mask += [generated] * len(spelled)
            generated = self._append(after, generated, ids, mask)
        return ids, mask

    def _append(self, part: str, generated: bool, ids: list[int], mask: list[bool]) -> bool:
        """Add a stretch of rendered text; returns whether it ends inside what the assistant generated."""
        pieces = re.split("([\ufdd2\ufdd3])" + self._mark, part)
        own: list[bool] = []
        for piece in pieces:
            if piece in ("\ufdd2", "\ufdd3"):
                generated = piece == "\ufdd2"
            else:
                own += [generated] * len(piece)
        encoding = self._markup.encode("".join(pieces[::2]), add_special_tokens=False)
        ids += encoding.ids
        before = [0, *accumulate(own)]
        mask += [before[last] > before[first] for first, last in encoding.offsets]
        return generated

    def _hide(self, text: str, hidden: list[str]) -> str:
        for name in self._names:
            while name in text:
                text = text.replace(name, f"\ufdd0{self._mark}:{len(hidden)}\ufdd1", 1)
                hidden.append(name)
        return text

    def _render(self, messages: list[dict[str, str]], ask: bool) -> str:
        try:
            text: str = self._compiled.render(
                messages=messages, add_generation_prompt=ask, tools=None, documents=None, **self._special
            )  # fmt: skip
        except jinja2.TemplateError as error:
            raise DanluError(
                f"the model's chat template refuses a conversation: {error}.",
                "Look at its chat_template.jinja for the roles and order that it allows, or give --template chatml.",
            ) from error
        return text


def load_chat(folder: Path, template: Literal["auto", "own", "chatml"] = "auto") -> Chat:
    """How the model of a folder writes conversations.

    Args:
        template: `own`: the folder's template; `chatml`: danlu's; `auto`: the folder's where it has one.

    Raises:
        DanluError: the template lacks generation markers, a token that it needs is missing, or PAD is the end token.
    """
    markup, literal = load_tokenizer(folder, markup=True), load_tokenizer(folder)
    path = folder / "tokenizer_config.json"
    settings: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    special = {key: _content(settings.get(key)) or "" for key in ("bos_token", "eos_token")}
    own = None if template == "chatml" else read_template(folder)
    if own is None and template == "own":
        raise DanluError(
            f"there is no chat template in {folder}.", "Leave --template out to teach danlu's own, ChatML."
        )
    chatml = own is None or MESSAGE_END in own
    end = token_id(markup, MESSAGE_END if chatml else special["eos_token"])
    pads = [markup.token_to_id(token) for token in (_content(settings.get("pad_token")), PAD, END_OF_TEXT) if token]
    pad = next((one for one in pads if one is not None), end)
    return Chat(own or CHAT_TEMPLATE, markup, literal, end, pad, special)


def read_template(folder: Path) -> str | None:
    """The chat template of a model folder; None: it has none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    path = folder / "tokenizer_config.json"
    found: Any = read_json(path).get("chat_template") if path.is_file() else None
    if isinstance(found, list):  # several by name, as some Hugging Face folders have
        found = next((each["template"] for each in found if each.get("name") == "default"), None)
    return found if isinstance(found, str) and found.strip() else None


def same_vocabulary(a: Path, b: Path) -> bool:
    """Whether two folders' tokenizers give every text the same ids."""
    return load_tokenizer(a).to_str() == load_tokenizer(b).to_str()


def _content(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token


class Generated(Extension):
    """`{% generation %}...{% endgeneration %}`: what the assistant says, put between two marks where there is one."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own declaration)

    def parse(self, parser: Parser) -> nodes.Node:
        """Read the block."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_between"), [], [], body).set_lineno(line)

    def _between(self, caller: Any) -> str:
        mark = self.environment.globals.get("generation_mark")
        return caller() if mark is None else f"\ufdd2{mark}{caller()}\ufdd3{mark}"


def template_environment(mark: str | None = None) -> jinja2.Environment:
    """Where templates are run: no access to Python, and the functions that `transformers` gives.

    Args:
        mark: put around what the assistant generates, after U+FDD2 and U+FDD3.
    """

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generated]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals |= {"raise_exception": refuse, "generation_mark": mark}
    return environment
