"""Which column of somebody's table is what: names as people and loggers write them, matched case-insensitively."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    words: tuple[str, ...] = ()
    """What a word holds that means it where no whole name does."""
    scale: float = 1.0
    """What a number of such a column is to be multiplied with."""
    log: bool = False
    """Whether such a column holds what the role is the natural logarithm of."""


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
        ("param",),
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
        ("token",),
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
        ("flop", "compute"),
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
            "xent",
            "error",
        ),
        ("loss", "valloss", "evalloss", "bpb", "crossentropy", "nll"),
        ("loss", "xent", "bpb", "nll", "crossentropy", "logperplexity"),
    ),
    Role("loss", "loss (nats a token)", ("perplexity", "ppl"), ("perplexity", "ppl"), ("perplex",), log=True),
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
_AMOUNTS = frozenset({"N", "D", "C", "U"})
"""Roles whose columns may be in thousands, millions or more, and say so in their name."""
_UNIT = re.compile(
    r"[\s_]*[(\[](?:in |x |\u00d7 ?)?(?P<closed>[a-z]+|1?e\d+|10\^\d+)[)\]]$"
    r"|[\s_]+(?:in )?(?P<open>[kmbt]|[a-z]+illions?)$"
)
_UNITS = {
    **dict.fromkeys(("k", "thousand", "thousands"), 1e3),
    **dict.fromkeys(("m", "mm", "million", "millions"), 1e6),
    **dict.fromkeys(("b", "bn", "g", "billion", "billions"), 1e9),
    **dict.fromkeys(("t", "tn", "trillion", "trillions"), 1e12),
}
_ANOTHER = frozenset(
    ("per", "ratio", "second", "seconds", "sec", "s", "step", "batch", "vocab", "rate", "std", "se", "id")
)
"""Words by which a name says that it means something else: tokens per second, compute ratio."""


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
    log: bool = False
    """Whether the natural logarithm of its numbers was taken."""

    def __str__(self) -> str:
        times = f" times {self.scale:g}" if self.scale != 1 else ""
        logarithm = "ln of " if self.log else ""
        return f"{logarithm}'{self.column}'{times} as {self.role} ({self.meaning})"


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
        found[role] = Taken(role, name, _unit(name)[1] if role in _AMOUNTS else 1.0, meaning, (), True)
        used.add(name)
    for candidates in (_by_name, _by_words):
        for each in _ROLES:
            if each.name in found:
                continue
            kept = [c for c in candidates(columns, each) if c not in used and (each.name in _TEXT or numeric[c])]
            if kept:
                scale = each.scale * (_unit(kept[0])[1] if each.name in _AMOUNTS else 1.0)
                found[each.name] = Taken(
                    each.name, kept[0], scale, each.meaning, tuple(kept[1:]), given=False, log=each.log
                )
                used.add(kept[0])
    return found


def _by_name(columns: Sequence[str], role: Role) -> list[str]:
    """Columns whose whole name, or its last part, means the role, the surest first."""
    names = {column: _unit(column)[0] if role.name in _AMOUNTS else column.lower() for column in columns}
    plain = {column: _plain(name) for column, name in names.items()}
    last = {column: _plain(re.split(r"[/.]", name)[-1]) for column, name in names.items()}
    ranked = [column for name in role.names for column in columns if plain[column] == name]
    nested = [c for name in role.endings for c in columns if re.search(r"[/._]", c) and last[c].endswith(name)]
    return list(dict.fromkeys([*ranked, *nested]))


def _by_words(columns: Sequence[str], role: Role) -> list[str]:
    """Columns with a word in their name that means the role, and none that says otherwise."""
    found = []
    for column in columns:
        words = re.findall(r"[a-z]+", _unit(column)[0])
        joined = [*words, *("".join(pair) for pair in pairwise(words))]
        if not _ANOTHER & set(words) and any(part in word for word in joined for part in role.words):
            found.append(column)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name)


def _unit(column: str) -> tuple[str, float]:
    """A column's name in lower case without the unit at its end, and what that unit is: `Params (M)`, `tokens_B`."""
    name = column.lower().strip()
    match = _UNIT.search(name)
    if not match:
        return name, 1.0
    word = match["closed"] or match["open"]
    if power := re.fullmatch(r"1?e(\d+)|10\^(\d+)", word):
        return name[: match.start()], 10.0 ** int(power[1] or power[2])
    if word not in _UNITS:
        return name, 1.0
    return name[: match.start()], _UNITS[word]


def _find(columns: Sequence[str], wanted: str, role: str, source: str) -> str:
    if wanted in columns:
        return wanted
    alike = [column for column in columns if column.lower() == wanted.lower()]
    if len(alike) == 1:
        return alike[0]
    raise DanluError(
        f"{source} has no column '{wanted}' for {role}.", f"Its columns are {', '.join(columns) or '(none)'}."
    )
