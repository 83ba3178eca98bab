"""A headless Chromium for pages that are files, and axe-core, which knows what assistive technology stumbles over."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def chromium() -> str:
    """Its path; the test is skipped where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("FROSTLINE_CHROMIUM") or next(filter(None, map(shutil.which, names)), "")
    if not found:
        pytest.skip("no Chromium on this machine: install it, or set FROSTLINE_CHROMIUM to its path")
    return found


@contextmanager
def launched() -> Iterator[Any]:
    """A browser, for as many tabs as are wanted: to start one takes longer than most of what is asked of it.

    Not for longer than a module: while it runs, this thread has an event loop, and ``asyncio.run`` refuses.
    """
    browsers = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with browsers.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Any, place: Path, *, width: int = 1100, scheme: Any = "light", free: bool = False
) -> Iterator[tuple[Any, list[str]]]:
    """A tab with a page, and all that it complained of or asked of another host.

    free: its own policy is put aside, so that axe can be run in it.
    """
    said: list[str] = []
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=free, accept_downloads=True
    )
    tab = context.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else said.append(r.url))
    tab.goto(place.as_uri())
    yield tab, said
    context.close()


def axe_source(folder: Path) -> str:
    """axe-core: $AXE_CORE names its ``axe.min.js``, else npm fetches it; the test is skipped where neither can."""
    if given := os.environ.get("AXE_CORE"):
        return Path(given).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    if npm:
        subprocess.run([npm, "pack", "axe-core@4"], cwd=folder, capture_output=True, check=False, timeout=120)
    archives = list(folder.glob("axe-core-*.tgz"))
    if not archives:
        pytest.skip("axe-core is not here: set AXE_CORE to its axe.min.js, or install npm")
    with tarfile.open(archives[0]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def faults(tab: Any, axe: str) -> list[str]:
    """What axe finds, a line each."""
    tab.evaluate(axe)
    found = tab.evaluate('axe.run({resultTypes: ["violations"]})')
    return [f"{fault['id']}: {node['html'][:120]}" for fault in found["violations"] for node in fault["nodes"]]
