"""What holds for every test: no limit of time, because a busy machine is not a failure; one thread for each worker."""

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:  # threads of several workers on few cores wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The examples of a property are the same in every run, so that a change is judged by what it changed alone. To look
# further: pytest --hypothesis-profile=explore
settings.register_profile("danlu", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "explore", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("danlu")


@pytest.fixture(scope="module")
def completions_of_every_quality() -> Iterator[None]:
    """On the road, two of each prompt's completions are a text of the toy language and half of one: what models of some
    thousand parameters say may be all alike, or not, by the rounding of the processor, and then nothing can be ranked.
    """
    from danlu.corpus.toy.instructions import InstructionConfig, examples
    from danlu.pipeline import aligning

    draw = aligning._draw

    def mixed(*arguments: Any) -> tuple[Sequence[Any], list[str]]:
        queries, texts = draw(*arguments)
        samples, number = arguments[-2:]
        every = (one.response for one in examples(InstructionConfig(), 10_000 * number, 10_000))
        told = list(islice((text for text in every if len(text) < 60), len(queries)))
        found = list(texts)
        found[0::samples] = told
        found[1::samples] = [text[: len(text) // 2] for text in told]
        return queries, found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aligning, "_draw", mixed)
        yield
