"""What holds for every test: no deadline, because a busy machine is not a failure."""

from hypothesis import settings

settings.register_profile("danlu", deadline=None)
settings.load_profile("danlu")
