"""`danlu fit`: scaling laws through a table of runs from anywhere."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from danlu.cli.parse import parse
from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Arguments:
    """Fit scaling laws to a table of runs (CSV, JSON lines or Parquet; a ladder's or a run's folder; a wandb export).

    Columns are matched by name, case-insensitively, and what was taken for what is said. With --law auto the laws that
    the columns allow are tried and weighted by how well they forecast the table's own top.
    """

    table: tyro.conf.Positional[Path]
    """The table, or the folder of a ladder or a run that holds points.jsonl."""
    n: str | None = None
    """Column of parameters."""
    d: str | None = None
    """Column of training tokens."""
    c: str | None = None
    """Column of training FLOPs; reckoned as 6 N D where the table has none."""
    loss: str | None = None
    """Column of the loss."""
    accuracy: str | None = None
    """Column of the accuracy, for --law sigmoid."""
    where: str | None = None
    """Rows to use: a condition over the columns, such as 'C < 1e20 and subset == "hot"'. N, D, C and loss also mean
    what was taken for them, or reckoned, in plain numbers."""
    law: tuple[str, ...] = ("auto",)
    """Laws by name, or auto."""
    holdout: str | None = None
    """Rows to predict and not to fit to: a condition."""
    predict: Path | None = None
    """Another table whose rows are predicted."""
    cluster: str | None = None
    """Column that says which rows are of one run; guessed from run, name or seed columns."""
    entropy: float | None = None
    """Exact entropy of the text (nats a token), where it is known: the laws' floor E."""
    delta: float = 1e-3
    """Where the Huber loss of the log residuals turns from squares to absolute values."""
    level: float = 0.95
    """Probability of the intervals."""
    refits: int = 1000
    """Bootstrap refits."""
    seed: int = 0
    """Of the bootstrap."""
    compute: tuple[float, ...] = ()
    """Compute budgets (FLOPs) to divide between parameters and tokens."""
    target: float | None = None
    """A loss: the least compute that reaches it."""
    distinct: float | None = None
    """Distinct training tokens, where text is limited; with --compute."""
    served: float = 0.0
    """Tokens to be served after training, whose cost counts; with --compute."""
    json: Path | None = None
    """Write everything, unrounded, to this file."""
    html: Path | None = None
    """Write a page with pictures to this file."""


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "fit")
    from danlu.cli.fit_view import view
    from danlu.common.files import write_atomic, write_json
    from danlu.scaling.analysis import fit, predict_table
    from danlu.scaling.decisions import allocate, cheapest
    from danlu.scaling.fit_record import fit_record

    roles = {
        "N": arguments.n,
        "D": arguments.d,
        "C": arguments.c,
        "loss": arguments.loss,
        "accuracy": arguments.accuracy,
    }
    columns = {role: column for role, column in roles.items() if column is not None}
    fitted = fit(
        table_file(arguments.table),
        arguments.law,
        columns=columns,
        where=arguments.where,
        holdout=arguments.holdout,
        cluster=arguments.cluster,
        delta=arguments.delta,
        level=arguments.level,
        refits=arguments.refits,
        fixed={"E": arguments.entropy} if arguments.entropy is not None else None,
        seed=arguments.seed,
    )
    inputs = {role: column for role, column in columns.items() if role in "NDC"}
    predicted = predict_table(fitted, arguments.predict, inputs) if arguments.predict else None
    allocations, target = [], None
    refused: DanluError | None = None
    try:
        for compute in arguments.compute:
            allocations.append(allocate(fitted, compute, distinct=arguments.distinct, served=arguments.served))
        if arguments.target is not None:
            target = (arguments.target, cheapest(fitted, arguments.target))
    except DanluError as error:  # the fit itself stands, and is shown and written first
        refused = error
    for line in view(fitted, predicted, allocations, target):
        print(line)
    if arguments.json:
        write_json(arguments.json, fit_record(fitted, predicted=predicted, allocations=allocations, target=target))
        print(f"wrote {arguments.json}{_next(arguments.json)}")
    if arguments.html:
        from danlu.report.fit_page import render_fit

        write_atomic(arguments.html, render_fit(fitted, predicted, allocations))
        print(f"wrote {arguments.html}")
    if refused is not None:
        raise refused


def _next(record: Path) -> str:
    """What can be done with a fit, where its law says the loss of any N and D."""
    from danlu.scaling.fit_record import read_loss_law

    try:
        read_loss_law(record)
    except DanluError:
        return ""
    return f"; next: danlu plan --budget 1Musd --chip h100 --fit {record}"


def table_file(path: Path) -> Path:
    """The table that a path means: the file itself, or the points of a ladder's or a run's folder."""
    for candidate in (path / "ladder" / "points.jsonl", path / "points.jsonl"):
        if candidate.exists():
            return candidate
    return path
