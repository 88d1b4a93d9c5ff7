"""GitHub's step summary and annotations, read back by what reads Markdown and commands."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kito_results import declared, not_timed, plain_pass, reduction, results, speedup
from markdown_it import MarkdownIt
from markdown_it.token import Token

from kito.errors import KitoError
from pytest_kito.reports.github import (
    LIMIT,
    disarm,
    escape,
    summary,
    workflow_commands,
    write_summary,
)
from pytest_kito.reports.results import Finding

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = [
    "a|b\n| c | d |",
    "<script>alert(1)</script></details>",
    "`code` **bold** [link](javascript:alert(1)) ![x](http://y)",
    "# heading\n\n- list\n1. one\n> quote\n```\nfence",
    "::set-output name=x::y\r\n::error::z",
    "\\| \\` &lt; &#124; @somebody #1 https://example.com/ ~~x~~ <!-- --> \x1b[31m \x00",
]


class Tags(HTMLParser):
    """The tags of a document, and its text by line."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "br":
            self.text += "\n"

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> Tags:
    tags = Tags()
    tags.feed(MARKDOWN.render(markdown))
    return tags


def rows(markdown: str) -> list[list[str]]:
    """The cells of the tables, as they are shown."""
    tokens = MARKDOWN.parse(markdown)
    found: list[list[str]] = []
    for index, token in enumerate(tokens):
        if token.type == "tr_open":
            found.append([])
        elif token.type in ("td_open", "th_open"):
            found[-1].append(shown(tokens[index + 1]))
    return found


def shown(token: Token) -> str:
    return "".join(child.content for child in token.children or () if child.type == "text")


def test_the_summary_holds_table_environment_sentences_and_what_was_kept() -> None:
    slow = speedup(32, verdict="fail", explanation="at most 1.3 times, below the minimum of 2")
    warned = speedup(verdict="inconclusive", warnings=["the clock fell to 900 MHz"])
    findings = plain_pass("good")
    findings[0].data = reduction({"bn_7": "'conv' applies 'relu' before it"}, {"odd": "it is odd"})
    findings += plain_pass("bad")
    findings[-2] = Finding("bad", "speedup[32]", "failed", "below the minimum", data=slow)
    findings[-3] = Finding("bad", "speedup[1]", "passed", data=warned)
    findings.append(Finding("far", "speedup[1]", "skipped", "no GPU here", data=not_timed()))
    text = summary(results(*findings))

    table = rows(text)
    assert {len(row) for row in table} == {8}
    assert [row[1] for row in table] == ["model", "good", "", "bad", "", "far"]
    assert table[1] == [
        *("✅", "good", "7→5", "2→1", "143→127", "5.0e-08"),
        *("1.25x [1.20, 1.30] @1", "passed"),
    ]
    assert table[2][6] == "1.25x [1.20, 1.30] @32"
    assert table[3][7] == "failed: speedup[32]"

    page = rendered(text)
    assert "Environment: Processor | 2000 (cpu), Keras 3.12.0, tensorflow 2.18.0" in page.text
    assert "threads 2" in page.text
    assert "the gate itself" in page.text
    assert "bad: speedup[32]: below the minimum" in page.text
    assert "bad: speedup[1]: inconclusive" in page.text
    assert "warning bad: speedup[1]: the clock fell to 900 MHz" in page.text
    assert "skipped far: speedup[1]: no GPU here" in page.text
    assert page.tags.count("details") == page.tags.count("/details") == 2
    assert "good: 1 shared by both models" in page.text
    assert "odd: it is odd" in page.text
    folded = text.partition("<details>")[2].partition("</details>")[0]
    assert "good: 1 kept" in rendered(folded).text
    assert "bn_7: 'conv' applies 'relu' before it" in rendered(folded).text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_and_messages_stay_data_in_the_summary(hostile: str) -> None:
    findings = plain_pass("a")
    findings[0].data = reduction({hostile: hostile})
    findings[1] = Finding("a", "equivalence", "failed", hostile)
    findings[2] = Finding("a", "speedup[1]", "skipped", hostile, data=not_timed())
    findings[3].data = speedup(32, warnings=[hostile])
    plain = plain_pass("a")
    plain[0].data = reduction({"x": "x"})
    plain[1] = Finding("a", "equivalence", "failed", "x")
    plain[2] = Finding("a", "speedup[1]", "skipped", "x", data=not_timed())
    plain[3].data = speedup(32, warnings=["x"])
    text, harmless = summary(results(*findings)), summary(results(*plain))
    assert [len(row) for row in rows(text)] == [len(row) for row in rows(harmless)]
    tags = [tag for tag in rendered(text).tags if tag != "br"]
    assert tags == [tag for tag in rendered(harmless).tags if tag != "br"]


@given(st.text())
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    page = rendered(f"| a |\n| --- |\n| x{escape(text)} |")
    printable = "\n".join(
        " ".join("".join(c if c.isprintable() else "\ufffd" for c in word) for word in line.split())
        for line in text.splitlines()
    )
    assert page.text.split() == ["a", *f"x{printable}".split()]
    cells = {"table", "thead", "tbody", "tr", "th", "td"}
    assert {tag.removeprefix("/") for tag in page.tags} <= cells | {"br"}


def test_a_summary_that_is_too_long_ends_with_a_whole_model() -> None:
    findings = []
    for i in range(40):
        many = plain_pass(f"model_{i}")
        many[0].data = reduction({f"layer_{i}": "why " * 10_000})
        findings += many
    text = summary(results(*findings))
    assert LIMIT / 2 < len(text.encode()) <= LIMIT
    assert len(rows(text)) == 1 + 2 * 40
    page = rendered(text)
    assert page.tags.count("details") == page.tags.count("/details")
    assert f"{40 - page.tags.count('details')} more models are not shown" in page.text
    few = summary(results(*findings), limit=4000)
    assert len(few.encode()) <= 4000
    assert "more models do not fit into this table" in rendered(few).text


def test_the_summary_is_appended_and_counts_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n\n", encoding="utf-8")
    write_summary(results(*plain_pass("ä")), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n\n## ")
    assert "ä" in text
    path.write_text("x" * (LIMIT - 10), encoding="utf-8")
    with pytest.raises(KitoError, match="has filled it already"):
        write_summary(results(*plain_pass("a")), path)
    assert path.stat().st_size == LIMIT - 10


COMMAND = re.compile(r"::(?P<command>\S+) (?P<properties>.*?)::(?P<data>.*)")


def parse(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as the runner reads it."""
    match = COMMAND.fullmatch(line)
    assert match
    assert "\r" not in line
    pairs = (pair.split("=", 1) for pair in match["properties"].split(","))
    properties = {key: unescape(value, ":,") for key, value in pairs}
    return match["command"], properties, unescape(match["data"])


def unescape(text: str, more: str = "") -> str:
    for character in ("\r", "\n", *more):
        text = text.replace(f"%{ord(character):02X}", character)
    return text.replace("%25", "%")


def test_annotations_stand_on_the_line_of_the_model(tmp_path: Path) -> None:
    inconclusive = speedup(32, verdict="inconclusive", warnings=["clock"], explanation="too noisy")
    findings = [
        *plain_pass("good"),
        Finding("bad", "equivalence", "failed", "output differs by 3 %\nat layer 'x'"),
        Finding("bad", "speedup[1]", "skipped", "no GPU", data=not_timed()),
        Finding("bad", "speedup[32]", data=inconclusive),
    ]
    made = results(*findings, models=(declared("good", 3), declared("bad", 7)))
    made.config = "sub/kito.yaml"
    environ = {"GITHUB_WORKSPACE": str(tmp_path)}
    file = tmp_path / "project" / "sub" / "kito.yaml"
    found = [parse(line) for line in workflow_commands(made, file, environ)]
    place = {"file": "project/sub/kito.yaml", "line": "7"}
    assert found == [
        (
            "error",
            {**place, "title": "bad: equivalence"},
            "output differs by 3 %\nat layer 'x'",
        ),
        ("warning", {**place, "title": "bad: speedup[32]"}, "too noisy"),
        ("warning", {**place, "title": "bad: speedup[32]"}, "clock"),
    ]
    outside = workflow_commands(made, file, {"GITHUB_WORKSPACE": str(tmp_path / "other")})
    assert parse(next(outside))[1]["file"] == "sub/kito.yaml"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_messages_stay_data_in_annotations(hostile: str) -> None:
    made = results(Finding("a", "equivalence", "failed", hostile))
    made.config = "a,b:c%\nd.yaml"
    [line] = workflow_commands(made, Path("kito.yaml"), {})
    assert len(re.split("[\r\n]", line)) == 1
    command, properties, data = parse(line)
    assert command == "error"
    assert properties["file"] == made.config
    assert data == hostile


@pytest.mark.parametrize("line", ["::add-mask::x", "\n  ::error::x", "a\r::stop-commands::x"])
def test_no_line_of_a_message_is_a_command(line: str) -> None:
    shown = disarm(f"kito.yaml:3: a layer\n{line}")
    assert not [x for x in re.split("[\r\n]", shown) if x.lstrip().startswith("::")]
    assert disarm("a::b\n  c: d::e") == "a::b\n  c: d::e"
