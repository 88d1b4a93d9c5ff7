"""The test items of declared models: which are collected, selected and run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Repository = Callable[[str], pytest.Pytester]

TWO = """
    version: 1
    models:
      small:
        source: nets:net
        reduction: {min_folded: 1, max_batchnorms: 0}
        speedup: {device: cpu, batch_size: [1, 2], budget_s: 0.5}
      wide:
        source: nets:net
        kwargs: {width: 6}
"""


def run(folder: pytest.Pytester, *args: str) -> pytest.RunResult:
    return folder.runpytest_inprocess("--kito-check", "-p", "no:cacheprovider", *args)


def test_each_model_gets_its_checks(repository: Repository) -> None:
    folder = repository(TWO)
    folder.makepyfile("def test_mine(): pass")
    result = run(folder, "-v")
    result.assert_outcomes(passed=9)
    result.stdout.fnmatch_lines_random(
        [
            "*test_mine PASSED*",
            "kito.yaml::small::reduction PASSED*",
            "kito.yaml::small::equivalence PASSED*",
            "kito.yaml::small::speedup[[]1] PASSED*",
            "kito.yaml::small::speedup[[]2] PASSED*",
            "kito.yaml::small::artifact[[]keras] PASSED*",
            "kito.yaml::wide::reduction PASSED*",
            "kito.yaml::wide::equivalence PASSED*",
            "kito.yaml::wide::artifact[[]keras] PASSED*",
        ]
    )
    table = result.stdout.str().partition("= kito =")[2].splitlines()
    assert max(map(len, table[:6])) <= 100
    result.stdout.fnmatch_lines(["small*1→0*passed", "wide*1→0*passed"])


def test_nothing_is_collected_without_the_option(repository: Repository) -> None:
    folder = repository(TWO)
    folder.makepyfile("def test_mine(): pass")
    folder.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "args, passed, deselected",
    [
        (("-k", "wide"), 3, 6),
        (("-k", "equivalence"), 2, 7),
        (("-m", "kito"), 8, 1),
        (("-m", "not kito"), 1, 8),
        (("kito.yaml",), 8, 0),
        (("kito.yaml::wide",), 3, 0),
        (("kito.yaml::wide::equivalence",), 1, 0),
        ((".",), 9, 0),
    ],
)
def test_selection(
    repository: Repository, args: tuple[str, ...], passed: int, deselected: int
) -> None:
    folder = repository(TWO)
    folder.makepyfile("def test_mine(): pass")
    result = run(folder, *args, "--collect-only", "-q")
    collected = [line for line in result.stdout.lines if "::" in line]
    assert len(collected) == passed
    assert result.parseoutcomes().get("deselected", 0) == deselected


def test_works_where_testpaths_leaves_it_out(repository: Repository) -> None:
    folder = repository(TWO)
    folder.makeini("[pytest]\ntestpaths = tests\nkito_check = true")
    folder.mkdir("tests").joinpath("test_mine.py").write_text("def test_mine(): pass")
    result = folder.runpytest_inprocess("--collect-only", "-q")
    assert sum("::" in line for line in result.stdout.lines) == 9


def test_collect_only_builds_nothing(repository: Repository) -> None:
    folder = repository("{version: 1, models: {lost: {source: 'nets:broken'}}}")
    result = run(folder, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["kito.yaml::lost::reduction"])


def test_shards_share_the_models(repository: Repository) -> None:
    folder = repository(TWO)
    names = []
    for part in ("1/2", "2/2"):
        result = run(folder, "--collect-only", "-q", "--kito-shard", part)
        names.append({line.split("::")[1] for line in result.stdout.lines if "::" in line})
    assert sorted(names, key=sorted) == [{"small"}, {"wide"}]
