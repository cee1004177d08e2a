"""Tables as people save them, and what is said of each."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from danlu.common.errors import DanluError
from danlu.scaling.rows import Rows, condition_columns, read_rows
from danlu.scaling.table_files import read_table

RUNS = [
    (n, n * ratio, round(1.69 + 406.4 / n**0.34 + 410.7 / (n * ratio) ** 0.28, 4))
    for n in (19_000_000, 125_000_000, 1_300_000_000)
    for ratio in (5, 20, 80)
]
PLAIN = "params,tokens,loss\n" + "".join(f"{n},{d},{loss:.4f}\n" for n, d, loss in RUNS)


def continental(number: float, digits: int = 0) -> str:
    return f"{number:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def rows_of(path: Path, content: str | bytes) -> Rows:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(read_table(path), {})


def lines(header: str, form: str) -> str:
    return header + "\n" + "".join(form.format(n=n, d=d, loss=loss) + "\n" for n, d, loss in RUNS)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", PLAIN, "6 N D"),
        ("a.csv", PLAIN.encode("utf-8-sig"), ""),
        ("a.csv", PLAIN.encode("utf-16"), ""),
        ("a.csv", PLAIN.encode("utf-16-le"), ""),
        ("a.csv", PLAIN.replace(",", "\t"), ""),
        ("a.txt", PLAIN.replace(",", "  "), "parted by spaces"),
        ("a.csv", "sep=,\r\n" + PLAIN.replace("\n", "\r\n"), ""),
        ("a.csv", "# my sweep\n" + PLAIN, ""),
        ("a.csv.gz", gzip.compress(PLAIN.encode()), ""),
        ("a.csv", lines("Params (M),Tokens (B),loss", "{n}e-6,{d}e-9,{loss}"), ""),
        ("a.csv", lines("params;tokens;loss", "{n};{d};{loss}").replace(".", ","), "'5,"),
        (
            "a.csv",
            "params;tokens;loss\n"
            + "".join(f"{continental(n)};{continental(d)};{continental(loss, 4)}\n" for n, d, loss in RUNS),
            "'19.000.000', read as 1.9e+07",
        ),
        ("a.csv", lines("params,tokens,loss", '"{n:,}","{d:,}",{loss}'), "'19,000,000', read as 1.9e+07"),
        ("a.csv", lines("model,tokens,val_loss", "{n}e-6M,{d}e-9 B,{loss}").replace("e-6M", "e-6 M"), "read as"),
        ("a.csv", lines("| params | tokens | loss |\n|---|---|---|", "| {n} | {d} | {loss} |"), "parted by bars"),
        ("a.csv", lines("\u53c2\u6570\u91cf,\u8bad\u7ec3token\u6570,\u635f\u5931", "{n},{d},{loss}"), ""),
        (
            "a.csv",
            lines("\u53c2\u6570\u91cf,\u8bad\u7ec3token\u6570,\u635f\u5931", "{n},{d},{loss}").encode("gb18030"),
            "read as GB 18030",
        ),
        (
            "a.csv",
            lines(
                "\u53c2\u6570\u91cf\uff08\u4ebf\uff09,\u6570\u636e\u91cf(\u4ebftoken),\u635f\u5931",
                "{n}e-8,{d}e-8,{loss}",
            ),
            "",
        ),
        ("a.json", json.dumps(dict(zip(("params", "tokens", "loss"), zip(*RUNS, strict=True), strict=True))), ""),
        ("a.json", json.dumps({"columns": ["params", "tokens", "loss"], "data": RUNS}), ""),
        (
            "a.json",
            json.dumps(
                {k: {str(i): r[j] for i, r in enumerate(RUNS)} for j, k in enumerate(("params", "tokens", "loss"))}
            ),
            "",
        ),
    ],
)
def test_one_table_in_many_forms(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    found = rows_of(tmp_path / name, content)
    assert found.values["N"] == pytest.approx([n for n, _, _ in RUNS], rel=1e-9)
    assert found.values["D"] == pytest.approx([d for _, d, _ in RUNS], rel=1e-9)
    assert found.losses == pytest.approx([loss for _, _, loss in RUNS], rel=1e-9)
    assert said in " ".join(found.notes)


@pytest.mark.parametrize(
    ("header", "form", "tokens"),
    [
        ("params,tokens_per_param,loss", "{n},{d}/{n},{loss}", "'tokens_per_param' times N"),
        ("params,steps,batch_size,seq_len,loss", "{n},{d}/524288,256,2048,{loss}", "'steps' times 'batch_size' times"),
        ("params,steps,batch_tokens,loss", "{n},{d}/524288,524288,{loss}", "'steps' times 'batch_tokens'"),
        ("params,PF-days,loss", "{n},6*{n}*{d}/8.64e19,{loss}", "D is reckoned as C / (6 N)"),
        ("params,compute (EFLOP),loss", "{n},6*{n}*{d}/1e18,{loss}", "D is reckoned as C / (6 N)"),
        ("params,tokens,tflops,loss", "{n},{d},145.0+{n}/1e8,{loss}", "'tflops' was not taken as C"),
    ],
)
def test_tokens_and_compute_follow_from_what_is_there(tmp_path: Path, header: str, form: str, tokens: str) -> None:
    content = [header]
    for n, d, loss in RUNS:
        cells = form.format(n=n, d=d, loss=loss).split(",")
        content.append(",".join(str(eval(cell)) for cell in cells))  # the forms above
    found = rows_of(tmp_path / "a.csv", "\n".join(content) + "\n")
    assert found.values["D"] == pytest.approx([d for _, d, _ in RUNS], rel=1e-9)
    assert found.values["C"] == pytest.approx([6 * n * d for n, d, _ in RUNS], rel=1e-9)
    assert tokens in " ".join(found.notes)
    table = read_table(tmp_path / "a.csv")
    for role in "NDC":
        assert np.array_equal(condition_columns(table, {})[role], found.values[role])  # one derivation


def test_a_column_of_whole_curves_names_no_runs(tmp_path: Path) -> None:
    rows = [
        {"params": n, "tokens": d, "loss": loss, "curve": [4.0, loss], "name": {"of": "a sweep"}} for n, d, loss in RUNS
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "run" not in read_rows(read_table(path), {}).taken
    assert read_rows(read_table(path), {"run": "curve"}).taken["run"].column == "curve"


@pytest.mark.parametrize(
    ("header", "factor", "taken"),
    [
        ("perplexity", None, "ln of 'perplexity' as loss (loss (nats a token))"),
        ("loss_bits", 1 / np.log(2), "'loss_bits' times 0.693147 as loss (loss (nats a token))"),
        ("bpb", 1.0, "'bpb' as loss (loss (bits a byte))"),
    ],
)
def test_a_loss_in_another_unit_is_converted_or_named_even_where_it_is_given(
    tmp_path: Path, header: str, factor: float | None, taken: str
) -> None:
    path = tmp_path / "a.csv"
    values = [float(np.exp(loss)) if factor is None else float(loss * factor) for _, _, loss in RUNS]
    text = "".join(f"{n},{d},{value!r}\n" for (n, d, _), value in zip(RUNS, values, strict=True))
    path.write_text(f"params,tokens,{header}\n{text}")
    for given in ({}, {"loss": header}):
        found = read_rows(read_table(path), given)
        assert found.losses == pytest.approx([loss for _, _, loss in RUNS])
        assert str(found.taken["loss"]) == taken


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", PLAIN[:-9], "cut off: its last row has 2 of 3 cells"),
        ("a.csv", PLAIN[:-4], "cut off: it ends in"),
        ("a.csv", PLAIN[:-7], "cut off: it ends in"),
        ("a.jsonl", '{"params": 1e6, "loss": 3.0}\n{"params": 1e7, "lo', "cut off: its last line"),
        ("a.csv", b"PK\x03\x04rest", "ZIP archive or a spreadsheet"),
        ("a.xlsx", b"PK\x03\x04rest", "save itself as CSV"),
        ("a.csv", "Step,a - loss,a - loss__MIN,b - loss,b - loss__MIN\n1,2,2,3,3\n", "a chart's export"),
        ("a.csv", "params,tokens,loss\n1,2\n3,4,5\n", "row 1 has 2 cells"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(DanluError) as caught:
        rows_of(tmp_path / name, content)
    assert said in str(caught.value)


def test_a_whole_last_number_needs_no_line_break(tmp_path: Path) -> None:
    assert len(rows_of(tmp_path / "a.csv", PLAIN[:-1])) == len(RUNS)


def test_columns_of_numbers_that_were_not_used_are_said(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.csv", lines("params,gpu_hours,note,loss", "{n},{d}e-9,x,{loss}"))
    assert found.unused == ("gpu_hours",)


def test_percent_are_shares(tmp_path: Path) -> None:
    for number, cell in enumerate(("{:.1f}%", "{:.1f}")):
        path = tmp_path / f"{number}.csv"
        path.write_text("loss,accuracy\n" + "".join(f"{3 - i / 10},{cell.format(25 + 4 * i)}\n" for i in range(9)))
        shares = read_rows(read_table(path), {}, target="accuracy").losses
        assert shares == pytest.approx([0.25 + 0.04 * i for i in range(9)])
