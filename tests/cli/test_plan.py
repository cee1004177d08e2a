"""`danlu plan` and `danlu chips` from the outside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from danlu.cli import chips, plan
from danlu.cli.main import main
from danlu.common.errors import DanluError

WORDS = ["--model", "llama3-8b", "--tokens", "1T", "--chip", "h100", "--count", "16", "--date", "2024-06-30"]


@pytest.mark.parametrize("words", [["plan", *WORDS], ["chips", "show", "h100"]])
def test_torch_is_not_imported(words: list[str]) -> None:
    code = (
        "import sys; from danlu.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'scipy', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_plan_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main(WORDS)
    shown = capsys.readouterr().out
    for word in ("layout", "step", "memory", "run", "cost", "loss", "serving", "front"):
        assert word in shown


def test_a_figure_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main([*WORDS, "--explain", "chip-hours"])
    shown = capsys.readouterr().out
    assert "wall time" in shown
    assert "[given]" in shown
    with pytest.raises(DanluError, match="no figure"):
        plan.main([*WORDS, "--explain", "chip hour"])


def test_json_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main([*WORDS, "--json"])
    assert json.loads(capsys.readouterr().out)["plan"]["chips"] == 16


def test_a_table_names_the_bad_row_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("run_id,model,chip,chip_count\na,llama2-7b,A100,8\nb,llama2-7b,Z9,8\n", encoding="utf-8")
    plan.main(["--table", str(table), "--json", str(tmp_path / "out.jsonl")])
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [sorted({"error", "terms"} & set(line)) for line in lines] == [["terms"], ["error"]]
    assert "b: there is no chip 'Z9'" in " ".join(capsys.readouterr().out.split())


def test_a_table_without_one_good_row_fails(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("run_id,model,chip,chip_count\nb,llama2-7b,Z9,8\n", encoding="utf-8")
    with pytest.raises(DanluError, match="no row"):
        plan.main(["--table", str(table)])


def test_chips_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    chips.main(["--vendor", "NVIDIA"])
    assert "H100" in capsys.readouterr().out
    chips.main(["show", "h100", "--json"])
    sheet = json.loads(capsys.readouterr().out)
    assert sheet["chip"]["name"] == "H100 SXM 80GB"
    assert sheet["availability"]["training"]["open"] is False  # for buyers in China
    with pytest.raises(DanluError, match="no chip"):
        chips.main(["show", "h1000"])


def test_serving_answers_for_the_lengths_that_are_asked_for(tmp_path: Path) -> None:
    words = ["plan", "--model", "llama3-8b", "--tokens", "1T", "--chip", "h100", "--count", "64"]
    found = []
    for prompt in ("512", "8192"):
        out = tmp_path / f"{prompt}.json"
        assert main([*words, "--prompt-tokens", prompt, "--answer-tokens", "256", "--json", str(out)]) == 0
        found.append(json.loads(out.read_text())["serving_options"])
    short, long = found
    assert [one["token_seconds"] for one in short] == sorted(one["token_seconds"] for one in short)
    rates = [one["tokens_per_chip_second"] for one in short]
    assert rates == sorted(rates)
    assert long[0]["context"] == 8448
    assert long[0]["prefill_seconds"] > short[0]["prefill_seconds"]
    assert max(one["batch"] for one in long) < max(one["batch"] for one in short)


@pytest.mark.parametrize(
    ("config", "words"),
    [("not json", "Give the config.json"), ('{"is_encoder_decoder": true}', "an encoder and a decoder")],
)
def test_a_configuration_that_is_none_is_refused(
    config: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(config)
    assert main(["plan", "--model", str(path), "--tokens", "1T", "--chip", "h100", "--count", "8"]) == 2
    assert words in capsys.readouterr().err


def test_a_table_without_rows_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("model,chip,chip_count\n")
    assert main(["plan", "--table", str(path)]) == 2
    assert "no rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "1Musd", "--budget", "1e22flops"], "--budget is given twice"),
        (["--count", "1.5"], "--count is '1.5', which is no whole number"),
        (["--days=x"], "--days is 'x', which is no number"),
        (["--loss", "nan", "--chip", "h100"], "--loss is nan"),
        ([*WORDS, "--days", "3"], "--days belongs to a budget"),
        (["--budget", "1Musd", "--chip", "h100", "--days", "3", "--count", "64"], "cannot all be given"),
        (["--budget", "64 A100 for 30 days", "--days", "3"], "cannot all be given"),
        (["--budget", "1Musd", "--chip", "h100", "--tp", "4"], "--tp: a plan backwards searches its layout"),
        ([*WORDS, "--loss", "2.0"], "--loss and --tokens contradict each other"),
        ([*WORDS, "--batch-tokens", "1"], "less than one sequence"),
        (
            ["--loss", "2.0", "--model", "llama3-8b", "--chip", "h100", "--tokens-available", "1T"],
            "does not reach a loss of 2 however long",
        ),
        (["--budget", "1Musd", "--chip", "h100", "--tokens-available", "1000"], "too few distinct tokens"),
        (["--model", "llama3-8b", "--tokens", "15", "--chip", "h100", "--count", "8"], "less than one sequence"),
        (["--budget", "1Musd", "--chip", "h100", "--model", "llama3-70b", "--serve", "100T"], "alone takes more than"),
    ],
)
def test_nothing_is_ignored_in_silence(words: list[str], said: str) -> None:
    with pytest.raises(DanluError) as caught:
        plan.main(words)
    assert said in f"{caught.value.cause} {caught.value.remedy}"


def test_a_table_takes_no_flags_that_its_rows_would_ignore(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("run_id,model,chip,chip_count\na,llama2-7b,A100,8\n", encoding="utf-8")
    with pytest.raises(DanluError, match="--chip, --tp do not go with --table"):
        plan.main(["--table", str(table), "--chip", "h100", "--tp", "2"])


def test_a_plan_of_another_time_says_whose_prices_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main([*WORDS[:-1], "2015", "--tokens-available", "10B"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "was released in 2022, after 2015-12-31" in shown
    assert "rent: no offer by 2015-12-31" in shown
    assert "10B distinct tokens, 100 times over: worth" in shown


def test_what_is_planned_in_place_of_what_was_asked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main([*WORDS, "--precision", "fp4", "--framework", "foo"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "H100 SXM 80GB has no fp4: planned in bf16" in shown
    assert "nothing is known here of foo" in shown


def test_a_loss_gives_a_known_model_its_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main(["--loss", "2.1", "--model", "llama3-8b", "--chip", "h100", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["loss"]["value"] == pytest.approx(2.1, abs=1e-4)
    assert 4e11 < found["tokens"] < 6e11


def test_a_budget_pays_for_serving_too(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main(["--budget", "1Musd", "--chip", "h100", "--serve", "1T", "--date", "2024-06-30", "--json"])
    found = json.loads(capsys.readouterr().out)
    training, serving = found["plan"]["costs"]["rent_usd"]["mid"], found["served"]["rent_usd"]["mid"]
    assert serving > 1e4
    assert training + serving == pytest.approx(1e6, rel=0.02)


def test_money_may_be_in_ones_own_currency_at_ones_own_rate(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--chip", "h100", "--date", "2024-06-30", "--serve", "1T"]
    plan.main(["--budget", "1Musd", *words, "--json"])
    dollars = json.loads(capsys.readouterr().out)
    yuan = ["--budget", "800万元", *words, "--exchange", "8CNY"]
    plan.main([*yuan, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["currency"] == {"code": "CNY", "per_usd": 8.0}
    assert found["budget"] == "8Mcny"
    assert found["plan"]["costs"]["rent_usd"] == dollars["plan"]["costs"]["rent_usd"]
    plan.main(yuan)
    shown = capsys.readouterr().out
    for line in shown.splitlines():
        if line.startswith(("cost", "to serve")):
            assert " CNY " in line
            assert "USD" not in line
    assert "money at 8 CNY a US dollar, the rate that was given" in " ".join(shown.split())
    with pytest.raises(DanluError, match="not known here"):
        plan.main(["--budget", "800万元", *words])


def test_a_rent_may_be_in_ones_own_currency(capsys: pytest.CaptureFixture[str]) -> None:
    plan.main([*WORDS, "--rent", "18CNY", "--exchange", "7.2CNY", "--json"])
    found = json.loads(capsys.readouterr().out)
    plan.main([*WORDS, "--usd-per-hour", "2.5", "--json"])
    assert found["plan"]["costs"]["rent_usd"] == json.loads(capsys.readouterr().out)["plan"]["costs"]["rent_usd"]
    for wrong, said in ((["--rent", "18"], "no amount of money"), (["--rent", "2usd", "--usd-per-hour", "2"], "same")):
        with pytest.raises(DanluError, match=said):
            plan.main([*WORDS, *wrong])
