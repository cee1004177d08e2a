"""What the served models do for annotators: answers to be ranked, and one to start a demonstration from."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from danlu.common.errors import DanluError
from danlu.common.strict import to_mapping
from danlu.feedback.records import Prompt, fingerprint, prompt_of, prompt_text
from danlu.feedback.tasks import Task, wanted_with_overlap
from danlu.web.asking import Settings, chat_tokens, request_of, text_tokens
from danlu.web.database import metadata
from danlu.web.endpoints import Call
from danlu.web.served import ServedModel

MOST_PROMPTS = 500
_BEGINNING_TOKENS = 512

beginnings = sa.Table(
    "web_beginnings",
    metadata,
    sa.Column("lease", sa.String(64), primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
"""The model's answer that somebody asked to start from; the text as JSON, for a database may not take every character.
"""


@dataclass(frozen=True)
class Sample:
    """Prompts that a model is to answer several times each, to be ranked."""

    model: str
    prompts: tuple[str, ...]
    completions: int = 4
    wanted: int = 1
    shared: float = 1.0
    """Share of the tasks that go to `wanted` people; the others go to one."""
    settings: Settings = field(default_factory=Settings)


def sample(call: Call) -> dict[str, Any]:
    """Ranking tasks from a model's own answers; of prompts whose answers are all the same, none."""
    asked = call.read(Sample)
    model = call.services.models.get(asked.model)
    if model is None:
        raise DanluError(f"there is no model {asked.model!r}.", "GET /api/models lists them.")
    if not 1 <= len(asked.prompts) <= MOST_PROMPTS or not 2 <= asked.completions <= 9:
        raise DanluError(
            f"{len(asked.prompts)} prompts with {asked.completions} completions were asked for.",
            f"Send 1 to {MOST_PROMPTS} prompts, with 2 to 9 completions.",
        )

    def task(prompt: str) -> Task | None:
        messages = prompt_of(prompt)
        texts = list(dict.fromkeys(_answers(call, model, messages, asked.settings, asked.completions)))
        if len(texts) < 2:
            return None
        sources = (model.name,) * len(texts)
        return Task("rank", messages, tuple(texts), sources, asked.wanted, labels={"source": "sampled"})

    with ThreadPoolExecutor(8) as pool:
        made = [each for each in pool.map(task, asked.prompts) if each is not None]
    return to_mapping(call.services.desk.add_tasks(overlapping(made, asked.shared)))


def overlapping(tasks: Sequence[Task], share: float) -> list[Task]:
    """The tasks, of which a share stays wanted from several people and the rest from one; which, their content says.

    Raises:
        DanluError: the share is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise DanluError(f"the share of the tasks for several people is {share:g}.", "Give 0 to 1.")
    return [
        replace(task, wanted=wanted_with_overlap(fingerprint(to_mapping(task)), share, task.wanted)) for task in tasks
    ]


def begin(call: Call, lease: str, prompt: Prompt) -> str:
    """An answer of the first model to start a demonstration from, the same each time it is asked for.

    Raises:
        DanluError: no model is served, or the prompt fills its context.
    """
    if (known := beginning_of(call, lease)) is not None:
        return known[1]
    model = next(iter(call.services.models), None)
    if model is None:
        raise DanluError("no model is served.", "Start the server with one: danlu serve RUN.")
    (text,) = _answers(call, model, prompt, Settings(max_tokens=_BEGINNING_TOKENS), 1)
    with call.services.database.write() as connection:
        first = connection.scalar(sa.select(beginnings.c.text).where(beginnings.c.lease == lease))
        if first is not None:  # asked for twice at the same time
            return str(json.loads(first))
        connection.execute(beginnings.insert().values(lease=lease, model=model.name, text=json.dumps(text)))
    return text


def beginning_of(call: Call, lease: str) -> tuple[str, str] | None:
    """The model and its answer that somebody saw before they wrote theirs; None: they began with nothing."""
    with call.services.database.read() as connection:
        row = connection.execute(sa.select(beginnings).where(beginnings.c.lease == lease)).first()
    return None if row is None else (row.model, json.loads(row.text))


def _answers(call: Call, model: ServedModel, prompt: Prompt, settings: Settings, count: int) -> list[str]:
    """What a model says to a prompt; one that was not taught to chat goes on from its text."""
    loaded = model.loaded.result()
    tokens = (
        text_tokens(loaded, prompt_text(prompt))
        if model.template is None
        else chat_tokens(model, loaded, [{"role": each.role, "content": each.content} for each in prompt])
    )
    asking = request_of(model, tokens, settings, call.account.name, n=count)
    return [each.text for each in loaded.engine.complete(asking)]
