"""Fit the planner's coefficients and intervals on a table of published runs, and write the calibration file.

    python benchmarks/planner_calibrate.py --table RUNS.csv [--write]

Prints by group the error with the group left out, the share of its rows inside their 80% interval, and the error in
sample. The memory model is not fitted here. With --write the file that the package reads is replaced.
"""

import argparse
import json
import re
import statistics
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError
from danlu.common.strict import to_mapping
from danlu.planner.calibrate import observe
from danlu.planner.coefficients import Calibration, calibration
from danlu.planner.cross_validation import refit
from danlu.planner.table import read_table


def text_of(fitted: Calibration) -> str:
    """The calibration as JSON, a row of the covariance a line."""
    plain = json.dumps(to_mapping(fitted), indent=1)
    return re.sub(r"\[\s*([-\d.e+,\s]+?)\s*\]", lambda row: "[" + re.sub(r"\s+", " ", row[1]) + "]", plain) + "\n"


def rounded(errors: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Figures to four digits."""
    return {
        group: {name: round(value, 4) if isinstance(value, float) else value for name, value in each.items()}
        for group, each in errors.items()
    }


def main() -> None:
    """Fit, show and, if asked, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="CSV of published runs")
    parser.add_argument("--write", action="store_true", help="replace calibration.json")
    given = parser.parse_args()
    observed = observe(read_table(given.table), calibration())
    fitted, errors = refit(observed, calibration())
    print(f"{'group':<18}{'n':>5}{'left out':>10}{'bias':>8}{'in 80%':>8}{'in sample':>11}")
    for group, each in errors["held_out"].items():
        print(
            f"{group:<18}{each['n']:>5}{each['mean']:>10.1%}{each['bias']:>+8.1%}{each['coverage']:>8.0%}"
            f"{errors['in_sample'][group]['mean']:>11.1%}"
        )
    for name, table in errors.items():
        print(f"mean of group means, {name}: {statistics.fmean(each['mean'] for each in table.values()):.2%}")
    if given.write:
        provenance = {**fitted.provenance, "rows": len(observed.jobs), "held_out": rounded(errors["held_out"])}
        path = Path(str(files("danlu.planner").joinpath("calibration.json")))
        path.write_text(text_of(replace(fitted, provenance=provenance)), encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    try:
        main()
    except DanluError as error:
        raise SystemExit(f"{error.cause} {error.remedy}") from error
