"""Bringing feedback in from files and giving it out, with counts of what was left behind and why."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import danlu
from danlu.common.errors import DanluError
from danlu.common.files import sha256_file, write_json
from danlu.feedback.files import is_store, rows, write_rows
from danlu.feedback.formats import ASSISTANT, FORMATS, HUMAN, Dropped, Format, looks_like
from danlu.feedback.records import Demonstration, Message, Prompt, Ranking, Record, prompt_text, to_json

Style = Literal["conversation", "text"]


@dataclass(frozen=True)
class Imported:
    """What a file held."""

    format: str
    """The name of its format."""
    records: tuple[Record, ...]
    rows: int
    dropped: Mapping[str, int]
    """Rows, and parts of rows, that were left out, by reason."""

    @property
    def rankings(self) -> tuple[Ranking, ...]:
        return tuple(record for record in self.records if isinstance(record, Ranking))

    @property
    def demonstrations(self) -> tuple[Demonstration, ...]:
        return tuple(record for record in self.records if isinstance(record, Demonstration))

    def summary(self) -> str:
        """One line for a person."""
        parts = [f"{len(self.rankings)} rankings", f"{len(self.demonstrations)} demonstrations"]
        text = f"{self.rows} rows of {self.format}: {' and '.join(parts)}"
        if self.dropped:
            reasons = ", ".join(f"{number} ({reason})" for reason, number in sorted(self.dropped.items()))
            text += f"; left out: {reasons}"
        return text


def read_feedback(path: Path, wanted: Literal["rankings", "demonstrations", "any"] = "any") -> Imported:
    """Read a file of feedback in any format that is known, by its content; the annotation page's store (an SQLite file)
    is one.

    Args:
        wanted: what it must hold some of.

    Raises:
        DanluError: the file is unreadable or in no format that can be used (it says which one it looks like and what
            to do), a row is damaged, or nothing that is wanted is in it.
    """
    if is_store(path):
        return _from_store(path, wanted)
    form: Format | None = None
    records: list[Record] = []
    dropped: Counter[str] = Counter()
    number = 0
    for where, row in rows(path):
        number += 1
        if form is None:
            form = _known(row, where)
        elif not form.keys <= set(row):
            other = looks_like(row)
            dropped[f"not in the file's format, {'looks like ' + other.title if other else 'of unknown format'}"] += 1
            continue
        try:
            for record in form.read(row, where):
                if isinstance(record, Dropped):
                    dropped[str(record)] += 1
                else:
                    records.append(record)
        except Dropped as reason:
            dropped[str(reason)] += 1
        except DanluError as error:
            if where in error.cause:
                raise
            raise DanluError(f"{where}: {error.cause}", error.remedy) from error
    if form is None:
        raise DanluError(f"{path} is empty.", "Give a file with at least one row.")
    imported = Imported(form.name, tuple(records), number, dict(dropped))
    _hold(imported, path, wanted)
    return imported


def _from_store(path: Path, wanted: Literal["rankings", "demonstrations", "any"]) -> Imported:
    """What stands in a store, without what somebody flagged, hidden repeats and test questions."""
    from danlu.feedback.store import Store

    store = Store(path)
    try:
        records: list[Record] = [] if wanted == "rankings" else list(store.demonstrations())
        records += [] if wanted == "demonstrations" else list(store.rankings())
    finally:
        store.close()
    if not records:
        what = "feedback" if wanted == "any" else wanted
        raise DanluError(f"{path} is a store without {what} so far.", "Give some at `danlu serve`, at /label.")
    return Imported("an annotation page's store", tuple(records), len(records), {})


def _known(row: Mapping[str, Any], where: str) -> Format:
    found = looks_like(row)
    if isinstance(found, Format):
        return found
    if found is not None:
        raise DanluError(f"{where} looks like {found.title}, which is no feedback that can be used.", found.remedy)
    keys = ", ".join(sorted(row)) or "none"
    known = "; ".join(f"{form.title} ({', '.join(sorted(form.keys))})" for form in FORMATS)
    raise DanluError(f"{where} has the keys {keys}: of no known format.", f"Known: {known}.")


def _hold(imported: Imported, path: Path, wanted: str) -> None:
    """Refuse a file without what is wanted."""
    if wanted == "rankings" and not imported.rankings and imported.demonstrations:
        raise DanluError(
            f"{path} holds demonstrations ({imported.format}), and rankings are wanted.",
            "Give a file of preferences or rankings; fine-tune on this one.",
        )
    if wanted == "demonstrations" and not imported.demonstrations and imported.rankings:
        raise DanluError(
            f"{path} holds rankings ({imported.format}), and demonstrations are wanted.",
            "Give a file of prompts with completions; train a reward model on this one.",
        )
    if not imported.records:
        raise DanluError(
            f"nothing in {path} can be used: {imported.summary()}.", "Mend the rows, or give another file."
        )


@dataclass(frozen=True)
class Exported:
    """What was written."""

    rows: int
    dropped: Mapping[str, int]
    """What the format cannot say, or what was not asked for, by reason."""


RankingFormat = Literal["rankings", "preference", "preference-implicit", "hh-rlhf"]
DemonstrationFormat = Literal["demonstrations", "prompt-completion", "messages"]


def export_rankings(
    rankings: Iterable[Ranking],
    path: Path,
    form: RankingFormat = "rankings",
    *,
    style: Style = "conversation",
    flagged: bool = False,
) -> Exported:
    """Write rankings to a .jsonl or .parquet file, with a manifest beside it (its counts and SHA-256).

    Preference formats hold pairs: a ranking of K becomes up to K choose 2 rows, and ties have no place there.

    Args:
        form: `rankings` is our own and holds everything.
        style: whether preferences are written as conversations or as plain strings.
        flagged: also those that somebody flagged.
    """
    table: list[dict[str, Any]] = []
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
    return _write(path, table, form, {reason: number for reason, number in dropped.items() if number})


def export_demonstrations(
    demonstrations: Iterable[Demonstration],
    path: Path,
    form: DemonstrationFormat = "demonstrations",
    *,
    style: Style = "conversation",
    flagged: bool = False,
) -> Exported:
    """Write demonstrations; arguments as for `export_rankings`."""
    write: dict[str, Callable[[Demonstration], dict[str, Any]]] = {
        "demonstrations": to_json,
        "messages": lambda record: {"messages": _turns(record.messages)},
        "prompt-completion": lambda record: {
            "prompt": _said(record.prompt, style),
            "completion": record.response if style == "text" else _answer(record.response),
        },
    }
    dropped: Counter[str] = Counter()
    table = []
    for record in demonstrations:
        if record.flags and not flagged:
            dropped["flagged"] += 1
        else:
            table.append(write[form](record))
    return _write(path, table, form, dict(dropped))


def _pair_row(ranking: Ranking, better: int, worse: int, form: str, style: Style) -> dict[str, Any]:
    chosen, rejected = ranking.completions[better], ranking.completions[worse]
    prompt = ranking.prompt
    if form == "hh-rlhf":
        return {"chosen": _transcript(prompt, chosen), "rejected": _transcript(prompt, rejected)}
    if form == "preference-implicit":
        if style == "text":
            before = prompt_text(prompt) + "\n"
            return {"chosen": before + chosen, "rejected": before + rejected}
        return {name: _turns(prompt) + _answer(text) for name, text in (("chosen", chosen), ("rejected", rejected))}
    if style == "text":
        return {"prompt": prompt_text(prompt), "chosen": chosen, "rejected": rejected}
    return {"prompt": _turns(prompt), "chosen": _answer(chosen), "rejected": _answer(rejected)}


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _said(prompt: Prompt, style: Style) -> str | list[dict[str, str]]:
    return prompt_text(prompt) if style == "text" else _turns(prompt)


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


def _write(path: Path, table: list[dict[str, Any]], form: str, dropped: Mapping[str, int]) -> Exported:
    if not table:
        reasons = ", ".join(f"{number} {reason}" for reason, number in dropped.items())
        raise DanluError(
            f"there is nothing to write to {path}{f' ({reasons})' if reasons else ''}.", "Collect some feedback first."
        )
    write_rows(path, table)
    manifest = {
        "file": path.name,
        "format": form,
        "rows": len(table),
        "left_out": dict(sorted(dropped.items())),
        "sha256": sha256_file(path),
        "danlu": danlu.__version__,
    }
    write_json(path.with_name(path.name + ".manifest.json"), manifest)
    return Exported(len(table), dict(dropped))
