"""`danlu plan`: what a run takes, or what a budget buys; one plan, several chips, or a whole table of runs."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from danlu.cli.json_flag import day, json_words, print_json
from danlu.cli.parse import parse
from danlu.common.errors import DanluError

if TYPE_CHECKING:
    from danlu.planner.loss import LossLaw


@dataclass(frozen=True)
class Arguments:
    """Plan a run. Forwards: --model llama3-70b --tokens 15T --chip h100 --count 2048. Backwards: --budget 4.6Musd.

    Also: --chip a,b,c compares chips, --region cn --date 2023-11 shows what a ban leaves, --table predicts a CSV.
    """

    model: str | None = None
    """A model's name, a config.json or its folder, or a size such as 7B. Backwards it fixes the model."""
    tokens: str | None = None
    """Training tokens: 15T, 300B."""
    chip: str | None = None
    """A chip, or several with commas to compare them; `danlu chips` lists them."""
    count: int | None = None
    """Chips."""
    budget: str | None = None
    """4.6Musd, '3e6 H100-hours', 1e24flops or '64 A100 for 30 days': gives model, tokens, chips, cost and loss."""
    loss: float | None = None
    """Loss to reach (nats a token) at the least cost."""
    tokens_available: str | None = None
    """Distinct tokens of text that there are; more are repetitions."""
    serve: str | None = None
    """Tokens to be served over the model's life, paid from the budget too: they favour a smaller model."""
    prompt_tokens: int = 1024
    """Tokens of a request that the model reads when it is served."""
    answer_tokens: int = 1024
    """Tokens that it then writes."""
    days: float | None = None
    """Wall time to aim at, backwards, where neither chips nor time are given (30)."""
    seq_len: int | None = None
    """Tokens a sequence; by default 4096, or fewer where the model has learned positions for fewer."""
    batch_tokens: str | None = None
    """Tokens a step; by default the usual batch of so much compute."""
    precision: str = "bf16"
    """bf16, fp16, fp8, fp4 or fp32."""
    framework: str = ""
    """Whose kernels and overlap: megatron-core, megatron-bridge, torchtitan, ...; a plain modern stack by default."""
    tp: int | None = None
    """Tensor parallel degree. Any degree given fixes the layout; otherwise the fastest that fits is searched."""
    pp: int | None = None
    """Pipeline stages."""
    vpp: int | None = None
    """Interleaved chunks a stage."""
    cp: int | None = None
    """Context parallel degree."""
    ep: int | None = None
    """Expert parallel degree."""
    zero: int | None = None
    """ZeRO stage 0 to 3 (3 is FSDP)."""
    micro_batch: int | None = None
    """Sequences of one forward pass."""
    recompute: str | None = None
    """none, selective or full; by default as little as fits."""
    tflops: float | None = None
    """Sustained TFLOP/s of one chip over the whole run (6 N FLOPs a token), measured or quoted; not the model's own."""
    usd_per_hour: float | None = None
    """Rent of one chip (USD an hour), in place of the catalogue's offers."""
    rent: str | None = None
    """The same with its currency: 18CNY, where --exchange gives the rate."""
    exchange: str | None = None
    """Your currency at your rate: 7.1CNY where a US dollar costs 7.1 yuan. Money may then be given in it (30万元, 4.6M
    CNY) and is shown in it."""
    region: str | None = None
    """Plan with what this region (cn, us, eu, ...) can buy on --date as well, training and inference judged apart."""
    date: str | None = None
    """Day of prices and rules: 2023-11-17; a bare month or year is its last day; today by default."""
    fit: Path | None = None
    """A run's folder, or what `danlu fit TABLE --json FILE` wrote, for the loss; a published law by default."""
    chips: Path | None = None
    """TOML file with chips of your own, or other figures and prices for known ones."""
    table: Path | None = None
    """Table of runs (model, chip, chip_count, ...; CSV, JSON lines, Parquet): predicts every row and, with --json,
    writes JSON lines."""
    explain: str | None = None
    """Trace this figure down to its inputs; without a name, every one."""
    json: str | None = None
    """Print JSON instead, or write it to this file."""
    html: Path | None = None
    """Write a page: one file, English and Chinese."""


def main(words: list[str]) -> None:
    """Run the verb."""
    words = _optional_values(words)
    arguments = parse(Arguments, words, "plan")
    if arguments.table:
        _table(arguments)
        return
    from danlu.planner.request import Request, answer_request

    given = {field.name: getattr(arguments, field.name) for field in fields(Request) if field.name != "on"}
    found = answer_request(Request(**given, on=day(arguments.date)), _law(arguments.fit))
    if arguments.html:
        from danlu.report.plan_page import write_plan_page

        write_plan_page(found, arguments.html)
    if arguments.json:
        from danlu.planner.request import outcome_json

        print_json(outcome_json(found), arguments.json)
    if arguments.json != "-":
        from danlu.cli.plan_view import show, show_trace

        if arguments.explain:
            show_trace(found, arguments.explain)
        elif not arguments.json:
            show(found)
        if arguments.html:
            print(f"wrote {arguments.html}")


def _optional_values(words: list[str]) -> list[str]:
    """The words with `--explain` alone meaning every figure, and `--json` alone standard output."""
    full: list[str] = []
    for index, word in enumerate(words):
        full.append(word)
        after = words[index + 1] if index + 1 < len(words) else "--"
        if word == "--explain" and after.startswith("--"):
            full.append("all")
    return json_words(full)


def _law(path: Path | None) -> "LossLaw":
    from danlu.planner.loss import REPLICATION

    if path is None:
        return REPLICATION
    from danlu.scaling.fit_record import read_loss_law

    return read_loss_law(path)


def _table(arguments: Arguments) -> None:
    from danlu.hardware.catalogue import load_user_chips
    from danlu.planner.table import predict_table, read_table, write_answers

    assert arguments.table
    alone = [
        f"--{field.name.replace('_', '-')}"
        for field in fields(arguments)
        if field.name not in ("table", "json", "chips") and getattr(arguments, field.name) != field.default
    ]
    if alone:
        raise DanluError(
            f"{', '.join(alone)} {'does' if len(alone) == 1 else 'do'} not go with --table, whose rows say it all.",
            "Put it into a column of the table, or leave it out.",
        )
    known = load_user_chips(arguments.chips) if arguments.chips else None
    rows = read_table(arguments.table, print if arguments.json != "-" else lambda line: None)
    if not rows:
        raise DanluError(f"{arguments.table} has a header and no rows.", "Write one run a line.")
    answers = list(predict_table(rows, known=known))
    wrong = [answer for answer in answers if "error" in answer]
    if arguments.json and arguments.json != "-":
        write_answers(Path(arguments.json), answers)
        print(f"{len(answers)} rows, {len(answers) - len(wrong)} predicted; wrote {arguments.json}")
    elif arguments.json:
        import json

        for answer in answers:
            print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
    else:
        from danlu.cli.plan_view import show_answers

        show_answers(answers)
    if arguments.json != "-":
        for answer in wrong:
            print(f"  {answer['run_id']}: {answer['error']}")
    if wrong and len(wrong) == len(answers):
        raise DanluError("no row could be predicted.", "See the reasons above.")
