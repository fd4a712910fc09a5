"""A clock that runs faster than the real one."""

import time

import pytest

from chassis.clock import ScaledClock


async def test_an_hour_passes_in_a_blink():
    clock = ScaledClock(factor=36_000.0)
    began_s, began_unix_s, real_s = clock.monotonic_s(), clock.now_unix_s(), time.monotonic()
    await clock.sleep(3600.0)
    assert clock.monotonic_s() - began_s >= 3600.0
    assert clock.now_unix_s() - began_unix_s >= 3600.0
    assert time.monotonic() - real_s < 30.0


def test_it_starts_at_the_real_time_of_day():
    assert ScaledClock(factor=1.0).now_unix_s() == pytest.approx(time.time(), abs=5.0)


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_time_that_stands_still_or_goes_back_is_refused(factor):
    with pytest.raises(ValueError, match="cannot be scaled"):
        ScaledClock(factor)
