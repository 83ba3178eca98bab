"""The documentation as a site: built strictly, so that a link that leads nowhere fails, and with a full reference."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from frostline import ImageClassifier
from tests.docs.pages import ROOT


def test_the_site_is_built_without_a_broken_link_and_with_a_full_reference(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "site" / "reference.html").read_text(encoding="utf-8")
    documented = set(re.findall(r'id="frostline\.ImageClassifier\.(\w+)"', text))
    own = {name for name in vars(ImageClassifier) if not name.startswith(("_", "set_"))}
    assert own <= documented
    assert {"plot_confusion", "top_losses", "to_frame"} <= documented
    text = (tmp_path / "site" / "how-to" / "data.html").read_text(encoding="utf-8")
    assert "(?P&lt;split&gt;train|val)" in text  # a pattern to be copied; within a table the source has a backslash
    for page in (tmp_path / "site").rglob("*.html"):  # mkdocs itself overlooks headings that are not in ASCII
        text = page.read_text(encoding="utf-8")
        assert {unquote(found) for found in re.findall(r'href="#([^"]+)"', text)} <= set(
            re.findall(r'id="([^"]+)"', text)
        )


def test_every_page_is_in_the_navigation_once() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if len(re.findall(rf"\s{re.escape(page)}\n", listed)) != 1] == []
