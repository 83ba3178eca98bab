"""One file that needs nothing else: a page's template with the design sheet, the words and the script put in."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from os.path import commonprefix
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from frostline.judge.pages.translations import LANGUAGES, speaking


def asset(name: str) -> str:
    """A file of the design sheet: ``base.css``, ``base.js``, ``logo.svg`` or ``zh.json``."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def shared_folder(names: Sequence[str]) -> str:
    """The folder that absolute names begin with, its last separator included; "" if they share none, or are relative.

    A page says it once: before every name it would hide what tells them apart.
    """
    if len(names) < 2 or not all(
        "://" in name or PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute() for name in names
    ):
        return ""
    same = commonprefix(names)  # noqa: RUF071 Windows names on Linux too: cut behind a separator below
    return same[: max(same.rfind("/"), same.rfind("\\")) + 1]


def rendered(package: str, *, lang: str, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any) -> str:
    """``page.html`` of a package, with its ``page.css`` and ``page.js`` behind those of all pages.

    The template gets ``t`` (see `translations`), ``lang``, ``style``, ``script``, ``digest`` (of the script, for the
    page's own policy: nothing else runs) and ``logo``. All other text is escaped.

    Raises: PlanError: there is no such language.
    """
    import jinja2
    from markupsafe import Markup

    def own(name: str) -> str:
        return asset(f"base.{name}") + resources.files(package).joinpath(f"page.{name}").read_text("utf-8")

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, "."), jinja2.PrefixLoader({"pages": jinja2.PackageLoader(__package__, ".")})]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(filters or {})
    script = own("js")
    return environment.get_template("page.html").render(
        t=speaking(lang),
        lang=LANGUAGES[lang],
        style=Markup(own("css")),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        logo=Markup(asset("logo.svg").strip()),
        **values,
    )
