"""Other people's formats: which one a row is in, and what it says as our records.

TRL's are those of its documentation's page "Dataset formats" (preference, prompt-completion and messages; as strings or
as conversations; the prompt explicit or as the common beginning). hh-rlhf is Anthropic's transcripts. A row that says
nothing usable is dropped with a reason; a file in a format that cannot be used is refused with a way to convert it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from danlu.common.errors import DanluError
from danlu.feedback.records import (
    Demonstration,
    Message,
    Prompt,
    Ranking,
    Record,
    demonstration_from,
    prompt_of,
    ranking_from,
)

Row: TypeAlias = Mapping[str, Any]
HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
"""What stands before the turns of an hh-rlhf transcript."""
_ROLES = {"human": "user", "prompter": "user", "user": "user", "assistant": "assistant", "gpt": "assistant",
          "model": "assistant", "system": "system"}  # fmt: skip

Style = Literal["conversation", "text"]
"""Whether TRL's prompts and completions are lists of messages or plain strings."""
RankingFormat = Literal["rankings", "preference", "preference-implicit", "hh-rlhf"]
DemonstrationFormat = Literal["demonstrations", "prompt-completion", "messages"]
ExportFormat: TypeAlias = RankingFormat | DemonstrationFormat | Literal["unpaired"]
"""What is written: `rankings` and `demonstrations` are our own and hold everything, `unpaired` are thumbs."""
FileKind = Literal["jsonl", "parquet"]


class Dropped(Exception):
    """A row, or a part of one, that says nothing usable, and why. Raised for a row, given back for a part."""


@dataclass(frozen=True)
class Format:
    """A format: how its rows are known and read."""

    name: str
    title: str
    """For a message."""
    keys: frozenset[str]
    """What every row has."""
    read: Callable[[Row, str], Iterator[Record | Dropped]]
    """The records of a row, and what of it was dropped; the second argument is its place. Raises Dropped."""


@dataclass(frozen=True)
class Stranger:
    """A format that is known, but says neither how to answer nor which answer is better in a way that can be used."""

    title: str
    keys: frozenset[str]
    remedy: str


# Pieces


def messages_of(value: Any, where: str) -> tuple[Message, ...]:
    """A list of messages as TRL writes it.

    Raises:
        DanluError: it is none.
    """
    if not isinstance(value, list):
        raise DanluError(f"{where}: a conversation is no list of messages.", "Write [{role, content}, ...].")
    found = []
    for turn in value:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("content"), str) or "role" not in turn:
            raise DanluError(f"{where}: a message lacks its role or content.", "Write {role, content}, both text.")
        role = _ROLES.get(str(turn["role"]))
        if role is None:
            raise DanluError(f"{where}: the role {turn['role']!r} is unknown.", "Use system, user or assistant.")
        found.append(Message(role, turn["content"]))  # type: ignore[arg-type]
    return tuple(found)


def _prompt(value: Any, where: str) -> Prompt:
    return prompt_of(value) if isinstance(value, str) else messages_of(value, where)


def _response(value: Any, where: str) -> str:
    """A response: a string, or a list of one assistant message."""
    if isinstance(value, str):
        return value
    turns = messages_of(value, where)
    if len(turns) != 1 or turns[0].role != "assistant":
        raise Dropped("more than one turn after the prompt")
    return turns[0].content


def _pair(prompt: Prompt, chosen: str, rejected: str, source: str) -> Ranking:
    if chosen == rejected:
        raise Dropped("chosen and rejected are the same")
    if not prompt or prompt[-1].role == "assistant" or not any(message.content.strip() for message in prompt):
        raise Dropped("no prompt")
    return Ranking(prompt, (chosen, rejected), (0, 1), source=source)


def _source(where: str) -> str:
    """The file of a place."""
    return where.rsplit(", ", 1)[0].rsplit("/", 1)[-1]


def _demonstration(prompt: Prompt, response: str, where: str) -> Demonstration:
    if not response.strip():
        raise Dropped("empty response")
    if not prompt or prompt[-1].role == "assistant" or not any(message.content.strip() for message in prompt):
        raise Dropped("no prompt")
    return Demonstration(prompt, response, _source(where))


# Readers


def _with_turns(row: Row) -> Row:
    """A row whose prompt may be a string."""
    prompt = row["prompt"]
    return {**row, "prompt": [{"role": "user", "content": prompt}]} if isinstance(prompt, str) else row


def _ours_ranking(row: Row, where: str) -> Iterator[Record | Dropped]:
    completions = row["completions"]
    if isinstance(completions, list) and len(completions) < 2:
        raise Dropped("fewer than two completions")
    yield ranking_from(_with_turns(row), where)


def _ours_demonstration(row: Row, where: str) -> Iterator[Record | Dropped]:
    yield demonstration_from(_with_turns(row), where)


def _preference(row: Row, where: str) -> Iterator[Record | Dropped]:
    chosen, rejected = row["chosen"], row["rejected"]
    if isinstance(chosen, list) and isinstance(rejected, list) and len(chosen) > 1 < len(rejected):
        yield _conversations(messages_of(chosen, where), messages_of(rejected, where), where)  # the prompt is in them
        return
    prompt = _prompt(row["prompt"], where)
    yield _pair(prompt, _response(chosen, where), _response(rejected, where), _source(where))


def _implicit(row: Row, where: str) -> Iterator[Record | Dropped]:
    chosen, rejected = row["chosen"], row["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str):
        if chosen.startswith(HUMAN) and rejected.startswith(HUMAN):
            yield _transcripts(chosen, rejected, where)
            return
        at = _common_beginning(chosen, rejected)
        yield _pair(prompt_of(chosen[:at].rstrip()), chosen[at:].lstrip(), rejected[at:].lstrip(), _source(where))
        return
    yield _conversations(messages_of(chosen, where), messages_of(rejected, where), where)


def _conversations(chosen: tuple[Message, ...], rejected: tuple[Message, ...], where: str) -> Ranking:
    """Two conversations that are alike up to the last answers."""
    if not chosen or not rejected or chosen[:-1] != rejected[:-1]:
        raise Dropped("the conversations part before the last turn")
    if chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        raise Dropped("a conversation does not end with the assistant")
    return _pair(chosen[:-1], chosen[-1].content, rejected[-1].content, _source(where))


def _common_beginning(a: str, b: str) -> int:
    """How far two texts are alike, to the end of a word."""
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    while at > 0 and not (a[at - 1].isspace() or at == len(a) or a[at].isspace()):
        if "一" <= a[at - 1] <= "鿿":  # a Chinese character is a word
            break
        at -= 1
    return at


def turns_of(transcript: str) -> tuple[Message, ...]:
    """The turns of an hh-rlhf transcript.

    Raises:
        Dropped: it does not begin with a human's turn.
    """
    if not transcript.startswith(HUMAN):
        raise Dropped("no transcript")
    found: list[Message] = []
    for piece in transcript.split(HUMAN)[1:]:
        human, *answers = piece.split(ASSISTANT)
        found.append(Message("user", human.strip()))
        found.extend(Message("assistant", answer.strip()) for answer in answers)
    return tuple(found)


def _transcripts(chosen: str, rejected: str, where: str) -> Ranking:
    return _conversations(turns_of(chosen), turns_of(rejected), where)


def _prompt_completion(row: Row, where: str) -> Iterator[Record | Dropped]:
    yield _demonstration(_prompt(row["prompt"], where), _response(row["completion"], where), where)


def _messages(row: Row, where: str) -> Iterator[Record | Dropped]:
    turns = messages_of(row["messages"], where)
    if not turns or turns[-1].role != "assistant":
        raise Dropped("a conversation does not end with the assistant")
    yield _demonstration(turns[:-1], turns[-1].content, where)


def _tree(row: Row, where: str) -> Iterator[Record | Dropped]:
    """An Open-Assistant tree: each group of ranked replies is a ranking, each best or only reply a demonstration."""
    root = row["prompt"]
    if not isinstance(root, Mapping) or "replies" not in root:
        raise DanluError(f"{where}: the tree has no replies.", "Give a file of trees, as Open-Assistant exports them.")
    yield from _branch((), root, _source(where))


def _branch(before: Prompt, node: Row, source: str) -> Iterator[Record | Dropped]:
    here = (*before, Message("user" if node["role"] == "prompter" else "assistant", node["text"]))
    replies = [reply for reply in node.get("replies", []) if not reply.get("deleted")]
    yield from (Dropped("deleted message") for _ in range(len(node.get("replies", [])) - len(replies)))
    if here[-1].role == "user" and replies:
        ranked = sorted((reply for reply in replies if reply.get("rank") is not None), key=lambda reply: reply["rank"])
        if len(replies) > 1:
            yield from (Dropped("reply without a rank") for _ in range(len(replies) - len(ranked)))
        if len(ranked) > 1:
            yield Ranking(
                here,
                tuple(reply["text"] for reply in ranked),
                tuple(int(reply["rank"]) for reply in ranked),
                completion_sources=tuple(reply.get("model_name") or "person" for reply in ranked),
                source=source,
            )
        best = ranked[0] if ranked else replies[0] if len(replies) == 1 else None
        if best is not None and best["text"].strip():
            yield Demonstration(here, best["text"], source, best.get("model_name") or "person")
    for reply in replies:
        yield from _branch(here, reply, source)


def _pandalm(row: Row, where: str) -> Iterator[Record | Dropped]:
    """A pair with the choices of several annotators: 1 or 2, or 0 for a tie."""
    request = row["instruction"] + (f"\n\n{row['input']}" if row.get("input") else "")
    sources = tuple(str(row.get("cmp_key", "")).split("_"))
    for name in sorted(key for key in row if key.startswith("annotator")):
        choice = row[name]
        if choice not in (0, 1, 2):
            raise DanluError(f"{where}: {name} says {choice!r}.", "It must be 0 (a tie), 1 or 2.")
        yield Ranking(
            prompt_of(request),
            (row["response1"], row["response2"]),
            ((0, 0), (0, 1), (1, 0))[choice],
            annotator=name,
            completion_sources=sources if len(sources) == 2 else (),
            source=_source(where),
            labels={"item": row.get("idx")},
        )


# What there is


def _format(name: str, title: str, keys: str, read: Callable[[Row, str], Iterator[Record | Dropped]]) -> Format:
    return Format(name, title, frozenset(keys.split()), read)


FORMATS = (
    _format("rankings", "our rankings", "prompt completions ranks", _ours_ranking),
    _format("demonstrations", "our demonstrations", "prompt response", _ours_demonstration),
    _format("pandalm", "PandaLM's annotated pairs", "instruction response1 response2", _pandalm),
    _format("trees", "Open-Assistant's trees", "message_tree_id prompt", _tree),
    _format("preference", "TRL preferences", "prompt chosen rejected", _preference),
    _format("preference-implicit", "TRL or hh-rlhf preferences without a prompt", "chosen rejected", _implicit),
    _format("prompt-completion", "TRL prompts with completions", "prompt completion", _prompt_completion),
    _format("messages", "conversations", "messages", _messages),
)
"""The formats that are read, those with more keys first."""
STRANGERS = (
    Stranger(
        "unpaired feedback (thumbs up or down)",
        frozenset({"prompt", "completion", "label"}),
        "Keep the rows whose label is true, without the label, as demonstrations; a ranking needs two completions.",
    ),
    Stranger(
        "Alpaca's instructions",
        frozenset({"instruction", "output"}),
        'Write each as {"prompt": instruction + input, "completion": output}.',
    ),
    Stranger(
        "ShareGPT's conversations",
        frozenset({"conversations"}),
        'Write each as {"messages": [{"role": from, "content": value}, ...]}.',
    ),
    Stranger(
        "Open-Assistant's flat messages",
        frozenset({"message_id", "parent_id"}),
        "Give the file of trees (its rows have message_tree_id and prompt with replies).",
    ),
    Stranger(
        "questions with answers", frozenset({"question", "answer"}),
        'Write each as {"prompt": question, "completion": answer}.',
    ),
    Stranger("plain text", frozenset({"text"}), "Pretrain on it; feedback has prompts and responses."),
    Stranger("prompts alone", frozenset({"prompt"}), "Sample responses to them first."),
)  # fmt: skip


def looks_like(row: Row) -> Format | Stranger | None:
    """The format of a row by its keys; None: none that is known."""
    keys = set(row)
    unpaired = STRANGERS[0]
    if unpaired.keys <= keys:
        return unpaired
    for candidate in (*FORMATS, *STRANGERS):
        if candidate.keys <= keys:
            return candidate
    return None
