"""Jobs for the planner's tests."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from danlu.hardware.catalogue import find_chip
from danlu.planner.accelerator import accelerator
from danlu.planner.cases import Job
from danlu.planner.layout import Layout
from danlu.planner.models import model_shape
from danlu.planner.precision import Precision
from danlu.planner.software import MODERN

MakeJob = Callable[..., Job]


@pytest.fixture
def make_job() -> MakeJob:
    """A job from a model's name, a chip's name and the layout's fields."""

    def make(
        model: str = "llama2-7b",
        chip: str = "A100",
        *,
        seq_len: int = 4096,
        batch: int = 128,
        precision: str = "bf16",
        ideal_network: bool = False,
        **layout: object,
    ) -> Job:
        arithmetic = Precision(precision)
        machine = accelerator(find_chip(chip), arithmetic)
        if ideal_network:
            machine = replace(machine, link_in=float("inf"), link_out=float("inf"), domain=1_000_000)
        return Job(model_shape(model), machine, arithmetic, MODERN, Layout(**layout), seq_len, batch)  # type: ignore[arg-type]

    return make
