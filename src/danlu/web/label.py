"""The annotation page's endpoints. A labeler never learns who wrote what, nor which tasks are tests or repeats."""

import json
import time as clock
from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa
from starlette.responses import Response
from starlette.routing import BaseRoute

from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping, to_mapping
from danlu.feedback.formats import FileKind, Style
from danlu.feedback.log import log
from danlu.feedback.outgoing import export_all, export_format, export_store
from danlu.feedback.records import Prompt, Ranking, dense_ranks, fingerprint, prompt_text
from danlu.feedback.state import leases, tasks
from danlu.feedback.tasks import Lease, Task, TaskKind
from danlu.web.accounts import Role
from danlu.web.conversations import check_id
from danlu.web.database import metadata
from danlu.web.endpoints import Call, endpoint
from danlu.web.guard import Refused
from danlu.web.label_figures import conflicts, figures
from danlu.web.label_models import MOST_PROMPTS, begin, beginning_of, overlapping, sample

_BOTH: tuple[Role, ...] = ("admin", "labeler")
_MOST_TASKS = 10_000
FLAGS = ("not_an_answer", "harmful", "personal_data", "broken_prompt", "wrong_language", "cannot_judge")
"""What can be found wrong with a prompt or a completion."""
_MEDIA = {"jsonl": "application/x-ndjson", "parquet": "application/vnd.apache.parquet"}

drafts = sa.Table(
    "web_drafts",
    metadata,
    sa.Column("lease", sa.String(64), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("updated", sa.Float(53), nullable=False),
)


@dataclass(frozen=True)
class Answer:
    """A ranking or a demonstration, under an identity that the page made."""

    id: str
    lease: str
    ranks: tuple[int, ...] = ()
    """In the order shown; lower is better, equal is tied."""
    response: str = ""
    seconds: float | None = None
    flags: tuple[str, ...] = ()
    completion_flags: tuple[tuple[str, ...], ...] = ()
    ratings: tuple[int | None, ...] = ()
    strength: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Skip:
    """A task left to others."""

    id: str
    lease: str
    reason: str


@dataclass(frozen=True)
class Undo:
    """The last answer or skip taken back."""

    id: str


@dataclass(frozen=True)
class Draft:
    """A response that is being written."""

    text: str


@dataclass(frozen=True)
class NewTasks:
    """Tasks to be handed out."""

    tasks: tuple[Task, ...]
    shared: float = 1.0
    """Share of those that are wanted from several people which really go to several; the others go to one."""


@dataclass(frozen=True)
class Adjudication:
    """The last word on completions that people ranked differently."""

    prompt: Prompt
    completions: tuple[str, ...]
    ranks: tuple[int, ...]
    note: str = ""


def routes() -> list[BaseRoute]:
    """The routes of this file."""
    return [
        endpoint("/api/label/next", _next, roles=_BOTH),
        endpoint("/api/label/answers", _answer, "POST", roles=_BOTH),
        endpoint("/api/label/skips", _skip, "POST", roles=_BOTH),
        endpoint("/api/label/undo", _undo, "POST", roles=_BOTH),
        endpoint("/api/label/leases/{lease}", _release, "DELETE", roles=_BOTH),
        endpoint("/api/label/leases/{lease}/draft", _draft, "PUT", roles=_BOTH),
        endpoint("/api/label/leases/{lease}/beginning", _beginning, "POST", roles=_BOTH),
        endpoint("/api/label/progress", _progress, roles=_BOTH),
        endpoint("/api/label/tasks", _add_tasks, "POST"),
        endpoint("/api/label/run-prompts", _run_prompts),
        endpoint("/api/label/sample", sample, "POST"),
        endpoint("/api/label/figures", _figures),
        endpoint("/api/label/conflicts", _conflicts),
        endpoint("/api/label/adjudications", _adjudicate, "POST"),
        endpoint("/api/label/export", _export),
    ]


def _next(call: Call) -> dict[str, Any]:
    """The next task, with the draft of an answer if there is one: {"task": null} when all is done."""
    besides = [name for name in call.query.get("besides", "").split(",") if name]
    kinds: list[TaskKind] = [kind for kind in get_args(TaskKind) if kind in call.query.get("kinds", "").split(",")]
    lease = call.services.desk.next_task(call.account.name, besides=besides, kinds=kinds or None)
    return {"task": None if lease is None else _shown(call, lease)}


def _shown(call: Call, lease: Lease) -> dict[str, Any]:
    """What a browser may see of a task."""
    with call.services.database.read() as connection:
        draft = connection.scalar(sa.select(drafts.c.text).where(drafts.c.lease == lease.id))
    return {
        "lease": lease.id,
        "kind": lease.kind,
        "prompt": to_mapping(lease.prompt),
        "completions": list(lease.completions),
        "expires": lease.expires,
        "draft": "" if draft is None else json.loads(draft),
    }


def _answer(call: Call) -> dict[str, Any]:
    asked = call.read(Answer)
    _check_flags(asked.flags)
    for flags in asked.completion_flags:
        _check_flags(flags)
    id = _known_id(call, asked.id)
    kind = _own_lease(call, asked.lease, id)
    desk = call.services.desk
    if kind == "demonstrate":
        begun = beginning_of(call, asked.lease)
        labels = {} if begun is None else {"began_from": {"model": begun[0], "text": begun[1]}}
        desk.demonstrate(asked.lease, asked.response, id=id, flags=asked.flags, labels=labels)
    else:
        desk.rank(
            asked.lease,
            asked.ranks,
            id=id,
            seconds=asked.seconds,
            flags=asked.flags,
            completion_flags=asked.completion_flags,
            ratings=asked.ratings,
            strength=asked.strength,
            note=asked.note,
        )
    return {"kept": asked.id}


def _skip(call: Call) -> dict[str, Any]:
    asked = call.read(Skip)
    id = _known_id(call, asked.id)
    _own_lease(call, asked.lease, id)
    if not asked.reason.strip():
        raise DanluError("a skip has no reason.", "Say why in a few words.")
    call.services.desk.skip(asked.lease, asked.reason, id=id)
    return {"kept": asked.id}


def _undo(call: Call) -> dict[str, Any]:
    asked = call.read(Undo)
    lease = call.services.desk.undo(call.account.name, id=_known_id(call, asked.id))
    return {"task": None if lease is None else _shown(call, lease)}


def _release(call: Call) -> dict[str, Any]:
    _own_lease(call, call.path["lease"])
    call.services.desk.release(call.path["lease"])
    return {}


def _draft(call: Call) -> dict[str, Any]:
    lease, text = call.path["lease"], json.dumps(call.read(Draft).text)
    _own_lease(call, lease)
    with call.services.database.write() as connection:
        changed = connection.execute(
            drafts.update().where(drafts.c.lease == lease).values(text=text, updated=clock.time())
        )
        if not changed.rowcount:
            connection.execute(drafts.insert().values(lease=lease, text=text, updated=clock.time()))
    return {}


def _beginning(call: Call) -> dict[str, Any]:
    """An answer of the first model to start from, the same each time; that somebody saw it is kept with theirs."""
    lease = call.path["lease"]
    if _own_lease(call, lease) != "demonstrate":
        raise DanluError("this task asks for an order, not for a response.", "Answer it with ranks.")
    with call.services.desk.log.read() as connection:
        task = connection.execute(sa.select(leases.c.task).where(leases.c.id == lease)).scalar_one()
    return {"text": begin(call, lease, call.services.desk.task(task).prompt)}


def _progress(call: Call) -> dict[str, Any]:
    """How far it is: the caller's count, what is left for them, and what for others alone; administrators see all."""
    desk, name = call.services.desk, call.account.name
    progress, left = desk.progress(), desk.open_to(name)
    others = max(0, progress.answers_wanted - progress.answers - left)
    found: dict[str, Any] = {"mine": progress.by_annotator.get(name, 0), "left": left, "others": others}
    return found | ({"all": to_mapping(progress)} if call.account.role == "admin" else {})


def _add_tasks(call: Call) -> dict[str, Any]:
    asked = call.read(NewTasks)
    if len(asked.tasks) > _MOST_TASKS:
        raise DanluError(f"there are {len(asked.tasks)} tasks.", f"Send {_MOST_TASKS} at most at a time.")
    added = call.services.desk.add_tasks(overlapping(asked.tasks, asked.shared))
    call.services.accounts.note("tasks added", str(added.added), actor=call.account.name, address=call.address)
    return to_mapping(added)


def _run_prompts(call: Call) -> list[str]:
    """?count=20: prompts of the run that is served which nobody was asked to demonstrate."""
    run, desk = call.services.run, call.services.desk
    if run is None:
        raise DanluError("no run is served.", "Start the server with a run folder: danlu serve RUN.")
    with desk.log.read() as connection:
        bodies = connection.scalars(sa.select(tasks.c.body).where(tasks.c.kind == "demonstrate")).all()
    asked = {prompt_text(from_mapping(Task, json.loads(body), "the store").prompt) for body in bodies}
    return run.prompts(call.number("count", 20, 1, MOST_PROMPTS), asked)


def _figures(call: Call) -> dict[str, Any]:
    return figures(call.services.desk)


def _conflicts(call: Call) -> list[dict[str, Any]]:
    return conflicts(call.services.desk)


def _adjudicate(call: Call) -> dict[str, Any]:
    asked = call.read(Adjudication)
    ranking = Ranking(
        asked.prompt,
        asked.completions,
        dense_ranks(asked.ranks),
        annotator=call.account.name,
        time=clock.time(),
        note=asked.note,
        source="adjudication",
    )
    return to_mapping(call.services.desk.add_records([ranking]))


def _export(call: Call) -> Response:
    """?format=rankings|preference|...|all&file=jsonl|parquet&style=conversation|text&flagged=1&part=data|manifest."""
    query, store = call.query, call.services.desk
    form, kind = query.get("format", "rankings"), _one_of(call, "file", FileKind)
    style, flagged = _one_of(call, "style", Style), query.get("flagged") == "1"
    if form == "all":
        name, data, media = "feedback.zip", export_all(store, kind, style=style, flagged=flagged), "application/zip"
    else:
        form = export_format(form)
        made = export_store(store, f"{form}.{kind}", form, style=style, flagged=flagged)
        if _one_of(call, "part", Literal["data", "manifest"]) == "manifest":
            name, data, media = made.manifest_name, made.manifest, "application/json"
        else:
            name, data, media = made.name, made.data, _MEDIA[kind]
    call.services.accounts.note("feedback exported", name, actor=call.account.name, address=call.address)
    return Response(data, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _one_of(call: Call, name: str, kind: Any) -> Any:
    """A word of the query, by default the first of its kind."""
    known: tuple[str, ...] = get_args(kind)
    word = call.query.get(name, known[0])
    if word not in known:
        raise DanluError(f"{name} is {word[:20]!r}.", f"It is one of {', '.join(known)}.")
    return word


def _known_id(call: Call, id: str) -> str:
    """The page's identity for an answer, so changed that nobody can name another person's."""
    check_id(id)
    return fingerprint([call.account.name, id])


def _own_lease(call: Call, lease: str, id: str | None = None) -> str:
    """The kind of a task that is in the caller's hands.

    Raises:
        Refused: it is somebody else's or unknown (404), or answered already (409), unless by this very answer.
    """
    desk = call.services.desk
    with desk.log.read() as connection:
        row = connection.execute(sa.select(leases).where(leases.c.id == lease)).first()
    if row is None or row.annotator != call.account.name:
        raise Refused(404, "this task was not handed out to you.", "Fetch the next task.")
    if not row.is_open and (id is None or not _is_known(call, id)):
        raise Refused(409, "this task is answered already, or was given back.", "Undo the answer to change it.")
    return desk.task(row.task).kind


def _is_known(call: Call, id: str) -> bool:
    with call.services.desk.log.read() as connection:
        return connection.execute(sa.select(log.c.id).where(log.c.id == id)).first() is not None


def _check_flags(flags: tuple[str, ...]) -> None:
    for flag in flags:
        if flag not in FLAGS:
            raise DanluError(f"there is no flag {flag[:50]!r}.", f"They are {', '.join(FLAGS)}; use a note for more.")
