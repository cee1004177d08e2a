"""A table of runs: every row answered or named, whatever it lacks or garbles."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.planner.predict import predict
from danlu.planner.table import BEHIND_BEST, predict_row, predict_table, read_table, row_job, write_answers
from danlu.planner.table_row import link_out, number, power_cap

ROW = {
    "run_id": "one",
    "model": "GPT 18.4B",
    "layers": "40",
    "hidden": "6144",
    "heads": "48",
    "ffn": "24576",
    "ffn_kind": "gelu-2mat",
    "vocab": "51200",
    "seq_len": "2048",
    "global_batch_seqs": "1024",
    "chip": "A100",
    "chip_mem_gb": "80",
    "chip_count": "256",
    "precision": "fp16",
    "tp": "8",
    "pp": "1",
    "dp": "32",
    "microbatch": "4",
    "activation_checkpointing": "full",
    "framework": "Megatron-LM",
    "tflops_kind": "hardware incl. recompute",
}
KEYS = {"run_id", "step_time_s", "low", "high", "tflops_per_chip", "mem_gib_per_chip", "fits", "terms"}


def test_a_full_row_is_answered() -> None:
    found = predict_row(ROW)
    assert set(found) >= KEYS
    assert found["run_id"] == "one"
    assert found["low"] < found["step_time_s"] < found["high"]
    assert sum(found["terms"].values()) == pytest.approx(found["step_time_s"])
    # Narayanan et al. 2021, table 1: 135 TFLOP/s a chip with recomputation counted.
    assert found["tflops_per_chip"] == pytest.approx(135, rel=0.1)
    assert found["fits"] is True


@pytest.mark.parametrize("measured", ["step_time_s", "tokens_per_s_per_chip", "tflops_per_chip", "mfu", "gpu_hours"])
def test_what_was_measured_is_never_looked_at(measured: str) -> None:
    assert predict_row({**ROW, measured: "1"}) == predict_row(ROW)


@pytest.mark.parametrize(
    "column", ["tp", "microbatch", "seq_len", "global_batch_seqs", "heads", "ffn", "vocab", "framework", "precision"]
)
def test_a_missing_column_is_filled_and_said(column: str) -> None:
    found = predict_row({key: value for key, value in ROW.items() if key != column})
    assert "error" not in found
    assert found["step_time_s"] > 0


def test_a_row_of_names_alone_is_enough() -> None:
    found = predict_row({"model": "llama2-7b", "chip": "H100", "chip_count": "64"})
    assert found["fits"]
    assert any("layout" in words for words in found["assumed"])
    assert found["terms"]["layout in practice"] == pytest.approx(found["step_time_s"] * (1 - 1 / BEHIND_BEST))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chip": "H1000"}, "no chip 'H1000'"),
        ({"chip": ""}, "names no chip"),
        ({"chip_count": ""}, "no chip_count"),
        ({"chip_count": "many"}, "no number"),
        ({"chip_count": "-4"}, "above 0"),
        ({"tp": "3", "dp": ""}, "does not divide 256"),
        ({"precision": "int4"}, "no arithmetic"),
        ({"precision": "fp8"}, "no published fp8 peak"),
        ({"model": "new", "layers": "", "hidden": ""}, "neither dimensions nor a number of parameters"),
        ({"layers": "2.5"}, "whole number"),
    ],
)
def test_a_malformed_row_says_why(change: dict[str, str], words: str) -> None:
    found = predict_row({**ROW, **change})
    assert set(found) == {"run_id", "error"}
    assert words in found["error"]


def test_the_rest_goes_on(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    bad = {**ROW, "run_id": "two", "chip_count": "x"}
    lines = [",".join(ROW), *(",".join(row.values()) for row in (ROW, bad, {**ROW, "run_id": ""}))]
    table.write_text("\n".join(lines) + "\nfour,short row\n", encoding="utf-8")
    answers = list(predict_table(read_table(table)))
    assert [answer["run_id"] for answer in answers] == ["one", "two", "row 3", "four"]
    assert ["error" in answer for answer in answers] == [False, True, False, True]
    write_answers(tmp_path / "out.jsonl", answers)
    read = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert read == answers


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="no table at"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DanluError, match="no column 'chip'"):
        read_table(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes(b"PK\x03\x04 a workbook")
    with pytest.raises(DanluError, match="spreadsheet"):
        read_table(tmp_path / "b.csv")


@given(st.sampled_from(sorted(ROW)), st.text(max_size=12))
@settings(max_examples=60)
def test_no_text_in_a_field_breaks_a_row(column: str, text: str) -> None:
    found = predict_row({**ROW, column: text})
    assert "error" in found or found["step_time_s"] > 0


def test_a_model_that_fits_nowhere_is_judged_and_not_refused() -> None:
    found = predict_row({"model": "llama3.1-405b", "chip": "H100", "chip_count": "8"})
    assert found["fits"] is False
    assert found["mem_gib_per_chip"] > 80


def test_open_choices_make_room() -> None:
    glm = {"model": "GLM-130B", "chip": "A100", "chip_mem_gb": "40", "chip_count": "768", "tp": "4", "pp": "8"}
    job, _, assumed = row_job({**glm, "seq_len": "2048", "global_batch_seqs": "4224", "precision": "fp16"})
    assert job.accelerator.memory_bytes == 40 * 2**30
    assert any(words.startswith("recompute") for words in assumed)
    assert predict(job).memory_bytes < 40 * 2**30


def test_experts_that_do_not_fit_spread_over_tensor_parallel_ranks_or_are_cut() -> None:
    row = {"model": "pangu-ultra-moe-718b", "chip": "Ascend 910B", "chip_count": "6144", "tp": "8", "pp": "16"}
    row |= {"vpp": "2", "seq_len": "8192", "global_batch_seqs": "1536"}
    spread, _, assumed = row_job({**row, "ep": "4"})
    assert (spread.layout.ep, spread.layout.expert_cut) == (32, 1)
    assert any("experts spread over 32 ranks" in words for words in assumed)
    small = {"model": "mixtral-8x22b", "chip": "A100", "chip_mem_gb": "40", "chip_count": "32", "tp": "8", "ep": "4"}
    cut, _, assumed = row_job({**small, "seq_len": "4096", "global_batch_seqs": "256"})  # 8 experts, 32 ranks
    assert (cut.layout.ep, cut.layout.expert_cut) == (4, 8)
    assert any("each expert cut" in words for words in assumed)


def test_a_row_of_hours_without_chips_gets_the_usual_number() -> None:
    card = {"model": "Llama 2 70B", "chip": "A100", "tokens_b": "2000", "seq_len": "4096", "precision": "bf16"}
    found = predict_row(card)
    assert "chip_count 2048" in found["assumed"]
    assert found["gpu_hours"] == pytest.approx(1_720_320, rel=0.25)  # its model card
    assert "no chip_count" in predict_row({**card, "tp": "8"})["error"]
    assert "no chip_count" in predict_row({**card, "tokens_b": ""})["error"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64.0),
        ("1,048,576", 1048576.0),
        ("4M", 4e6),
        ("1e3", 1000.0),
        ("38 (estimated)", 38.0),
        ("~12.5", 12.5),
        ("n/a", None),
        ("nan", None),
        ("", None),
        ("-", None),
        ("OOM", None),
    ],
)
def test_numbers_as_people_write_them(text: str, value: float | None) -> None:
    assert number({"x": text}, "x") == value


def test_words_about_links_and_power() -> None:
    assert link_out("NVLink3 + 4x100Gb Omni-Path per node", 8) == pytest.approx(4 * 100e9 / 8 / 8)
    assert link_out("NVLink + 400Gb/s per GPU", 8) == pytest.approx(50e9)
    assert link_out("NVLink in node", 8) is None
    assert power_cap("H100 96GB HBM2e 500W variant") == 500


def test_a_table_of_another_shape_reads_all_the_same(tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain.csv", tmp_path / "odd.csv"
    plain.write_text("run_id,model,chip,chip_count\na,llama2-7b,A100,8\n", encoding="utf-8")
    odd.write_text("\ufeffChip_Count , CHIP,model,run_id\r\n8,A100,llama2-7b,a\r\n\r\n", encoding="utf-8")
    assert list(predict_table(read_table(odd))) == list(predict_table(read_table(plain)))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (",,,", "the row is empty"),
        ("a,llama2-7b,A100,8,64,x", "'64,x' is left over"),
        ("a,llama2-7b,A100,0", "chip_count is 0"),
        ("a,llama2-7b,A100,-8", "chip_count is -8"),
        ("a,llama2-7b,A100,10000000", "no cluster has more than a million"),
    ],
)
def test_a_broken_line_is_named_and_the_next_is_read(tmp_path: Path, row: str, words: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(f"run_id,model,chip,chip_count\n{row}\nb,llama2-7b,A100,8\n", encoding="utf-8")
    broken, good = predict_table(read_table(path))
    assert words in broken["error"]
    assert "error" not in good


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    for header in ("chip,model,chip", "chip,model,Chip"):
        path.write_text(f"{header}\nA100,x,H100\n", encoding="utf-8")
        with pytest.raises(DanluError, match=r"two columns of the name 'chip'|the column 'chip' twice"):
            read_table(path)


_AS_ROWS = [
    {"run_id": "甲", "model": "llama2-7b", "chip": "A100", "chip_count": "8", "seq_len": "1024", "notes": "集群"}
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ",".join(_AS_ROWS[0]) + "\n" + ",".join(_AS_ROWS[0].values())),
        ("a.csv", ";".join(_AS_ROWS[0]).upper() + "\r\n" + ";".join(_AS_ROWS[0].values()) + "\r\n"),
        ("a.tsv", "\t".join(_AS_ROWS[0]) + "\n" + "\t".join(_AS_ROWS[0].values()) + "\n"),
        ("a.json", json.dumps([{**_AS_ROWS[0], "chip_count": 8, "seq_len": 1024.0}])),
        ("a.jsonl", json.dumps({**_AS_ROWS[0], "chip_count": 8, "seq_len": 1024}, ensure_ascii=False)),
        ("a.json", json.dumps({key: [value] for key, value in _AS_ROWS[0].items()})),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_a_table_may_be_written_as_people_write_it(tmp_path: Path, name: str, content: str, encoding: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    said: list[str] = []
    assert read_table(path, said.append) == _AS_ROWS
    assert any("GB 18030" in line for line in said) == (encoding == "gb18030" and not content.isascii())


def test_decimal_commas_are_points_where_commas_do_not_part_the_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("model;chip;chip_count;tokens_b;params_b\nx;A100;1.024;0,5;1,5\ny;A100;8;300;7\n", encoding="utf-8")
    rows = read_table(path)
    assert [row["chip_count"] for row in rows] == ["1024", "8"]
    assert [row["tokens_b"] for row in rows] == ["0.5", "300"]
    path.write_text('model,chip,chip_count,notes\nx,A100,"1,024","0,5"\n', encoding="utf-8")
    assert read_table(path)[0] == {"model": "x", "chip": "A100", "chip_count": "1,024", "notes": "0,5"}
