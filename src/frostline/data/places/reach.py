"""Whom a URL may make this machine ask: never its link-local neighbours (where clouds keep keys), and others of its own
network only if the URL itself names one of them, so that no redirect and no answer of a name server leads there.

``any_host`` and ``public_hosts`` are what fsspec calls for a session. They look at the address of each connection, when
it is known for certain.
"""

import ipaddress
import socket
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from frostline.errors import DataError


def inward(url: str) -> bool:
    """Whether an HTTP URL names a host of this machine or its network; a name that nobody knows is not one."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and _inner(parts.hostname or "")


@lru_cache(4096)
def _inner(host: str) -> bool:
    with suppress(OSError, UnicodeError):
        return any(not _public(place[4][0]) for place in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    return False


async def any_host(**options: Any) -> Any:
    """A session that asks any host but link-local ones."""
    return _session(lambda address: not _own(address).is_link_local, options)


async def public_hosts(**options: Any) -> Any:
    """A session that asks hosts of the public network only."""
    return _session(_public, options)


def _session(may: Any, options: dict[str, Any]) -> Any:
    import aiohttp

    def opened(place: Any) -> socket.socket:
        family, kind, protocol, _, address = place
        if not may(address[0]):
            raise DataError(f"it leads to {address[0]}, an address of this network, which is not asked")
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=opened), **options)


def _public(address: str | int) -> bool:
    found = _own(address)
    return found.is_global and not found.is_multicast


def _own(address: str | int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Without a zone, and IPv4 as itself where IPv6 wraps it."""
    found = ipaddress.ip_address(str(address).partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
