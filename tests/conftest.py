"""What holds for every test: no deadline, because a busy machine is not a failure; one thread for each worker."""

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # threads of several workers on few cores wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("danlu", deadline=None)
settings.load_profile("danlu")
