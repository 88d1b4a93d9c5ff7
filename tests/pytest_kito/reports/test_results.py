"""Results: findings in any order, repeated, late and missing ones."""

from __future__ import annotations

import itertools
import random

import pytest
from kito_results import CHECKS, declared, not_timed, plain_pass, results

from pytest_kito.checks.phases import PhaseClock
from pytest_kito.reports.json import report
from pytest_kito.reports.results import Finding


def test_the_order_of_arrival_does_not_matter() -> None:
    models = (declared("a", 3), declared("b", 9))
    findings = plain_pass("a") + plain_pass("b")
    whole = report(results(*findings, models=models))
    assert [x["check"] for x in whole["models"][0]["checks"]] == list(CHECKS)
    for seed in range(5):
        random.Random(seed).shuffle(findings)
        other = report(results(*findings, models=models))
        assert {**other, "created": whole["created"]} == whole


def test_a_network_is_in_the_report_where_it_was_described() -> None:
    findings = plain_pass("a")
    assert "network" not in report(results(*findings))["models"][0]
    findings[0].network = {"name": "a"}
    assert report(results(*findings))["models"][0]["network"] == {"name": "a"}


def test_a_model_is_proved_only_if_every_declared_check_was_run() -> None:
    findings = plain_pass("a")
    assert results(*findings).models[0].proved
    for missing in range(len(findings)):
        model = results(*findings[:missing], *findings[missing + 1 :]).models[0]
        assert model.passed
        assert not model.proved
        assert model.not_run == [findings[missing].check]
    skipped = Finding("a", "speedup[1]", "skipped", "no GPU", data=not_timed())
    assert results(*findings[:2], skipped, *findings[3:]).models[0].proved


def test_a_failure_after_the_check_keeps_its_figures() -> None:
    findings = plain_pass("a")
    late = Finding("a", "speedup[1]", "failed", "after the check: boom")
    model = results(*findings, late).models[0]
    assert [x.check for x in model.failed] == ["speedup[1]"]
    assert model.of("speedup")[0].data is not None
    assert model.of("speedup")[0].message == "after the check: boom"


def test_the_last_finding_of_a_repeated_check_counts() -> None:
    first = Finding("a", "equivalence", "failed", "once", data={"outputs": {}})
    made = results(first, *plain_pass("a"))
    assert made.passed


def test_an_interrupted_session_did_not_pass() -> None:
    made = results(*plain_pass("a"))
    made.interrupted = True
    assert made.models[0].passed
    assert not made.passed


def test_seconds_add_up() -> None:
    made = results(*plain_pass("a"), *plain_pass("b"))
    made.total = 24.0
    assert made.models[0].seconds == {
        "build": 1.0,
        "reduce": 0.5,
        "compare": 2.0,
        "time": 7.0,
        "write": 0.5,
        "metric": 0,
    }
    seconds = made.seconds
    assert seconds["own"] == pytest.approx(2.0)
    assert sum(seconds.values()) - seconds["total"] == pytest.approx(seconds["total"])


def test_a_phase_within_a_phase_counts_for_itself_only() -> None:
    ticks = itertools.count()
    clock = PhaseClock(lambda: float(next(ticks)))
    with clock.measure("compare"):  # 0
        with pytest.raises(ValueError, match="lost"), clock.measure("build"):  # 1
            raise ValueError("lost")  # 2
        with clock.measure("reduce"):  # 3
            pass  # 4
    # 5
    assert clock.take() == {"compare": 3.0, "build": 1.0, "reduce": 1.0}
    assert clock.take() == {}


def test_a_missing_gpu_is_noted_only_if_every_minimum_is_for_a_gpu() -> None:
    gpu, cpu = declared("a", 3, "gpu"), declared("b", 4, "cpu")
    skipped = Finding("a", "speedup[1]", "skipped", "no GPU", data=not_timed())
    assert results(skipped, models=(gpu,)).gpu_missing
    assert not results(skipped, *plain_pass("b"), models=(gpu, cpu)).gpu_missing
    assert not results(*plain_pass("a")[:2], models=(gpu,)).gpu_missing
