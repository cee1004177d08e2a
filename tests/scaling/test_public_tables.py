"""Known answers on public tables, where a folder with them is named (see benchmarks/scaling_tables.py)."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

SHARED = os.environ.get("DANLU_SHARED")
pytestmark = pytest.mark.skipif(SHARED is None, reason="DANLU_SHARED does not name a folder with the public tables")


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "scaling_tables.py"
    spec = importlib.util.spec_from_file_location("scaling_tables", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["scaling_tables"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("check", [*(f"D{number}" for number in range(1, 12)), "break"])
def test_known_answer(benchmark, check):
    passed, figures = benchmark.CHECKS[check](Path(SHARED) / "data" / "scaling")
    assert passed, figures


@pytest.mark.slow
def test_intervals_hold_what_they_say(benchmark):
    passed, figures = benchmark.calibration(Path(SHARED) / "data" / "scaling")
    assert passed, figures
