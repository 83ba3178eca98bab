"""requirements.lock holds what pyproject.toml asks for, each with its hashes, and is what LOCKED=1 installs."""

import re
import runpy
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PINNED = re.compile(r"^([a-zA-Z0-9._-]+)==([^\s;]+)[^\\\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M)


def asked(extra: str | None) -> Iterator[Requirement]:
    """Of an extra and of those that it names; of the core without one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"] if extra is None else project["optional-dependencies"][extra]:
        if (wanted := Requirement(text)).name == project["name"]:
            for another in wanted.extras:
                yield from asked(another)
        else:
            yield wanted


def test_every_package_that_is_asked_for_is_pinned_with_its_hash_in_a_version_that_is_asked_for() -> None:
    text = (ROOT / "requirements.lock").read_text()
    pinned = {canonicalize_name(name): version for name, version, _ in PINNED.findall(text)}
    assert len(pinned) == len(re.findall(r"^[a-zA-Z0-9]", text, re.M))
    for wanted in (*asked(None), *asked("demo"), *asked("dev"), Requirement("hatchling"), Requirement("editables")):
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), f"{wanted}: run make lock"


def test_all_that_those_packages_need_in_turn_is_pinned_too() -> None:
    """By what they say of themselves where they are installed. pip is told not to look: pip 23.2 takes
    another's `coverage[toml]` for something else than the pinned coverage, and stops."""
    pinned = {canonicalize_name(name) for name, _, _ in PINNED.findall((ROOT / "requirements.lock").read_text())}
    waiting = [*asked(None), *asked("demo"), *asked("dev"), Requirement("hatchling"), Requirement("editables")]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        assert name in pinned, f"{wanted}: run make lock"
        for extra in {"", *wanted.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            with suppress(PackageNotFoundError):
                needs = map(Requirement, requires(name) or ())
                waiting += [one for one in needs if one.marker is None or one.marker.evaluate({"extra": extra})]
    assert len(seen) > 100


def test_locked_installs_nothing_without_a_hash() -> None:
    hashed, own = runpy.run_path(str(ROOT / "scripts" / "demo.py"))["installed"](locked=True)
    assert hashed == ["--no-deps", "--require-hashes", "--requirement", str(ROOT / "requirements.lock")]
    assert {"--no-deps", "--no-build-isolation"} <= set(own)  # nothing is fetched for ours
    made = subprocess.run(
        ["make", "--dry-run", "--always-make", "LOCKED=1", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    installs = [line for line in made.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert "--no-deps --require-hashes --requirement requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]
