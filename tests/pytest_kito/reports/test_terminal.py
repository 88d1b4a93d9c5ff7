"""What the terminal shows of the results: how wide, how long, in which colours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kito_results import declared, equivalence, not_timed, plain_pass, reduction, results, speedup

from pytest_kito.reports.results import Finding, Results
from pytest_kito.reports.terminal import lines

Repository = Callable[[str], pytest.Pytester]


def text(made: Results, verbosity: int = 0) -> list[str]:
    return ["".join(piece for piece, _ in line) for line in lines(made, verbosity)]


def test_the_table_is_at_most_100_columns_wide() -> None:
    findings = plain_pass("a_name_that_is_much_longer_than_any_table_has_room_for")
    big = reduction()
    big.update(layers=[12345, 11234], batchnorms=[1234, 123], parameters=[1234567890, 1234567890])
    findings[0].data = big
    findings[2].data = speedup(256, ratio=123.456, low=100.123, high=200.456)
    findings[4] = Finding(findings[0].model, "artifact[saved_model]", "failed", "it differs")
    findings[1] = Finding(
        findings[0].model, "equivalence", "failed", "it differs", equivalence(a=1)
    )
    shown = text(results(*findings, *plain_pass("b")))
    assert max(map(len, shown[:5])) <= 100
    assert shown[1].split() == [
        *("model", "layers", "norms", "parameters", "difference", "speed-up", "result")
    ]
    assert "…" in shown[2]
    assert shown[2].count("failed") == 1
    assert shown[3].split() == ["1.25x", "[1.20,", "1.30]", "@32"]


def test_a_speed_up_names_its_engine() -> None:
    findings = plain_pass("a")
    findings[3].data = speedup(8, engine="openvino", against="openvino")
    shown = text(results(*findings))
    assert shown[3].split() == ["1.25x", "[1.20,", "1.30]", "@8", "openvino"]


def test_failures_and_reservations_are_explained_in_a_sentence() -> None:
    inconclusive = speedup(verdict="inconclusive", explanation="the machine is too noisy")
    throttled = speedup(32, warnings=["the clock fell\nto 900 MHz"])
    findings = [
        Finding("a", "equivalence", "failed", "differs by 3\n  at layer 'x'"),
        Finding("a", "artifact[keras]", "failed", "not written"),
        Finding("a", "speedup[1]", data=inconclusive),
        Finding("a", "speedup[32]", data=throttled),
        Finding("b", "speedup[1]", "skipped", "no GPU", data=not_timed()),
        Finding("b", "speedup[32]", "skipped", "no GPU", data=not_timed(32)),
        Finding("c", "speedup[1]", "skipped", "no GPU", data=not_timed()),
    ]
    shown = text(results(*findings))
    for line in (
        "a: equivalence: differs by 3 at layer 'x'",
        "a: artifact[keras]: not written",
        "a: speedup[1]: the machine is too noisy",
        "a: speedup[32]: warning: the clock fell to 900 MHz",
        "skipped: b: speedup[1], speedup[32]; c: speedup[1]: no GPU",
    ):
        assert line in shown


def test_one_cause_is_shown_once() -> None:
    findings = [Finding("a", check, "failed", "lost") for check in ("reduction", "equivalence")]
    assert "a: reduction, equivalence: lost" in text(results(*findings))


def test_the_first_few_kept_layers_are_listed() -> None:
    findings = plain_pass("a")
    findings[0].data = reduction({f"bn_{i}": f"reason {i}" for i in range(5)})
    shown = text(results(*findings))
    start = shown.index("a: 5 kept as they are")
    assert shown[start + 1 : start + 5] == [
        *(f"  - bn_{i}: reason {i}" for i in range(3)),
        "  - and 2 more: `kito explain nets:net --all` lists them",
    ]


def test_shared_layers_are_listed() -> None:
    findings = plain_pass("a")
    findings[0].data = reduction(shared={"odd": "it cannot be run"})
    shown = text(results(*findings))
    start = shown.index("a: 1 shared by both models")
    assert shown[start + 1] == "  - odd: it cannot be run"


def test_a_note_where_nothing_was_judged_for_lack_of_a_gpu() -> None:
    skipped = Finding("a", "speedup[1]", "skipped", "no GPU", data=not_timed())
    made = results(skipped, models=(declared("a", 3, "gpu"),))
    assert any(line.startswith("no speed-up was judged") for line in text(made))
    assert not any("no speed-up was judged" in x for x in text(results(*plain_pass("a"))))


def test_the_phases_and_the_part_of_the_gate_itself() -> None:
    made = results(*plain_pass("a"))
    made.total = 12.0
    assert text(made)[-1] == (
        "12.0 s: import 0.0, build 1.0, reduce 0.5, compare 2.0, time 7.0, write 0.5, metric 0.0, "
        "the gate itself 1.0 (8.3%)"
    )


def test_quieter_is_shorter() -> None:
    findings = plain_pass("a")
    findings[0].data = reduction({"bn": "reason"})
    made = results(*findings)
    normal, quiet = text(made), text(made, -1)
    assert quiet == normal[: len(quiet)]
    assert len(quiet) == 4  # the machine, the head, a row for each batch size
    assert text(made, -2) == []


@pytest.mark.parametrize("colour", ["yes", "no"])
def test_colours_and_quietness_are_those_of_pytest(repository: Repository, colour: str) -> None:
    folder = repository(
        """
        version: 1
        models:
          small: {source: "nets:net", speedup: {min: 1.1}}
          lost: {source: "nets:broken"}
          many: {source: "nets:many"}
        """
    )
    result = folder.runpytest_inprocess("--kito-check", f"--color={colour}")
    out = result.stdout.str().partition(" kito ")[2]
    red, green, yellow = (f"\x1b[{code}m" for code in (31, 32, 33))
    if colour == "yes":
        assert f"{green}passed\x1b[0m" in out
        assert f"{red}failed: reduction +2\x1b[0m" in out
        assert f"{yellow}no speed-up was judged" in out
    else:
        assert "\x1b" not in out
        assert "and 2 more: `kito explain nets:many --all` lists them" in out
        quiet = folder.runpytest_inprocess("--kito-check", "-k", "small", "-q").stdout.str()
        assert "no speed-up was judged" in quiet
        assert "the gate itself" not in quiet
        silent = folder.runpytest_inprocess("--kito-check", "-k", "small", "-qq").stdout.str()
        assert "kito =" not in silent
