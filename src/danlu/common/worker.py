"""How a process that works for another behaves: it leaves signals to its parent, and ends when that is killed."""

import multiprocessing
import os
import signal
import threading


def begin_worker() -> None:
    """To be called first in a worker process.

    Signals are ignored until somebody handles them, and Ctrl-C on a terminal reaches the parent alone, which decides
    what becomes of its workers. Without the watch an idle worker of a killed parent would wait for ever.
    """
    os.setpgrp()
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
