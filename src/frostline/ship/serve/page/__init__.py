"""The page for people, and the one that shows the API: files beside this one and the design sheet of all pages."""

from pathlib import Path

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from frostline.judge.pages.render import asset

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_SHARED = ("base.css", "logo.svg", "zh.json")
_FILES = {
    path.name: (path.read_bytes(), _KINDS[path.suffix])
    for path in Path(__file__).parent.iterdir()
    if path.suffix in _KINDS
} | {name: (asset(name).encode(), _KINDS[Path(name).suffix]) for name in _SHARED}

routes = APIRouter(include_in_schema=False)


@routes.get("/")
async def index() -> Response:
    """The page."""
    return _file("index.html")


@routes.get("/docs")
async def docs() -> Response:
    """What `/openapi.json` says, for people."""
    return _file("docs.html")


@routes.get("/page/{name}")
async def file(name: str) -> Response:
    """What the pages are made of."""
    return _file(name)


def _file(name: str) -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    content, kind = _FILES[name]
    return Response(content, headers={"content-type": kind, "cache-control": "no-cache"})
