"""A fresh clone to a fitted model: an environment with what the demo needs and no more, then ``frostline demo``.

Standard library alone, for Python 3.11 and later, on Linux, macOS and Windows:

    python scripts/demo.py                       solar cells, from a package
    python scripts/demo.py --data my_pictures    pictures of your own
    python scripts/demo.py --locked              every package of requirements.lock by its hash, and nothing else

What pip says is shown as it comes, and where it is silent, every few seconds, how long it has taken.
PIP_EXTRA_INDEX_URL is pip's own: with the index of CPU builds that PyTorch's site names, the download is a fifth of the
size on a machine without a GPU.
"""

import os
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-demo"
EVERY = 4.0  # seconds


def main() -> int:
    """Make the environment if it is not there yet, then run the demo in it."""
    if sys.version_info < (3, 11):  # noqa: UP036, whoever runs this file may have an older one
        print(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = ENVIRONMENT / "ready"
    words = [word for word in sys.argv[1:] if word != "--locked"]
    if not ready.exists():
        say(f"1 of 2: an environment in {ENVIRONMENT.name}/ (once; torch is most of it)")
        venv.create(ENVIRONMENT, with_pip=True)
        for what in installed(locked=len(words) < len(sys.argv) - 1):
            code = watched([str(python), "-m", "pip", "install", *what])
            if code:
                say("pip could not install it; what it said stands above")
                return code
        ready.touch()
    say("2 of 2: frostline demo")
    return subprocess.call([str(python), "-m", "frostline", "demo", *words])


def installed(*, locked: bool) -> list[list[str]]:
    """What pip is told, call by call. locked: with the tests' packages, which the same file holds."""
    if not locked:
        return [["--editable", f"{ROOT}[demo]"]]
    hashed = ["--no-deps", "--require-hashes", "--requirement", str(ROOT / "requirements.lock")]
    return [hashed, ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]]


def watched(command: list[str]) -> int:
    """Run a command and pass on what it says; where it is silent, say how long it has taken."""
    begun = heard = time.monotonic()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    over = threading.Event()

    def listen() -> None:
        nonlocal heard
        assert running.stdout is not None
        for line in running.stdout:
            if "already satisfied" not in line:
                say("   " + line.rstrip()[:110])
            heard = time.monotonic()
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    while not over.wait(1.0):
        now = time.monotonic()
        if now - heard > EVERY:
            heard = now
            say(f"   still installing: {now - begun:.0f} s")
    return running.wait()


def say(text: str) -> None:
    """At once, also where a file or a pipe listens."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
