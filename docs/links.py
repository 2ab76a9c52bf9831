"""What mkdocs is told beyond its settings, mkdocs.yml: links and names that mean something in the repository alone."""

import re
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).resolve().parent
_TO_A_FILE = re.compile(r"\[([^\]]*)\]\((\.\./[^)#]+)(?:#[^)]*)?\)")
_ROLE = re.compile(r":(?:attr|class|func|meth|mod):(?=<code>)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A link to a file outside of docs/ becomes the file's name; raises ValueError where there is no such file."""

    def name(link: re.Match[str]) -> str:
        path = (Path(page.file.abs_src_path).parent / link[2]).resolve()
        if path.is_relative_to(_DOCS):
            return link[0]
        if not path.exists():
            raise ValueError(f"docs/{page.file.src_path}: {link[2]} is no file of the repository")
        return f"{link[1]} (`{path.relative_to(_DOCS.parent).as_posix()}`)"

    return _TO_A_FILE.sub(name, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings name each other as Sphinx does."""
    return _ROLE.sub("", html)
