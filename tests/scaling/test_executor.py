"""Which executor a ladder gets."""

import pytest

from danlu.common.errors import DanluError
from danlu.hardware.executor import Here, OnRay, Processes
from danlu.scaling.config import LadderConfig
from danlu.scaling.executor import choose_executor


def test_who_is_chosen(monkeypatch):
    monkeypatch.setattr("danlu.hardware.executor.usable_cores", lambda: 8)
    monkeypatch.delenv("WORLD_SIZE", raising=False)

    def chosen(config=None, flops=1e12, rungs=4):
        return choose_executor(config or LadderConfig(), flops, rungs, "cpu")

    assert chosen() == Processes(4, 2)
    assert chosen(flops=1e9) == Here()  # over before others would have started
    assert chosen(LadderConfig(workers=2), flops=1e9) == Processes(2, 4)
    assert chosen(LadderConfig(executor="here")) == Here()
    assert chosen(LadderConfig(executor="ray", workers=3)) == OnRay(threads=3, gpus=0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert chosen() == Here()


def test_workers_are_at_least_one():
    with pytest.raises(DanluError, match="workers"):
        LadderConfig(workers=0)


def test_an_accelerator_trains_one_rung_at_a_time_and_only_those_that_may_be_seen(monkeypatch):
    monkeypatch.setattr("danlu.hardware.executor.usable_cores", lambda: 8)
    monkeypatch.setattr("danlu.hardware.executor._accelerators", lambda: 2)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    config = LadderConfig(workers=4)
    assert choose_executor(config, 1e12, 4, "cuda:0") == Processes(2, 4, ("0", "1"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert choose_executor(config, 1e12, 4, "cuda:0") == Processes(2, 4, ("4", "5"))
