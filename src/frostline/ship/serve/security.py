"""What stands before every route: who may ask, and the headers that every answer carries.

A server on loopback is within reach of every page that its user visits. A page of another origin may post to it, and a
name that its owner points at 127.0.0.1 makes it the same origin ("DNS rebinding"). So the Host must be an address, or a
name that the user gave, and what changes nothing but costs something must come from our own page, or from no page.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import perf_counter
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frostline.ship.serve.schemas import Json

OPEN = frozenset({"/", "/health", "/docs", "/openapi.json"})
"""Paths that need no token: the page itself, which holds nothing but asks for it, and what a supervisor asks."""

_LINGER_SECONDS, _LINGER_BYTES = 2.0, 8 << 20

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class SecurityMiddleware:
    """ASGI middleware.

    hosts: names beside addresses and "localhost" under which the server may be asked, such as a proxy's.
    token: what `Authorization: Bearer` must hold, but for the open paths; None asks for nothing.
    observe: is told path, status and seconds of each request.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], token: str | None, observe: Callable[[str, int, float], None]
    ) -> None:
        self._app = app
        self._named = {host.lower().rstrip(".") for host in hosts}
        self._hosts = {"localhost", *self._named}
        self._token = None if token is None else token.encode()
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        seen, read, leaving = 500, scope["method"] in ("GET", "HEAD"), False

        async def ask() -> Message:
            nonlocal read
            message = await receive()
            read = read or not message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            nonlocal seen, leaving
            if message["type"] == "http.response.start":
                seen, leaving = message["status"], not read
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if leaving:
                    headers["connection"] = "close"
            elif leaving and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _linger(receive)
                message = {"type": "http.response.body"}
            await send(message)

        try:
            refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))
            # HEAD is answered as GET is (RFC 9110): the server that runs this sends the head of it alone
            asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
            await (refusal or self._app)(asked, ask, answer)
        finally:
            self._observe(scope["path"], seen, perf_counter() - began)

    def _refusal(self, method: str, path: str, headers: Headers) -> Json | None:
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._knows(host):
            hint = "ask by address, or start the server with --allow-host NAME"
            return _refused(421, "this server does not go by that name", hint)
        try:
            origin = None if (said := headers.get("origin")) is None else urlsplit(said.lower())
        except ValueError:
            return _refused(400, "the header Origin is no origin", "send none, or that of the page that asks")
        if method not in ("GET", "HEAD") and (
            headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
            # a proxy may ask under an address of its own, though the page goes by the name that was given
            or (origin is not None and origin.netloc != host.lower() and origin.hostname not in self._named)
        ):
            hint = "call it from a program or its own page; behind a proxy, start it with --allow-host NAME"
            return _refused(403, "another site's page may not ask", hint)
        if self._token is not None and path not in OPEN and not path.startswith("/page/"):
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
                refusal = _refused(401, "a token is needed", "send the header Authorization: Bearer TOKEN")
                refusal.headers["www-authenticate"] = "Bearer"
                return refusal
        return None

    def _knows(self, host: str) -> bool:
        try:
            place = urlsplit(f"//{host}")
        except ValueError:
            return False
        if place.netloc != host or "@" in host:
            return False
        name = (place.hostname or "").rstrip(".")
        return name in self._hosts or _is_address(name)


async def _linger(receive: Receive) -> None:
    """Take in a little more of a refused body: to close on a client that still sends would hide the answer from it."""
    left = _LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refused(status: int, what: str, hint: str) -> Json:
    return Json({"error": what, "hint": hint}, status)
