"""What a client sends becomes pictures' bytes, in memory only, and no more of it is read than the limits allow.

Starlette's own form parser writes large files to the disk; so python-multipart's parser is fed here, piece by piece.
"""

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from frostline.data.pictures.formats import pillow
from frostline.data.pictures.pillow_settings import strict_and_silent
from frostline.errors import one_line
from frostline.ship.serve.quota import Limits, Refused, Reservation

# The parser's records would reach stderr, a line for each byte of a client's that it does not like.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())

_LONGEST_NAME = 200
_DENSEST = 1000  # pixels a byte
_WAYS = "send multipart/form-data with one or more files, or one picture with Content-Type: image/jpeg, image/png, ..."


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture as it was sent.

    name: what the client calls it, on one line; to be escaped wherever it is shown.
    data: the encoded file.
    """

    name: str
    data: bytes


async def uploads(request: Request, limits: Limits, held: Reservation) -> list[Upload]:
    """The pictures of a request, in its order, one at least.

    held: takes the bytes that are kept in memory.

    Raises: Refused: too large (413), too slow (408), of another kind (415), damaged or empty (400), or no room (429).
        ClientDisconnect: the client has gone.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "the body is compressed", hint="send pictures as they are: they are compressed already")
    if kind == b"multipart/form-data":
        if not (boundary := options.get(b"boundary", b"")):
            hint = "leave that header to what makes the form: it names the boundary"
            raise Refused(400, "the Content-Type of the form names no boundary", hint=hint)
        found = await _parts(received(request, limits, held), boundary, limits)
    elif kind.startswith(b"image/") or kind == b"application/octet-stream":
        found = [Upload("picture", b"".join([piece async for piece in received(request, limits, held)]))]
    else:
        raise Refused(415, "the body's Content-Type is not one of pictures", hint=_WAYS)
    if not any(upload.data for upload in found):
        raise Refused(400, "there is no picture in the request", hint=_WAYS)
    return found


def pixels(data: bytes, most: int) -> int:
    """What a picture will cost to decode, by its header: its pixels, or its bytes if they are more; nothing if there
    are more than `most`, for then it is refused. Of one that Pillow does not know, as many as its bytes may hold."""
    try:
        with strict_and_silent():
            width, height = pillow.size(io.BytesIO(data))
        return max(int(width * height), len(data)) if width * height <= most else 0
    except Exception:  # Pillow raises anything on foreign bytes; decoding says what is wrong with them
        return min(most, _DENSEST * len(data))


async def received(request: Request, limits: Limits, held: Reservation) -> AsyncIterator[bytes]:
    """The body, piece by piece, as long as it keeps within the limits.

    Raises: Refused: it is too large, which its declared length tells at once, or comes too slowly, or there is no room.
        ClientDisconnect: the client has gone.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise _too_large(limits)
    clock = asyncio.get_running_loop().time
    began, total = clock(), 0
    while True:
        try:
            async with asyncio.timeout_at(began + limits.patience + total / limits.slowest):
                message = await request.receive()
        except TimeoutError:
            raise Refused(408, f"the body came too slowly: {total:,} bytes in {clock() - began:.0f} s") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        total += len(piece)
        if total > limits.max_bytes:
            raise _too_large(limits)
        held.take(len(piece))
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


def _too_large(limits: Limits) -> Refused:
    return Refused(
        413, f"more than {limits.max_bytes:,} bytes", hint="send fewer pictures at once, or smaller ones (--max-bytes)"
    )


async def _parts(pieces: AsyncIterator[bytes], boundary: bytes, limits: Limits) -> list[Upload]:
    form = _Form(limits.max_files)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.field,
                "on_header_value": form.value,
                "on_header_end": form.header,
                "on_headers_finished": form.headers,
                "on_part_data": form.data,
                "on_part_end": form.part,
                "on_end": form.end,
            },
        )
        async for piece in pieces:
            parser.write(piece)
    except FormParserError as error:
        said = one_line(str(error))[:100]
        raise Refused(400, f"not a form of files: {said}", hint=_WAYS) from None
    if not form.whole:
        raise Refused(400, "the form ends too early", hint="was the upload cut off? send it again")
    return form.found


class _Form:
    """What python-multipart's parser tells, collected."""

    def __init__(self, max_files: int) -> None:
        self.found: list[Upload] = []
        self.whole = False
        self._max_files = max_files
        self._begun = 0
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = bytearray(), bytearray()
        self._name = ""
        self._content: list[bytes] = []

    def begin(self) -> None:
        self._begun += 1
        if self._begun > self._max_files:
            raise Refused(413, f"more than {self._max_files} files", hint="send them in several requests (--max-files)")
        self._headers, self._content = {}, []

    def field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"filename" not in options:
            raise Refused(
                400, "a field of the form is not a file", hint="curl -F file=@PICTURE; options go in the query"
            )
        self._name = one_line(options[b"filename"].decode("utf-8", "replace"))[:_LONGEST_NAME] or "picture"

    def data(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def part(self) -> None:
        self.found.append(Upload(self._name, b"".join(self._content)))
        self._content = []

    def end(self) -> None:
        self.whole = True
