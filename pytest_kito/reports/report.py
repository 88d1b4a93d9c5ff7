"""A report that is a file: its name, its path, and the function that writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from kito.errors import KitoError
from pytest_kito.reports.results import Results


@dataclass(frozen=True)
class Report:
    """A report that is written to a file.

    Attributes:
        name: its name in messages.
        path: the file.
        set_by: the option or the environment variable that names the file.
        write: writes the report of the results to the path.
    """

    name: str
    path: Path
    set_by: str
    write: Callable[[Results, Path], None]


def write_all(reports: Iterable[Report], results: Results) -> list[str]:
    """Write the reports; if one fails, the others are written all the same.

    Returns:
        One message for each report that could not be written: which, why, and what to do.
    """
    problems = []
    for report in reports:
        try:
            report.write(results, report.path)
        except OSError as error:
            problems.append(
                f"the {report.name} {report.path} cannot be written: {error.strerror or error}; "
                f"check the permissions of its folder, or name another file with {report.set_by}"
            )
        except KitoError as error:
            problems.append(f"the {report.name} {report.path} cannot be written: {error}")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            problems.append(
                f"the {report.name} {report.path} cannot be written: {type(error).__name__}: "
                f"{error}; please report this as a bug"
            )
    return problems
