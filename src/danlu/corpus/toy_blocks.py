"""The toy language made on all processors at once, in the same order on any number of them."""

import multiprocessing
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import count

from danlu.common.errors import DanluError
from danlu.common.worker import begin_worker
from danlu.corpus.records import Block, Blocks, prepare, up_to
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.language import documents
from danlu.hardware.machine import usable_cores

_BLOCK_DOCUMENTS = 1000
# Below this much text (megabytes) the other processes would take longer to start than the text to make.
_ALONE = 2.0


def toy_blocks(config: ToyConfig, min_characters: int, max_characters: int, workers: int | None = None) -> Blocks:
    """Documents of the toy language until there are `config.megabytes` of them.

    Args:
        workers: processes that make them; None takes one for each core this process may use. The documents and
            their order do not depend on it.
    """
    workers = workers or usable_cores()
    limits = (min_characters, max_characters)
    alone = workers == 1 or config.megabytes <= _ALONE
    blocks = _one_process(config, limits) if alone else _many_processes(config, limits, workers)
    return up_to(blocks, config.megabytes * 1e6)


def _make(config: ToyConfig, start: int, limits: tuple[int, int]) -> Block:
    made = documents(config, start, _BLOCK_DOCUMENTS)
    return [prepare(document, f"toy document {start + i}", *limits) for i, document in enumerate(made)]


def _one_process(config: ToyConfig, limits: tuple[int, int]) -> Blocks:
    for start in count(0, _BLOCK_DOCUMENTS):
        yield _make(config, start, limits)


def _many_processes(config: ToyConfig, limits: tuple[int, int], workers: int) -> Blocks:
    # "spawn": a process that holds threads (torch's, tokenizers') cannot be forked safely.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=begin_worker)
    starts = count(0, _BLOCK_DOCUMENTS)
    pending: deque[Future[Block]] = deque()
    try:
        while True:
            while len(pending) < 2 * workers:  # one in work and one in waiting for each
                pending.append(pool.submit(_make, config, next(starts), limits))
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise DanluError(
            "a process that makes the toy language ended too soon.", "See whether memory ran out, and run it again."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
