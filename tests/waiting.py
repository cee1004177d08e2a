"""How tests wait for what happens elsewhere: as long as a machine may take that is busy with other things."""

import functools
import time
from collections.abc import Callable

import httpx

PATIENCE = 300.0
"""Seconds until something that should have happened counts as not happening. Nothing passes by waiting for it, so it
costs nothing where all is well; a machine under load may leave a process without a core for many seconds."""

get = functools.partial(httpx.get, timeout=PATIENCE)
post = functools.partial(httpx.post, timeout=PATIENCE)


def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
