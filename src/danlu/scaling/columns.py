"""Which column of somebody's table is what: names as people and loggers write them, matched case-insensitively."""

import math
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from danlu.common.cells import PREFIXES, SCALES
from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Role:
    """Something that a fit needs to know of each row."""

    name: str
    """As laws call it."""
    meaning: str
    """For a person."""
    names: tuple[str, ...]
    """Names that mean this, most usual first; compared in lower case with everything but Latin and Chinese letters and
    digits removed."""
    endings: tuple[str, ...] = ()
    """Names that mean it when a column's name ends so, after a slash or a dot (loggers nest names)."""
    words: tuple[str, ...] = ()
    """What a word holds that means it where no whole name does."""


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
            "参数量",
            "参数",
            "参数数量",
            "模型参数量",
            "模型参数",
            "参数规模",
            "模型规模",
            "模型大小",
            "模型",
        ),
        ("params", "numparams", "parameters", "parametercount", "nparams"),
        ("param", "参数"),
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
            "训练token数",
            "训练词元数",
            "词元数",
            "token数",
            "token量",
            "训练数据量",
            "数据量",
        ),
        ("tokens", "totaltokens", "tokensseen", "numtokens"),
        ("token", "词元", "数据量"),
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
            "计算量",
            "训练计算量",
            "算力",
            "浮点运算量",
        ),
        ("flops", "totalflops", "trainingflops"),
        ("flop", "compute", "计算量", "算力"),
    ),
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
            "损失",
            "验证损失",
            "验证集损失",
            "测试损失",
            "测试集损失",
            "最终损失",
            "训练损失",
            "交叉熵",
        ),
        ("loss", "valloss", "evalloss", "bpb", "crossentropy", "nll"),
        ("loss", "xent", "bpb", "nll", "crossentropy", "logperplexity", "损失", "交叉熵"),
    ),
    Role("loss", "loss (nats a token)", ("perplexity", "ppl", "困惑度"), ("perplexity", "ppl"), ("perplex", "困惑度")),
    Role(
        "ratio",
        "tokens a parameter",
        (
            "tokensperparam",
            "tokensperparameter",
            "tokenperparam",
            "tokenperparameter",
            "tokensparamratio",
            "tokenparamratio",
            "tokentoparamratio",
            "tokenstoparams",
            "tokenparam",
            "tokensparam",
            "tokensparams",
            "tokparam",
            "tpp",
            "dn",
            "tn",
            "每参数token数",
        ),
    ),
    Role("U", "distinct tokens", ("u", "uniquetokens", "distincttokens", "nuniquetokens", "unique"), ("uniquetokens",)),
    Role("experts", "experts", ("experts", "numexperts", "nexperts", "e"), ("numexperts",)),
    Role(
        "lr",
        "learning rate",
        ("lr", "learningrate", "peaklr", "maxlr", "learningratepeak", "学习率"),
        ("learningrate", "lr"),
    ),
    Role("step", "optimizer steps", ("step", "steps", "iteration", "globalstep", "步数", "训练步数"), ("globalstep",)),
    Role(
        "context",
        "tokens a sequence",
        ("seqlen", "sequencelength", "contextlength", "context", "maxseqlen", "seqlength", "blocksize", "序列长度"),
        ("seqlen", "sequencelength", "maxseqlen"),
    ),
    Role(
        "batch",
        "tokens or sequences a step",
        ("batch", "batchtokens", "batchsize", "batchsizeintokens", "bs", "globalbatchsize", "批大小"),
        ("batchsize", "trainbatchsize"),
    ),
    Role("seed", "random seed", ("seed", "randomseed"), ("seed",)),
    Role("accuracy", "share of right answers", ("accuracy", "acc", "准确率", "正确率"), ("accuracy", "acc")),
    Role(
        "run",
        "runs",
        ("run", "runname", "runid", "rung", "arch", "architecture", "curve", "name", "运行", "实验"),
    ),
    Role("schedule", "learning-rate schedule", ("schedule", "lrschedule", "decay", "scheduler"), ("schedule",)),
)

_TEXT = frozenset({"run", "schedule"})
"""Roles whose columns may hold text."""
_AMOUNTS = frozenset({"N", "D", "C", "U"})
"""Roles whose columns may be in thousands, millions or more, and say so in their name."""
_WORDS = "|".join(sorted(SCALES, key=len, reverse=True))
_COUNTED = r"(?: ?(?:of )?(?:tokens?|params?|parameters?|个|个?参数|词元))?"
_UNIT = re.compile(
    rf"[\s_]*[(\[](?:in |x |\u00d7 ?|\u5355\u4f4d:? ?)?(?P<closed>{_WORDS}|1?e\d+|10\^\d+){_COUNTED}[)\]]$"
    r"|[\s_]+(?:in )?(?P<open>[kmbt]|[a-z]+illions?)$"
)
_FLOPS = re.compile(
    rf"(?<![a-z])(?P<prefix>{'|'.join(sorted(PREFIXES, key=len, reverse=True))})[\s_-]?flops?(?![a-z])|"
    r"(?<![a-z])(?P<days>pf|peta[\s_-]?flops?|pflops?)(?:[\s_/-]*s)?[\s_-]*days?(?![a-z])"
)
_PETAFLOP_DAY = 1e15 * 86400
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
    columns: Sequence[str],
    numeric: Mapping[str, bool],
    given: Mapping[str, str],
    source: str,
    lists: Collection[str] = (),
) -> dict[str, Taken]:
    """Which column is taken for which role.

    Args:
        columns: names, in the order of the table.
        numeric: whether each holds numbers only.
        given: columns that a person named, by role.
        source: the table's name, for errors.
        lists: columns of lists, which are taken for nothing unless a person names them.

    Raises:
        DanluError: a named column is not there.
    """
    found: dict[str, Taken] = {}
    used = set()
    for role, column in given.items():
        name = _find(columns, column, role, source)
        meaning = next((each.meaning for each in _ROLES if each.name == role), role)
        found[role] = _taken(role, meaning, name, (), given=True)
        used.add(name)
    for candidates in (_by_name, _by_words):
        for each in _ROLES:
            if each.name in found:
                continue
            free = [c for c in candidates(columns, each) if c not in used and c not in lists]
            kept = [c for c in free if each.name in _TEXT or numeric[c]]
            if kept:
                found[each.name] = _taken(each.name, each.meaning, kept[0], tuple(kept[1:]), given=False)
                used.add(kept[0])
    return found


def _taken(role: str, meaning: str, column: str, others: tuple[str, ...], given: bool) -> Taken:
    """A column for a role, with what its name says of its unit: millions, petaFLOPs, perplexity, bits."""
    scale, log = (_unit(column)[1] if role in _AMOUNTS else 1.0), False
    if role == "loss":
        name = _plain(_lower(column))
        log = bool(re.search(r"perplex|ppl|困惑度", name)) and not re.search(r"log|ln|对数", name)
        if re.search(r"bpb|bitsperbyte|bitsabyte", name):
            meaning = "loss (bits a byte)"
        elif "bits" in re.findall(r"[a-z]+", _lower(column)) or re.search(r"bitspertoken|bpt$", name):
            scale = math.log(2)
    return Taken(role, column, scale, meaning, others, given, log)


def _by_name(columns: Sequence[str], role: Role) -> list[str]:
    """Columns whose whole name, or its last part, means the role, the surest first."""
    names = {column: _unit(column)[0] if role.name in _AMOUNTS else _lower(column) for column in columns}
    plain = {column: _plain(name) for column, name in names.items()}
    last = {column: _plain(re.split(r"[/.]", name)[-1]) for column, name in names.items()}
    ranked = [column for name in role.names for column in columns if plain[column] == name]
    parts = [c for c in columns if re.search(r"[/._]", c) and not (role.name in _AMOUNTS and _means_another(c))]
    nested = [c for name in role.endings for c in parts if last[c].endswith(name)]
    return list(dict.fromkeys([*ranked, *nested]))


def _by_words(columns: Sequence[str], role: Role) -> list[str]:
    """Columns with a word in their name that means the role, and none that says otherwise."""
    found = []
    for column in columns:
        words = re.findall(r"[a-z]+|[\u4e00-\u9fff]+", _unit(column)[0])
        joined = [*words, *("".join(pair) for pair in pairwise(words))]
        if not _means_another(column) and any(part in word for word in joined for part in role.words):
            found.append(column)
    return found


def _means_another(column: str) -> bool:
    return bool(_ANOTHER & set(re.findall(r"[a-z]+", _unit(column)[0])))


def _lower(name: str) -> str:
    """A name in lower case, with full-width letters and brackets as plain ones."""
    return unicodedata.normalize("NFKC", name).lower().strip()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9\u4e00-\u9fff]", "", name)


def _unit(column: str) -> tuple[str, float]:
    """A column's name in lower case without the unit at its end, and what that unit is: `Params (M)`, `tokens_B`."""
    name = _lower(column)
    if flops := _FLOPS.search(name):
        scale = _PETAFLOP_DAY if flops["days"] else PREFIXES[flops["prefix"]]
        return f"{name[: flops.start()]}flops{name[flops.end() :]}", scale
    match = _UNIT.search(name)
    if not match:
        return name, 1.0
    word = match["closed"] or match["open"]
    if power := re.fullmatch(r"1?e(\d+)|10\^(\d+)", word):
        return name[: match.start()], 10.0 ** int(power[1] or power[2])
    if word not in SCALES:
        return name, 1.0
    return name[: match.start()], SCALES[word]


def _find(columns: Sequence[str], wanted: str, role: str, source: str) -> str:
    if wanted in columns:
        return wanted
    alike = [column for column in columns if column.lower() == wanted.lower()]
    if len(alike) == 1:
        return alike[0]
    raise DanluError(
        f"{source} has no column '{wanted}' for {role}.", f"Its columns are {', '.join(columns) or '(none)'}."
    )
