"""Giving feedback out in the formats that others train on, each file with a manifest of what is in it and what is not.

The same feedback makes the same bytes, whoever asks: the annotation page and `danlu label export` both come here. TRL's
formats are those of its documentation's page "Dataset formats"; none has a place for ties, which `rankings` keeps.
"""

import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, get_args

import danlu
from danlu.common.errors import DanluError
from danlu.common.files import write_atomic
from danlu.feedback.files import encode_rows, packages_for
from danlu.feedback.formats import (
    ASSISTANT,
    HUMAN,
    DemonstrationFormat,
    ExportFormat,
    FileKind,
    RankingFormat,
    Style,
)
from danlu.feedback.records import Demonstration, Message, Prompt, Ranking, prompt_text, to_json
from danlu.feedback.store import Store
from danlu.feedback.thumbs import Thumb, thumbs

EXPORT_FORMATS: tuple[ExportFormat, ...] = (*get_args(RankingFormat), *get_args(DemonstrationFormat), "unpaired")
_STYLED = ("preference", "preference-implicit", "prompt-completion", "unpaired")
"""The formats that a style changes."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first day of a zip file: when it was made is nothing that was asked
Rows: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True)
class Exported:
    """A file of feedback."""

    name: str
    data: bytes
    manifest: bytes
    """JSON: format, filters, counts, SHA-256 of the data and the version of danlu."""
    rows: int
    dropped: Mapping[str, int]
    """What the format cannot say, or what was not asked for, by reason."""

    @property
    def manifest_name(self) -> str:
        return f"{self.name}.manifest.json"

    def write(self, path: Path) -> "Exported":
        """Write the file, and its manifest beside it.

        Raises:
            DanluError: the place cannot be written.
        """
        write_atomic(path, self.data)
        write_atomic(path.with_name(self.manifest_name), self.manifest)
        return self


def export_rankings(
    rankings: Iterable[Ranking],
    path: Path,
    form: RankingFormat = "rankings",
    *,
    style: Style = "conversation",
    flagged: bool = False,
) -> Exported:
    """Write rankings to a .jsonl or .parquet file, with a manifest beside it.

    Preference formats hold pairs: a ranking of K becomes up to K choose 2 rows, and ties have no place there.

    Args:
        form: `rankings` is our own and holds everything.
        style: whether preferences are written as conversations or as plain strings.
        flagged: also those that somebody flagged.

    Raises:
        DanluError: there is nothing to write, or the place cannot be written.
    """
    made = _ranking_rows(rankings, form, style, flagged)
    return _packed(path.name, *made, form, style, flagged).write(path)


def export_demonstrations(
    demonstrations: Iterable[Demonstration],
    path: Path,
    form: DemonstrationFormat = "demonstrations",
    *,
    style: Style = "conversation",
    flagged: bool = False,
) -> Exported:
    """Write demonstrations; arguments and errors as for `export_rankings`."""
    made = _demonstration_rows(demonstrations, form, style, flagged)
    return _packed(path.name, *made, form, style, flagged).write(path)


def export_store(
    store: Store, name: str, form: ExportFormat, *, style: Style = "conversation", flagged: bool = False
) -> Exported:
    """What stands in a store as a file of that name (.jsonl or .parquet); hidden repeats and test questions are not
    exported.

    Raises:
        DanluError: nothing of the kind is in the store, or the file cannot hold it.
    """
    left: Counter[str] = Counter()
    if form in get_args(RankingFormat):
        table, dropped = _ranking_rows(_rankings_of(store, left), form, style, flagged)
    elif form in get_args(DemonstrationFormat):
        demonstrations = store.demonstrations(flagged=True)
        table, dropped = _demonstration_rows(demonstrations, form, style, flagged)
    else:
        table, dropped = [_thumb_row(each, style) for each in thumbs(store)], Counter()
    return _packed(name, table, dropped + left, form, style, flagged)


def export_all(store: Store, kind: FileKind, *, style: Style = "conversation", flagged: bool = False) -> bytes:
    """A zip file of every format of which a store has something, each with its manifest.

    Raises:
        DanluError: the store is empty, or a file cannot hold what is in it.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for form in EXPORT_FORMATS:
            try:
                made = export_store(store, f"{form}.{kind}", form, style=style, flagged=flagged)
            except NothingToExport:
                continue
            for name, data in ((made.name, made.data), (made.manifest_name, made.manifest)):
                archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), data, zipfile.ZIP_DEFLATED)
        if not archive.namelist():
            raise DanluError("there is no feedback to export.", "Collect some feedback first.")
    return target.getvalue()


def export_format(name: str) -> ExportFormat:
    """A format by its name.

    Raises:
        DanluError: there is none of that name.
    """
    for form in EXPORT_FORMATS:
        if name == form:
            return form
    raise DanluError(f"there is no format {name[:50]!r}.", f"It is one of {', '.join(EXPORT_FORMATS)}.")


class NothingToExport(DanluError):
    """The store has nothing of the kind."""


def _rankings_of(store: Store, left: Counter[str]) -> Iterator[Ranking]:
    """Those to learn from; what else there is is counted."""
    for judgement in store.judgements():
        if isinstance(judgement.record, Ranking):
            if judgement.is_repeat or judgement.gold_ranks:
                left["hidden repeats" if judgement.is_repeat else "test questions"] += 1
            else:
                yield judgement.record


def _ranking_rows(
    rankings: Iterable[Ranking], form: ExportFormat, style: Style, flagged: bool
) -> tuple[Rows, Counter[str]]:
    table: Rows = []
    dropped: Counter[str] = Counter()
    for ranking in rankings:
        if ranking.flags and not flagged:
            dropped["flagged"] += 1
        elif form == "rankings":
            table.append(to_json(ranking))
        else:
            made = [_pair_row(ranking, better, worse, form, style) for better, worse in ranking.pairs()]
            dropped["tied pairs"] += ranking.num_pairs - len(made)
            table.extend(made)
    return table, dropped


def _demonstration_rows(
    demonstrations: Iterable[Demonstration], form: ExportFormat, style: Style, flagged: bool
) -> tuple[Rows, Counter[str]]:
    write: dict[str, Callable[[Demonstration], dict[str, Any]]] = {
        "demonstrations": to_json,
        "messages": lambda record: {"messages": _turns(record.messages)},
        "prompt-completion": lambda record: {
            "prompt": _said(record.prompt, style),
            "completion": _answer(record.response, style),
        },
    }
    table: Rows = []
    dropped: Counter[str] = Counter()
    for record in demonstrations:
        if record.flags and not flagged:
            dropped["flagged"] += 1
        else:
            table.append(write[form](record))
    return table, dropped


def _thumb_row(thumb: Thumb, style: Style) -> dict[str, Any]:
    return {
        "prompt": _said(thumb.prompt, style),
        "completion": _answer(thumb.completion, style),
        "label": thumb.is_good,
    }


def _pair_row(ranking: Ranking, better: int, worse: int, form: str, style: Style) -> dict[str, Any]:
    prompt = ranking.prompt
    both = {"chosen": ranking.completions[better], "rejected": ranking.completions[worse]}
    if form == "hh-rlhf":
        return {name: _transcript(prompt, text) for name, text in both.items()}
    if form == "preference-implicit":
        if style == "text":
            return {name: f"{prompt_text(prompt)}\n{text}" for name, text in both.items()}
        return {name: _turns((*prompt, Message("assistant", text))) for name, text in both.items()}
    return {"prompt": _said(prompt, style)} | {name: _answer(text, style) for name, text in both.items()}


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _said(prompt: Prompt, style: Style) -> str | list[dict[str, str]]:
    return prompt_text(prompt) if style == "text" else _turns(prompt)


def _answer(text: str, style: Style) -> str | list[dict[str, str]]:
    return text if style == "text" else [{"role": "assistant", "content": text}]


def _transcript(prompt: Prompt, response: str) -> str:
    """An hh-rlhf transcript; it knows no system turn, whose words go before the human's first."""
    text, system = "", ""
    for message in prompt:
        if message.role == "system":
            system += message.content + "\n"
        else:
            text += f"{HUMAN if message.role == 'user' else ASSISTANT} {system}{message.content}"
            system = ""
    return f"{text}{ASSISTANT} {response}"


def _packed(name: str, table: Rows, counted: Counter[str], form: ExportFormat, style: Style, flagged: bool) -> Exported:
    dropped = {reason: number for reason, number in sorted(counted.items()) if number}
    if not table:
        reasons = ", ".join(f"{number} {reason}" for reason, number in dropped.items())
        if not reasons:
            raise NothingToExport(f"there is nothing to export as {form}.", "Collect some feedback first.")
        raise NothingToExport(f"there is nothing to export as {form} ({reasons}).", "Collect some feedback first.")
    data = encode_rows(name, table)
    manifest = {
        "file": name,
        "format": form,
        **({"style": style} if form in _STYLED else {}),
        "filters": {"flagged": flagged, "hidden repeats": False, "test questions": False},
        "rows": len(table),
        "left_out": dropped,
        "sha256": hashlib.sha256(data).hexdigest(),
        "danlu": danlu.__version__,
        **packages_for(name),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    return Exported(name, data, text.encode(), len(table), dropped)
