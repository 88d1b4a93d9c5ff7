"""Signals that end a process: before a change or after it, and with the effect that they have."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kito.export.signals import Interrupted, OrderlyEnd


@pytest.fixture
def seen() -> Iterator[list[int]]:
    """The signals SIGTERM that reached the handler that was there before."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def test_a_signal_before_the_change_stops_the_work(seen: list[int]) -> None:
    tidied = []
    with pytest.raises(Interrupted), OrderlyEnd():  # noqa: PT012
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # a second one does not disturb the tidying up
            tidied.append(True)
            assert seen == []
    assert tidied
    assert seen == [signal.SIGTERM]


def test_a_signal_during_the_change_waits_for_its_end(seen: list[int]) -> None:
    done = []
    with OrderlyEnd() as end:
        end.hold()
        signal.raise_signal(signal.SIGTERM)
        done.append(True)
        assert seen == []
    assert done
    assert seen == [signal.SIGTERM]


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Python's own handler: a shell that runs the tests in the background has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keyboard")
def test_an_interrupt_from_the_keyboard_is_one_afterwards() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt) as caught, OrderlyEnd() as end:  # noqa: PT012
        end.hold()
        signal.raise_signal(signal.SIGINT)
        done.append(True)
    assert done
    assert caught.type is KeyboardInterrupt
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with OrderlyEnd():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_handles_no_signals() -> None:
    failed: list[Any] = []

    def work() -> None:
        try:
            with OrderlyEnd() as end:
                end.hold()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []
