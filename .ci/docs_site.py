"""What MkDocs must know of this repository: pages outside of docs/, and links that lead out of it.

The pages are written for GitHub, where a link is relative to its file. On the site, a link to a
file that is no page leads to that file in the repository. A page that would load anything from
another host is an error.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
OUTSIDE = {
    "action.md": "action/README.md",
    "changelog.md": "CHANGELOG.md",
    "examples/digits/index.md": "examples/digits/README.md",
    "examples/model-repo/index.md": "examples/model-repo/README.md",
    "examples/two-frameworks/index.md": "examples/two-frameworks/README.md",
}
"""Pages of the site whose source lies outside of docs/: by its place on the site, the file."""
_LOADS = re.compile(
    r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)"
)
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose source lies outside of docs/."""
    from mkdocs.structure.files import File

    for page, source in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links of a page lead where they lead on GitHub."""
    return relinked(markdown, page.file.src_uri, config.extra["repository"])


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Check what a page loads."""
    from mkdocs.exceptions import PluginError

    if loaded := loads_from_elsewhere(output, config.site_url or ""):
        raise PluginError(f"{page.file.src_uri} loads {', '.join(loaded)}: keep it in docs/")
    return output


def loads_from_elsewhere(html: str, own: str) -> list[str]:
    """The addresses on other hosts that a browser loads with a page; links do not count.

    Args:
        html: the whole page.
        own: the address of the site, empty where it is not known.
    """
    return [x for x in _LOADS.findall(html) if not (own and x.startswith(own))]


def relinked(markdown: str, page: str, repository: str) -> str:
    """A page's text with each local link as the site needs it.

    Args:
        markdown: the text as it is in the repository.
        page: where the page is on the site, such as ``action.md``.
        repository: the address of the repository, without a slash at its end.

    Returns:
        The text. A link to what does not exist stays as it is, and MkDocs reports it.
    """
    source = OUTSIDE.get(page, f"docs/{page}")

    def place(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        on_site = {file: name for name, file in OUTSIDE.items()}.get(target)
        if on_site is None and target.startswith("docs/"):
            on_site = target.removeprefix("docs/")
        if on_site is not None:
            to = posixpath.relpath(on_site, posixpath.dirname(page) or ".")
        elif (ROOT / target).exists():
            kind = "tree" if (ROOT / target).is_dir() else "blob"
            to = f"{repository}/{kind}/main/{target}"
        else:
            return link[0]
        return f"]({to}{link[2] or ''})"

    return _LINK.sub(place, markdown)
