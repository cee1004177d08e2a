"""Which column of somebody's table is what: names as people and loggers write them, matched case-insensitively."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Role:
    """Something that a fit needs to know of each row."""

    name: str
    """As laws call it."""
    meaning: str
    """For a person."""
    names: tuple[str, ...]
    """Names that mean this, most usual first; compared in lower case with everything but letters and digits removed."""
    endings: tuple[str, ...] = ()
    """Names that mean it when a column's name ends so, after a slash or a dot (loggers nest names)."""
    scale: float = 1.0
    """What a number of such a column is to be multiplied with."""


_ROLES = (
    Role(
        "N",
        "parameters",
        (
            "n",
            "params",
            "parameters",
            "numparams",
            "numparameters",
            "nparams",
            "nparameters",
            "paramcount",
            "parametercount",
            "modelparams",
            "modelparameters",
            "modelsize",
            "trainingn",
            "totalparameters",
            "nonembeddingparams",
            "nnonembed",
            "denseparametercount",
            "totalparametercount",
            "size",
            "p",
            "model",
        ),
        ("params", "numparams", "parameters", "parametercount", "nparams"),
    ),
    Role(
        "D",
        "training tokens",
        (
            "d",
            "tokens",
            "tokensseen",
            "numtokens",
            "ntokens",
            "trainingtokens",
            "traintokens",
            "totaltokens",
            "trainingd",
            "tokencount",
            "seenexamples",
            "examples",
            "samples",
            "datasize",
            "datasetsize",
        ),
        ("tokens", "totaltokens", "tokensseen", "numtokens"),
    ),
    Role(
        "C",
        "training FLOPs",
        (
            "c",
            "flops",
            "flop",
            "compute",
            "c6nd",
            "trainingflops",
            "trainingflop",
            "totalflops",
            "trainflops",
            "trainingc",
            "totalflop",
            "budget",
        ),
        ("flops", "totalflops", "trainingflops"),
    ),
    Role("C", "training FLOPs", (), ("totalgflops", "gflops"), scale=1e9),
    Role(
        "loss",
        "loss (nats a token)",
        (
            "loss",
            "finalloss",
            "valloss",
            "validationloss",
            "lossvalidation",
            "evalloss",
            "testloss",
            "heldoutloss",
            "smoothloss",
            "logperplexity",
            "nll",
            "crossentropy",
            "bpb",
            "bitsperbyte",
            "trainloss",
            "error",
        ),
        ("loss", "valloss", "evalloss", "bpb", "crossentropy", "nll"),
    ),
    Role("U", "distinct tokens", ("u", "uniquetokens", "distincttokens", "nuniquetokens", "unique"), ("uniquetokens",)),
    Role("experts", "experts", ("experts", "numexperts", "nexperts", "e"), ("numexperts",)),
    Role("lr", "learning rate", ("lr", "learningrate", "peaklr", "maxlr", "learningratepeak"), ("learningrate", "lr")),
    Role("step", "optimizer steps", ("step", "steps", "iteration", "globalstep"), ("globalstep",)),
    Role(
        "batch",
        "tokens a step",
        ("batch", "batchtokens", "batchsize", "batchsizeintokens", "bs", "globalbatchsize"),
        ("batchsize", "trainbatchsize"),
    ),
    Role("seed", "random seed", ("seed", "randomseed"), ("seed",)),
    Role("accuracy", "share of right answers", ("accuracy", "acc"), ("accuracy", "acc")),
    Role(
        "run",
        "runs",
        ("run", "runname", "runid", "rung", "arch", "architecture", "curve", "name"),
    ),
    Role("schedule", "learning-rate schedule", ("schedule", "lrschedule", "decay", "scheduler"), ("schedule",)),
)

_TEXT = frozenset({"run", "schedule"})
"""Roles whose columns may hold text."""


@dataclass(frozen=True)
class Taken:
    """A column that was taken for a role."""

    role: str
    column: str
    scale: float
    """What its numbers were multiplied with."""
    meaning: str
    others: tuple[str, ...]
    """Columns that might have been meant instead."""
    given: bool
    """Whether a person named it."""

    def __str__(self) -> str:
        times = f" times {self.scale:g}" if self.scale != 1 else ""
        return f"'{self.column}'{times} as {self.role} ({self.meaning})"


def match_columns(
    columns: Sequence[str], numeric: Mapping[str, bool], given: Mapping[str, str], source: str
) -> dict[str, Taken]:
    """Which column is taken for which role.

    Args:
        columns: names, in the order of the table.
        numeric: whether each holds numbers only.
        given: columns that a person named, by role.
        source: the table's name, for errors.

    Raises:
        DanluError: a named column is not there.
    """
    found: dict[str, Taken] = {}
    used = set()
    for role, column in given.items():
        name = _find(columns, column, role, source)
        meaning = next((each.meaning for each in _ROLES if each.name == role), role)
        found[role] = Taken(role, name, 1.0, meaning, (), True)
        used.add(name)
    for role_ in _ROLES:
        if role_.name in found:
            continue
        fitting = [c for c in _candidates(columns, role_) if c not in used]
        kept = [c for c in fitting if role_.name in _TEXT or numeric[c]]
        if kept:
            found[role_.name] = Taken(role_.name, kept[0], role_.scale, role_.meaning, tuple(kept[1:]), False)
            used.add(kept[0])
    if "loss" not in found:
        fitting = [c for c in columns if c not in used and numeric[c] and re.search(r"loss|bpb|perplex", c.lower())]
        if fitting:
            found["loss"] = Taken("loss", fitting[0], 1.0, "loss (nats a token)", tuple(fitting[1:]), False)
    return found


def _candidates(columns: Sequence[str], role: Role) -> list[str]:
    plain = {column: re.sub(r"[^a-z0-9]", "", column.lower()) for column in columns}
    last = {column: re.sub(r"[^a-z0-9]", "", re.split(r"[/.]", column.lower())[-1]) for column in columns}
    ranked = [column for name in role.names for column in columns if plain[column] == name]
    nested = [c for name in role.endings for c in columns if re.search(r"[/._]", c) and last[c].endswith(name)]
    return list(dict.fromkeys([*ranked, *nested]))


def _find(columns: Sequence[str], wanted: str, role: str, source: str) -> str:
    if wanted in columns:
        return wanted
    alike = [column for column in columns if column.lower() == wanted.lower()]
    if len(alike) == 1:
        return alike[0]
    raise DanluError(
        f"{source} has no column '{wanted}' for {role}.", f"Its columns are {', '.join(columns) or '(none)'}."
    )
