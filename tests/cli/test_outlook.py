import json
import subprocess
import sys
from pathlib import Path

import pytest

from danlu.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_outlook_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "outlook", "--date", "2026-01-31")
    assert code == 0
    for words in ("Demand", "Supply", "Shares", "can buy", "Public text", "Claims checked", "training:", "inference:"):
        assert words in out


def test_a_check_may_be_quoted_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    code, quoted, _ = run(capsys, "outlook", "check", "cagr 53.9 103.4 2021 2025")
    assert code == 0
    assert "17.7%" in quoted
    assert run(capsys, "outlook", "check", "cagr", "53.9", "103.4", "2021", "2025")[1] == quoted


def test_a_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "outlook", "check", "cagr 53.9 103.4 2021 2025 19%", "--json")
    found = json.loads(out)
    assert found["verdict"] == "does not add up"
    assert found["figures"]["cagr"] == pytest.approx(0.1769, abs=1e-4)


def test_without_a_claim_the_forms_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "outlook", "check")
    assert "cagr FIRST LAST YEAR YEAR" in out
    assert "danlu outlook check 'run 10000 v100 13days 3.14e23flops'" in out


@pytest.mark.parametrize(
    ("words", "cause", "remedy"),
    [
        (["check", "cagr 53.9"], "takes 4 to 6 words, not 1", "Write it as"),
        (["check", "cagar 53.9 103.4 2021 2025"], "there is no check 'cagar'", "cagr FIRST"),
        (["check", "cagr a b 2021 2025"], "'a' is not a number", "Write it as"),
        (["chek"], "danlu outlook has no 'chek'", "check 'CLAIM'"),
        (["--region", "atlantis"], "the region 'atlantis'", "Known: cn"),
        (["--date", "soon"], "'soon'", "2023-11"),
    ],
)
def test_bad_input_is_two_plain_lines(
    capsys: pytest.CaptureFixture[str], words: list[str], cause: str, remedy: str
) -> None:
    code, out, err = run(capsys, "outlook", *words)
    assert code == 2
    assert out == ""
    first, second = err.strip().split("\n")
    assert first.startswith("danlu: ")
    assert cause in first
    assert remedy in second


def test_page_and_json_are_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    html, plain = tmp_path / "o.html", tmp_path / "o.json"
    code, out, _ = run(capsys, "outlook", "--html", str(html), "--json", str(plain), "--date", "2024-01-31")
    assert code == 0
    assert f"wrote {html}" in out
    assert json.loads(plain.read_text(encoding="utf-8"))["date"] == "2024-01-31"
    assert "说法核查" in html.read_text(encoding="utf-8")


def test_claims_show_their_arithmetic(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "outlook", "claims")
    assert out.count("verdict:") == 14
    _, plain, _ = run(capsys, "outlook", "claims", "--json")
    assert len(json.loads(plain)) == 14


def test_chips_list_show_and_filter(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "chips", "show", "h100", "--date", "2026-01-31")
    for words in ("TPP 15832", "performance density 19.45", "3A090-2023: controlled", "cn on 2026-01-31, training"):
        assert words in " ".join(out.split())
    _, plain, _ = run(capsys, "chips", "--vendor", "huawei", "--json")
    assert {sheet["chip"]["vendor"] for sheet in json.loads(plain)} == {"Huawei"}
    code, _, err = run(capsys, "chips", "show", "h1000")
    assert code == 2
    assert "Nearest: " in err


def test_a_users_chip_is_shown_and_a_bad_file_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "[[chip]]\nname = 'Furnace'\nvendor = 'D'\nreleased = 2026\npeaks_tflops = { bf16 = 500 }\n", "utf-8"
    )
    _, out, _ = run(capsys, "chips", "show", "furnace", "--chips", str(path))
    assert "500" in out
    path.write_text("[[chip]]\nname = 'Furnace'\nvendor = 'D'\nreleased = 2026\nmemry_gib = 3\n", "utf-8")
    code, _, err = run(capsys, "chips", "show", "furnace", "--chips", str(path))
    assert code == 2
    assert "memry_gib" in err
    assert "memory_gib" in err


@pytest.mark.parametrize(
    "words",
    [
        ["outlook", "--date", "2026-01-31"],
        ["outlook", "check", "cagr 1 2 2020 2021"],
        ["outlook", "--html", "o.html"],
        ["chips"],
        ["chips", "show", "h100"],
        ["plan", "--model", "7B", "--tokens", "1T", "--chip", "h100", "--count", "64", "--html", "p.html"],
    ],
    ids=" ".join,
)
def test_torch_is_never_imported(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from danlu.cli.main import main; status = main(sys.argv[1:]);"
        " print('torch' in sys.modules, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().endswith("False")
