"""From the command to a server: the extra that it needs, the token, and the words that greet whoever started it."""

import ipaddress
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from frostline.errors import MissingExtra, PlanError
from frostline.inference import both_views
from frostline.ship import model_info as _about
from frostline.ship.serve.serving import Serving

_SHORTEST = 16


def launch(serving: Serving, *, tell: Callable[[str], None]) -> None:
    """Serve a model until the process is told to stop; see ``server.serve``.

    tell: is given lines for the person who started it.

    Raises: MissingExtra: FastAPI or another package of the extra is not installed. Else as ``server.serve``.
    """
    about = _about.read(_about.located(serving.folder))  # before anything heavy: a wrong name is told at once
    try:
        server = import_module("frostline.ship.serve.server")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("frostline"):
            raise
        raise MissingExtra(f"serving needs {error.name}", hint="pip install 'frostline[serve]'") from None

    def greet(address: str) -> None:
        tell(f"{about.name}, {len(about.classes)} classes")
        if serving.tta:
            tell(both_views.SAID)
        tell(f"page     {address}")
        header = " -H 'Authorization: Bearer '$FROSTLINE_TOKEN" if serving.token else ""
        tell(f"predict  curl{header} -F file=@PICTURE {address}predict")
        tell(f"also     {address}docs, /info, /health, /metrics")
        if serving.token is None and not _is_loopback(serving.host):
            tell("everybody who reaches this machine may ask: set FROSTLINE_TOKEN, or --host 127.0.0.1")
        tell("Ctrl+C stops it")

    if serving.samples is None:
        serving = replace(serving, samples=_is_loopback(serving.host))
    server.serve(serving, started=greet)


def secret(file: Path | None, environment: str | None) -> str | None:
    """The token that clients must send: a file's content, else the environment's, else none.

    Raises: PlanError: a file that cannot be read, or a token that is short or not plain ASCII.
    """
    where: Path | str = "FROSTLINE_TOKEN"
    token = environment
    if file is not None:
        where = file
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise PlanError("the token cannot be read", where=file, hint="name a text file with one line") from None
    if token is None or (file is None and not token):
        return None
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise PlanError(
            f"a token needs {_SHORTEST} or more letters, digits and signs",
            where=where,
            hint='python -c "import secrets; print(secrets.token_urlsafe())" makes one',
        )
    return token


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
