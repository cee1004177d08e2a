"""Fits of tables: known answers, intervals that widen, warnings with their figure, and bad input in plain words."""

import json
import subprocess
import sys

import numpy as np
import pytest

import danlu.scaling
from danlu.cli.main import main
from danlu.common.errors import DanluError
from danlu.scaling.config import ForecastConfig
from danlu.scaling.decisions import allocate, cheapest, worth_of_passes
from danlu.scaling.fit_record import read_loss_law
from danlu.scaling.ladder_fit import fit_points, write_fit
from danlu.scaling.laws import FRONTIER, SIGMOID, SURFACE
from danlu.scaling.points import write_points
from danlu.scaling.table import table_of

TRUTH = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


def sweep(noise=0.003, seed=0, budgets=6, sizes=7):
    """Rows of isoFLOP sweeps on a known surface."""
    rng = np.random.default_rng(seed)
    rows = []
    for budget in np.geomspace(1e17, 1e20, budgets):
        for size in np.geomspace(0.3, 3, sizes) * (budget / 120) ** 0.5:
            values = {"N": float(size), "D": float(budget / 6 / size)}
            rows.append(values | {"loss": float(SURFACE.predict(TRUTH, values) * np.exp(rng.normal(0, noise)))})
    return rows


@pytest.fixture(scope="module")
def fitted():
    return danlu.scaling.fit(sweep(), holdout="N * D > 1e19", refits=60)


def test_auto_forecasts_what_it_never_saw(fitted):
    assert fitted.law.name in ("surface", "tied_surface")
    assert fitted.holdout.mare < 0.005
    assert fitted.holdout.mare < fitted.holdout.baseline_mare
    assert fitted.holdout.coverage >= 0.85
    assert sum(fitted.weights().values()) == pytest.approx(1.0)


def test_an_interval_widens_with_level_and_distance(fitted):
    near = {"N": 1e9, "D": 2e10}
    far = {"N": 1e11, "D": 2e12}
    wide, narrow = fitted.predict(near, 0.95), fitted.predict(near, 0.8)
    assert wide.low < narrow.low < narrow.predicted < narrow.high < wide.high
    beyond = fitted.predict(far)
    assert (beyond.high / beyond.low)[0] > (wide.high / wide.low)[0]
    assert fitted.reach(far)["C"] > 100
    assert fitted.reach({"N": 3e8, "D": 6e9})["C"] == pytest.approx(1.0)


def test_the_truth_lies_in_the_parameters_intervals():
    found = danlu.scaling.fit(sweep(), "surface", refits=100)
    for name, value in TRUTH.items():
        assert found.params[name].low <= value <= found.params[name].high
        assert found.params[name].low < found.params[name].value < found.params[name].high


def test_compute_is_floating_point_six_n_d():
    rows = [{"params": 7e9 * k, "tokens": 2e12 / j, "loss": 2.0 + 0.1 * j / k} for k in (1, 2, 3) for j in (1, 2, 3)]
    found = danlu.scaling.fit(rows, "tied_surface", refits=10)
    expected = [6.0 * row["params"] * row["tokens"] for row in rows]
    np.testing.assert_array_equal(found.rows.values["C"], expected)
    assert any("6 N D" in note for note in found.rows.notes)


def test_a_compute_only_table_weighs_floor_against_none():
    compute = np.geomspace(1e15, 1e19, 10)
    losses = FRONTIER.predict({"E": 1.5, "k": 90.0, "g": 0.09}, {"C": compute})
    found = danlu.scaling.fit({"flops": compute.tolist(), "Loss": losses.tolist()}, refits=20)
    assert found.law is FRONTIER
    assert found.params["E"].value == pytest.approx(1.5, rel=1e-3)
    assert found.rows.taken["C"].column == "flops"
    assert found.rows.taken["loss"].column == "Loss"


def test_a_break_is_marked_and_said_first(tmp_path, capsys):
    x = np.geomspace(100, 1000, 16)
    losses = 2.2 * x**-0.02 / (1 + (x / 600) ** 12) ** 0.25
    path = tmp_path / "break.csv"
    path.write_text("x,loss\n" + "\n".join(f"{a},{b}" for a, b in zip(x, losses, strict=True)), encoding="utf-8")
    assert main(["fit", str(path), "--refits", "20", "--json", str(tmp_path / "fit.json")]) == 0
    assert capsys.readouterr().out.startswith("DO NOT TRUST THIS FIT")
    assert json.loads((tmp_path / "fit.json").read_text())["trusted"] is False


def test_outliers_that_decide_a_parameter_are_named():
    rows = sweep()
    for index in (0, 1):
        rows[index]["loss"] *= 1.6
    found = danlu.scaling.fit(rows, "surface", refits=20)
    said = [finding.sentence for finding in found.findings if finding.code.startswith("outliers")]
    assert said
    assert "row 1, 2" in said[0]


def test_recipe_warnings_have_stable_codes():
    rows = [row | {"lr": 3e-4, "schedule": "cosine" if i % 2 else "constant"} for i, row in enumerate(sweep())]
    codes = {finding.code for finding in danlu.scaling.fit(rows, "surface", refits=10).findings}
    assert {"untuned_lr", "mixed_schedules"} <= codes


def test_a_target_outside_the_ladder_is_named():
    rows = [row | {"dataset": "web"} for row in sweep()]
    rows += [{"N": 1e10, "D": 1e13, "loss": 1.9, "dataset": "code"}]
    codes = {f.code for f in danlu.scaling.fit(rows, holdout="dataset == 'code'", refits=10).findings}
    assert {"far", "ratio_outside", "other_mix"} <= codes


def test_decisions_on_a_known_surface():
    found = danlu.scaling.fit(sweep(noise=0.0), "surface", refits=20)
    at = allocate(found, 5.76e23)
    # Hoffmann et al. 2022: G (C/6)^a with these constants.
    g = (0.34 * 406.4 / (0.28 * 410.7)) ** (1 / 0.62)
    assert at.params.value == pytest.approx(g * (5.76e23 / 6) ** (0.28 / 0.62), rel=1e-3)
    assert at.params.value * at.tokens.value * 6 == pytest.approx(5.76e23)
    assert at.flat[0] < at.params.value < at.flat[1]
    assert at.exponent.value == pytest.approx(0.28 / 0.62, abs=1e-3)
    back = cheapest(found, at.loss.value)
    assert back.value == pytest.approx(5.76e23, rel=1e-2)
    served = allocate(found, 5.76e23, served=1e13)
    assert served.params.value < at.params.value
    limited = allocate(found, 5.76e23, distinct=2e11)
    assert limited.params.value > at.params.value
    assert limited.passes > 1
    with pytest.raises(DanluError, match="no compute reaches it"):
        cheapest(found, 1.6)


def test_passes_are_worth_ever_less():
    once, four = worth_of_passes(1e9, 1e9), worth_of_passes(4e9, 1e9)
    assert once.value == pytest.approx(1e9)
    assert 3.2e9 < four.low < four.value < four.high < 4e9


def test_accuracy_from_loss():
    losses = np.linspace(2.0, 4.0, 14)
    shares = SIGMOID.predict({"a": 0.6, "b": 0.25, "k": 4.0, "L0": 3.0}, {"loss": losses})
    found = danlu.scaling.fit({"loss": losses.tolist(), "accuracy": shares.tolist()}, "sigmoid", refits=10)
    assert found.params["L0"].value == pytest.approx(3.0, rel=0.01)
    assert found.predict({"loss": 2.5}).predicted[0] == pytest.approx(0.25 + 0.6 / (1 + np.exp(-2)), abs=0.01)


@pytest.mark.parametrize(
    ("rows", "law", "says"),
    [
        (sweep()[:4], "surface", "too few"),
        ([{"N": 1e8, "D": 1e9 * k, "loss": 3 - 0.1 * k} for k in range(1, 9)], "surface", "same N"),
        ([*sweep(), {"N": 1e9, "D": 1e10, "loss": float("nan")}], "auto", "no value"),
        ([*sweep(), {"N": 1e9, "D": 1e10, "loss": -2.0}], "auto", "-2"),
        ([{**row, "N": row["N"] / 1e6} for row in sweep()], "auto", "in thousands, millions or billions"),
        ([{**row, "D": row["D"] / 1e9} for row in sweep()], "auto", "another unit"),
        ([*sweep(), {"N": 125.0, "D": 1e10, "loss": 3.0}], "auto", "different units"),
        ([*sweep(), {"N": "small", "D": 1e10, "loss": 3.0}], "auto", "the text 'small'"),
        ([row | {"loss": f"{row['loss']:.3f}".replace(".", ",")} for row in sweep()], "auto", "may mean"),
        ([row | {"C": 9e6 * row["N"] * row["D"]} for row in sweep()], "auto", "do not go together"),
        (
            [{"N (M)": row["N"] / 1e6 if i else "70M", "D": row["D"], "loss": 3.0} for i, row in enumerate(sweep())],
            "auto",
            "names a unit",
        ),
        (sweep(), "chinchila", "no law"),
        ([{"size": 1.0, "value": 2.0}], "auto", "looks like a loss"),
        ([], "auto", "no rows"),
    ],
)
def test_bad_input_is_said_plainly(rows, law, says):
    with pytest.raises(DanluError, match=says):
        danlu.scaling.fit(rows, law, refits=10)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"holdout": "N > 1e15"}, "holds no row"),
        ({"holdout": "N > 0"}, "takes every row"),
        ({"where": "N > 1e15"}, "leaves no rows"),
        ({"where": "size > 3"}, "no column of the table"),
        ({"where": "__import__('os')"}, "not allowed"),
        ({"columns": {"N": "width"}}, "no column 'width'"),
        ({"cluster": "who"}, "no column 'who'"),
    ],
)
def test_bad_options_are_said_plainly(options, says):
    with pytest.raises(DanluError, match=says):
        danlu.scaling.fit(sweep(), refits=10, **options)


def test_equal_rows_are_left_out_and_counted():
    found = danlu.scaling.fit([*sweep(), sweep()[0]], "surface", refits=10)
    assert len(found.rows) == len(sweep())
    assert any(finding.code == "duplicates" and "1 row " in finding.sentence for finding in found.findings)


def test_a_wandb_export_is_understood():
    rows = [
        {
            "Name": f"run-{i}",
            "config": json.dumps({"model": {"n_params": row["N"]}, "tokens": row["D"]}),
            "eval/loss": row["loss"],
        }
        for i, row in enumerate(sweep())
    ]
    found = danlu.scaling.fit(table_of(rows, "export.csv"), refits=10)
    assert "params" in found.rows.taken["N"].column
    assert found.rows.taken["loss"].column == "eval/loss"


def test_the_verb_writes_json_and_a_page(tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in sweep()), encoding="utf-8")
    other = tmp_path / "ask.csv"
    other.write_text("n,d\n1e9,2e10\n", encoding="utf-8")
    words = ["fit", str(path), "--holdout", "N*D > 1e19", "--compute", "1e21", "--predict", str(other)]
    words += ["--refits", "40", "--json", str(tmp_path / "fit.json"), "--html", str(tmp_path / "fit.html")]
    assert main(words) == 0
    record = json.loads((tmp_path / "fit.json").read_text())
    held = record["holdout"]
    assert {"inputs", "predicted", "low", "high", "actual", "relative_error", "inside"} <= held["rows"][0].keys()
    assert {"mare", "coverage", "baseline_mare"} <= held.keys()
    assert {"value", "low", "high"} <= record["params"]["alpha"].keys()
    assert record["predictions"]["rows"][0]["low"] < record["predictions"]["rows"][0]["high"]
    assert record["allocations"][0]["params"]["value"] > 0
    page = (tmp_path / "fit.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 8
    assert "等算力切片" in page
    assert "Slices at one compute" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "interval" in capsys.readouterr().out


def test_fit_never_imports_torch(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("N,D,loss\n" + "\n".join(f"{r['N']},{r['D']},{r['loss']}" for r in sweep()), encoding="utf-8")
    code = (
        "import sys; from danlu.cli.main import main;"
        f" main(['fit', {str(path)!r}, '--refits', '10', '--html', {str(tmp_path / 'p.html')!r}]);"
        " sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_a_ladders_points_are_one_more_table(ladder, tmp_path):
    write_points(tmp_path / "points.jsonl", ladder(noise=0.002))
    found = danlu.scaling.fit(tmp_path / "points.jsonl", refits=20)
    taken = {role: each.column for role, each in found.rows.taken.items()}
    assert (taken["N"], taken["D"], taken["C"], taken["run"]) == ("params", "tokens", "flops", "rung")
    assert found.law.variables == ("N", "D")
    assert found.trusted


def test_units_in_names_are_reckoned_with_and_said():
    rows = [
        {
            "Size": f"model {i}",
            "Non-embedding params (M)": row["N"] / 1e6,
            "Tokens per second": 3e4 + i,
            "train tokens in billions": row["D"] / 1e9,
            "Pile test xent": row["loss"],
        }
        for i, row in enumerate(sweep())
    ]
    found = danlu.scaling.fit(rows, "surface", refits=10)
    plain = danlu.scaling.fit(sweep(), "surface", refits=10)
    assert found.params["alpha"].value == pytest.approx(plain.params["alpha"].value)
    said = [str(taken) for taken in found.taken]
    assert "'Non-embedding params (M)' times 1e+06 as N (parameters)" in said
    assert "'train tokens in billions' times 1e+09 as D (training tokens)" in said
    assert found.rows.taken["loss"].column == "Pile test xent"


def test_a_name_run_together_is_understood():
    rows = [{"N": row["N"], "D": row["D"], "finalC4Loss2": row["loss"]} for row in sweep()]
    assert danlu.scaling.fit(rows, "surface", refits=10).rows.taken["loss"].column == "finalC4Loss2"


def test_perplexity_is_fitted_by_its_logarithm():
    rows = [{"params_m": r["N"] / 1e6, "tokens_B": r["D"] / 1e9, "val/ppl": float(np.exp(r["loss"]))} for r in sweep()]
    found = danlu.scaling.fit(rows, "surface", refits=10)
    assert found.rows.losses == pytest.approx([row["loss"] for row in sweep()])
    assert str(found.rows.taken["loss"]) == "ln of 'val/ppl' as loss (loss (nats a token))"


def test_conditions_may_name_what_was_taken_or_reckoned():
    rows = [{"params (M)": r["N"] / 1e6, "tokens": r["D"], "final loss": r["loss"]} for r in sweep()]
    held = danlu.scaling.fit(rows, "surface", where="N < 1e10", holdout="C >= 5e19 and loss > 0", refits=10).holdout
    assert held is not None
    assert len(held.rows) == sum(6 * row["N"] * row["D"] >= 5e19 for row in sweep())
    own = [row | {"n": float(index)} for index, row in enumerate(rows)]  # a column of that name goes before the role
    kept = danlu.scaling.fit(own, "surface", columns={"N": "params (M)"}, where="N < 20", refits=10).rows
    assert len(kept) == 20


def test_a_plan_takes_a_tables_law(tmp_path, capsys):
    path, out = tmp_path / "runs.jsonl", tmp_path / "fit.json"
    path.write_text("\n".join(json.dumps(row) for row in sweep()), encoding="utf-8")
    assert main(["fit", str(path), "--law", "surface", "--refits", "40", "--json", str(out)]) == 0
    record = json.loads(out.read_text())
    law = read_loss_law(out)
    assert record["params"]["E"]["value"] == law.E
    assert law.loss(1e9, 2e10) == pytest.approx(1.69 + 406.4 / 1e9**0.34 + 410.7 / 2e10**0.28, rel=0.01)
    assert law.largest_flops == pytest.approx(max(6 * row["N"] * row["D"] for row in sweep()))
    assert 1e-4 < law.relative_error < 0.2
    words = ["plan", "--model", "7B", "--tokens", "1T", "--chip", "h100", "--count", "64", "--fit", str(out), "--json"]
    capsys.readouterr()
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["loss"]["law"] == str(out)


def test_a_fit_that_cannot_divide_compute_is_shown_first(tmp_path, capsys):
    path, out = tmp_path / "runs.jsonl", tmp_path / "fit.json"
    path.write_text("\n".join(json.dumps(row) for row in sweep()), encoding="utf-8")
    words = ["fit", str(path), "--law", "floor_free", "--compute", "1e21", "--refits", "10", "--json", str(out)]
    assert main(words) == 2
    said = capsys.readouterr()
    assert "floor_free: L = k C^-g" in said.out
    assert "says nothing about dividing compute" in said.err
    assert out.exists()
    with pytest.raises(DanluError, match="does not part parameters from tokens"):
        read_loss_law(out)


def test_a_ladders_law_of_another_version_is_said(ladder, tmp_path):
    write_fit(fit_points(ladder(noise=0.002), ForecastConfig()), tmp_path / "fit.json")
    assert read_loss_law(tmp_path) == read_loss_law(tmp_path / "fit.json")
    old = json.loads((tmp_path / "fit.json").read_text())
    old["surface"]["huber_delta"] = 0.001
    (tmp_path / "fit.json").write_text(json.dumps(old))
    with pytest.raises(DanluError, match=r"from another version of danlu.*\n.*danlu fit RUN --json"):
        read_loss_law(tmp_path)
    (tmp_path / "fit.json").write_text("{}")
    with pytest.raises(DanluError, match="is no fit"):
        read_loss_law(tmp_path)
