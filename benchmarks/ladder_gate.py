"""Are danlu's own forecasts good? Whole runs on several texts and seeds, each forecast before and judged after.

    python benchmarks/ladder_gate.py OUT [--budget 4e13flops] [--seeds 3] [--text FOLDER] [--json FILE]

Runs `danlu run` on the toy language, the running interpreter's library and, from --text, tinyshakespeare.txt and
tang_poems_zh.jsonl, into OUT/NAME-SEED, as a user would; what is there already is continued or kept. Prints a row for
each verdict, and how many errors stay within 0.5% and 1% and how many intervals held. The goal for twelve runs: nine
within 0.5%, ten intervals that hold, with a ladder of at most a tenth of the target's compute.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from danlu.scaling.design import REACH

_TEXTS = {"shakespeare": "tinyshakespeare.txt", "tang": "tang_poems_zh.jsonl"}


def recipes(texts: Path | None) -> Iterator[tuple[str, str]]:
    """Name and `--data` of each recipe."""
    yield "toy", "toy"
    yield "stdlib", "stdlib"
    for name, file in _TEXTS.items():
        if texts and (texts / file).exists():
            yield name, str(texts / file)


def run(data: str, seed: int, budget: str, out: Path) -> int:
    """One whole run to the base model; its exit code."""
    command = [sys.executable, "-m", "danlu.cli.main", "run", "--data", data, "--seed", str(seed)]
    command += ["--budget", budget, "--out", str(out), "--alignment.label", "none"]
    with (out.parent / f"{out.name}.log").open("a") as log:
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode


def row(out: Path) -> dict[str, Any]:
    """What the verdict of a finished run says."""
    verdict, forecast, plan = (
        json.loads((out / name).read_text(encoding="utf-8"))
        for name in ("verdict.json", "forecast.json", "ladder/plan.json")
    )
    largest = max(rung["flops"] for rung in plan["rungs"])
    return {
        "run": out.name,
        "params": forecast["target"]["params"],
        "tokens": forecast["target"]["tokens"],
        "ladder_share": plan["flops"] / plan["target_flops"],
        "reach": forecast["target"]["flops"] / largest,
        "loss": verdict["loss"],
        "low": verdict["low"],
        "high": verdict["high"],
        "measured": verdict["measured"],
        "relative_error": verdict["relative_error"],
        "inside": verdict["inside"],
        "drift": forecast["drift"]["rate"],
    }


def line(found: dict[str, Any]) -> str:
    """A row for the terminal."""
    told = f"{found['loss']:.4f} ({found['low']:.4f} to {found['high']:.4f})"
    return (
        f"{found['run']:<16} {found['params']:>9,} {found['tokens']:>12,} {found['ladder_share']:6.1%}"
        f" {found['reach']:6.1f}x  {told:<27} {found['measured']:.4f} {found['relative_error']:+8.2%}"
        f"  {'inside' if found['inside'] else 'outside'}"
    )


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="gets a run folder for each recipe and seed")
    parser.add_argument("--budget", default="4e13flops", help="of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--text", type=Path, help="a folder with tinyshakespeare.txt and tang_poems_zh.jsonl")
    parser.add_argument("--json", type=Path, help="write the rows here")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    print("run                 params       tokens  ladder   reach  forecast (interval)         measured    error")
    rows = []
    for seed in range(arguments.seeds):
        for name, data in recipes(arguments.text):
            out = arguments.out / f"{name}-{seed}"
            code = run(data, seed, arguments.budget, out)
            if code:
                print(f"{out.name:<16} ended with exit code {code}; see {out}.log", flush=True)
                continue
            rows.append(row(out))
            print(line(rows[-1]), flush=True)
    errors = [abs(found["relative_error"]) for found in rows]
    print(
        f"{len(rows)} runs: {sum(e <= 0.005 for e in errors)} within 0.5%, {sum(e <= 0.01 for e in errors)} within 1%,"
        f" {sum(found['inside'] for found in rows)} intervals held; {sum(found['reach'] >= REACH for found in rows)}"
        f" targets took {REACH:g} times their largest rung or more"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
