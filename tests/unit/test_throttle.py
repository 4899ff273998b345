"""Wrong tokens: how long the next one must wait, for whom, and who is spared."""

from __future__ import annotations

from submarine_ray.access import throttle
from submarine_ray.access.throttle import OF_ACCOUNT, OF_ADDRESS, Throttle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_further_guess_waits_twice_as_long_up_to_a_bound_and_is_forgotten() -> None:
    clock = Clock()
    guesses = Throttle(clock)
    waits = []
    for number in range(20):
        guesses.failed("192.0.2.1", str(number))
        waits.append(guesses.wait("192.0.2.1"))
    assert waits[: OF_ADDRESS.free - 1] == [0] * (OF_ADDRESS.free - 1)
    assert waits[OF_ADDRESS.free - 1 : OF_ADDRESS.free + 4] == [1, 2, 4, 8, 16]
    assert waits[-1] == OF_ADDRESS.longest == max(waits)
    assert guesses.wait("192.0.2.2") == 0
    clock.now += OF_ADDRESS.longest - 0.5
    assert guesses.wait("192.0.2.1") == 1  # whole seconds, never too few
    clock.now += 0.5
    assert guesses.wait("192.0.2.1") == 0
    clock.now += throttle.FORGOTTEN_SECONDS + 1
    guesses.failed("192.0.2.1", "again")
    assert guesses.wait("192.0.2.1") == 0


def test_many_addresses_slow_the_account_but_not_those_who_know_the_token() -> None:
    clock = Clock()
    guesses = Throttle(clock)
    guesses.succeeded("198.51.100.1")
    for number in range(OF_ACCOUNT.free + 20):
        guesses.failed(f"192.0.2.{number}", str(number))
    assert guesses.wait("203.0.113.9") == OF_ACCOUNT.longest
    assert guesses.wait("198.51.100.1") == 0
    clock.now += throttle.TRUSTED_SECONDS
    assert not guesses.is_trusted("198.51.100.1")


def test_a_machine_has_one_address_of_ipv6() -> None:
    guesses = Throttle(Clock())
    for number in range(OF_ADDRESS.free):
        guesses.failed(f"2001:db8:1:2::{number:x}", str(number))
    assert guesses.wait("2001:db8:1:2:ffff::1") == 1 and guesses.wait("2001:db8:1:3::1") == 0
    for number in range(OF_ADDRESS.free):
        guesses.failed("::ffff:192.0.2.1", str(number))
    assert guesses.wait("192.0.2.1") == 1
    guesses.failed("testclient", "no address")


def test_the_same_wrong_token_is_one_guess_and_memory_is_bounded() -> None:
    guesses = Throttle(Clock())
    for _ in range(1000):
        guesses.failed("192.0.2.1", "of last year")
    assert guesses.wait("192.0.2.1") == 0
    for number in range(throttle.MOST_ADDRESSES + 100):
        address = f"2001:db8:{number:x}::1"
        guesses.failed(address, "x")
        guesses.succeeded(address)
    assert len(guesses._addresses) == len(guesses._trusted) == throttle.MOST_ADDRESSES
