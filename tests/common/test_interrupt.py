import os
import signal

import pytest

from danlu.common.interrupt import Stopped, stop_at_once, stop_between_steps


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_one_exception_with_the_shells_exit_code(signum: signal.Signals, code: int) -> None:
    before = signal.getsignal(signum)
    with pytest.raises(Stopped) as caught, stop_at_once():
        os.kill(os.getpid(), signum)
    assert caught.value.exit_code == code
    assert signal.getsignal(signum) is before


def test_a_loop_finishes_its_step_first() -> None:
    done = []

    def loop() -> None:
        with stop_at_once(), stop_between_steps() as stop:
            for step in range(10):
                if step == 3:
                    os.kill(os.getpid(), signal.SIGTERM)
                done.append(step)
                stop.raise_if_set()

    with pytest.raises(Stopped) as caught:
        loop()
    assert done == [0, 1, 2, 3]
    assert caught.value.signum == signal.SIGTERM


def test_a_second_request_stops_at_once() -> None:
    noted = []

    def impatient() -> None:
        with stop_between_steps() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            noted.append(stop.signum)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        impatient()
    assert noted == [signal.SIGINT]


def test_errors_do_not_catch_it() -> None:
    assert not issubclass(Stopped, Exception)
