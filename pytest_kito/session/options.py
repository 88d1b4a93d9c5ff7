"""The options of the plugin: command line over ini over default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

DeviceChoice = Literal["auto", "cpu", "gpu"]
_DEVICES = get_args(DeviceChoice)


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Attributes:
        check: collect the checks of kito.yaml.
        config: path of kito.yaml.
        device: where to run, "auto", "cpu" or "gpu".
        require_gpu: whether a missing GPU is an error.
        artifacts: folder for the artifacts of models that pass; None to write none.
        report: file for the JSON report; None to write none.
        shard: (I, N) for the I-th of N parts of the models, I from 1; None for all.
        timings: an earlier JSON report, whose seconds balance the parts; None to estimate them.
        html: file for the HTML report; None to write none.
        html_history: folder of earlier JSON reports, for the HTML report; None for no history.
    """

    check: bool
    config: Path
    device: DeviceChoice
    require_gpu: bool
    artifacts: Path | None
    report: Path | None
    shard: tuple[int, int] | None
    timings: Path | None = None
    html: Path | None = None
    html_history: Path | None = None

    @classmethod
    def from_config(cls, config: pytest.Config) -> Options:
        """Read the options from the command line, the ini file and the defaults.

        Raises:
            pytest.UsageError: a value is not allowed.
        """

        def value(name: str) -> Any:
            given = config.getoption(f"kito_{name}")
            return config.getini(f"kito_{name}") if given is None else given

        def path(name: str) -> Path | None:
            given = config.getoption(f"kito_{name}")
            if given is not None:
                return Path(config.invocation_params.dir, given)
            written = config.getini(f"kito_{name}")
            return Path(config.rootpath, written) if written else None

        device = value("device")
        if device not in _DEVICES:
            raise pytest.UsageError(
                f"kito_device: {device!r} is not a device; allowed: {', '.join(_DEVICES)}"
            )
        if value("require_gpu") and device == "cpu":
            raise pytest.UsageError(
                "kito_require_gpu: a GPU is required, and kito_device is 'cpu'; leave one out"
            )
        return cls(
            check=value("check"),
            config=path("config") or config.rootpath / "kito.yaml",
            device=device,
            require_gpu=value("require_gpu"),
            artifacts=path("artifacts"),
            report=path("report"),
            shard=_shard(value("shard")),
            timings=path("timings"),
            html=path("html"),
            html_history=path("html_history"),
        )


def add_options(parser: pytest.Parser) -> None:
    """Declare the options and the ini values of the same names."""
    group = parser.getgroup("kito", "reduced Keras models (pytest-kito)")

    def flag(name: str, text: str) -> None:
        group.addoption(
            f"--kito-{name.replace('_', '-')}",
            dest=f"kito_{name}",
            action="store_true",
            default=None,
            help=text,
        )
        parser.addini(f"kito_{name}", text, type="bool", default=False)

    def option(name: str, metavar: str, text: str, default: str = "", **more: Any) -> None:
        group.addoption(
            f"--kito-{name.replace('_', '-')}",
            dest=f"kito_{name}",
            metavar=metavar,
            default=None,
            help=text,
            **more,
        )
        parser.addini(f"kito_{name}", text, type="string", default=default)

    flag("check", "collect the checks of the models declared in kito.yaml")
    option("config", "PATH", "configuration file; default: kito.yaml in the root directory")
    option("device", "auto|cpu|gpu", "where to run", "auto", choices=_DEVICES)
    flag("require_gpu", "a missing GPU is an error")
    option("artifacts", "DIR", "write the artifacts of models that pass into this folder")
    option("report", "FILE", "write a JSON report")
    option("html", "FILE", "write an HTML report, which needs nothing else to be opened")
    option("html_history", "DIR", "show in the HTML report how the JSON reports in DIR led to it")
    option("shard", "I/N", "check the I-th of N parts of the models only, balanced by cost")
    option("timings", "FILE", "balance the parts by the seconds in this earlier JSON report")


def _shard(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count:
        raise pytest.UsageError(
            f"kito_shard: {text!r} is not a shard; allowed: I/N with 1 <= I <= N, such as 2/3"
        )
    return index, count
