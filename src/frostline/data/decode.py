"""The one decoder: a file, encoded bytes or pixels become 8-bit channels, and nothing that a file says is believed.

``image`` gives a Pillow image (views resize it without a copy), ``decode`` the same as an array. What a picture is
before that is `picture`'s; what each format keeps is `formats`'; what becomes of more than 8 bits is `samples`'; which
part of it a network sees is `views`'.

Not all of Pillow's formats are read: some run other programs (EPS), some are recognised by so little (TGA, PCX) that
junk passes for a picture.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from frostline.data.pictures import samples as deep
from frostline.data.pictures.formats import camera_raw, dicom, jpeg_xl, kinds, many_bands, pillow, tiff
from frostline.data.pictures.picture import Box, Crop, Picture, Size, described, fetched, refusal, source, whole_of
from frostline.data.pictures.pillow_settings import strict_and_silent
from frostline.data.pictures.reading import WHITE, Reading
from frostline.data.pictures.samples import Samples
from frostline.data.pictures.upright import orientation, turned, upright
from frostline.errors import DecodeError

T = TypeVar("T")

AtLeast = Callable[[Size], int]
"""How long the shorter side must stay, of a picture of that size."""

MAX_PIXELS = 178_956_970
"""Pillow's own ceiling, half a gigabyte of RGB; above it ``PIL.Image.MAX_IMAGE_PIXELS`` would have to be raised too."""

LONGEST = 10_000_000
"""Of a side: what Pillow resizes by takes 30 bytes and more for each of its pixels, however short the other is."""

FORMATS = pillow.FORMATS

_WEB_PAGE = "a web page, not a picture"
_TEXTS = {
    b"version https://git-lfs": "a Git LFS pointer, not a picture",
    b"<!doctype html": _WEB_PAGE,
    b"<html": _WEB_PAGE,
}
_LONGEST = max(map(len, _TEXTS))
_KNOWN = f"read are {', '.join(FORMATS[:-1])}; HEIC, JPEG XL, DICOM and camera RAW with {kinds.INSTALL}"
_LOOK = "open it in a picture viewer: save it again from there, or remove it"


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded picture.

    rgb: (H, W, 3) uint8.
    size: (width, height) of the whole picture as it is to be looked at, before any reduction.
    """

    rgb: NDArray[np.uint8]
    size: Size


@dataclass(frozen=True, slots=True)
class Decoded:
    """As ``Pixels``, for Pillow.

    image: of mode RGB, to be looked at.
    size: (width, height) of the whole picture.
    extent: left, top, right and bottom of the whole picture within ``image``, in its pixels. The outermost ones of a
        reduced JPEG cover less of the picture than the others do, so its sides need not be whole numbers.
    planes: of mode L, one for each band, where the bands that were asked for are not three; else empty.
    """

    image: Image.Image
    size: Size
    extent: Box
    planes: tuple[Image.Image, ...] = ()


def decode(
    picture: Picture, *, reading: Reading | None = None, max_pixels: int = MAX_PIXELS, at_least: int | None = None
) -> Pixels:
    """RGB pixels of a picture, upright, the first frame, what is transparent laid over white.

    reading: what becomes of more than 8 bits or three bands; None takes this picture for a whole data set.
    at_least: a JPEG may come at 1/2, 1/4 or 1/8 of its size, much faster, as long as its shorter side stays this long.

    Raises: DecodeError: no such file, empty, truncated, damaged, not a picture, or more than ``max_pixels`` (which the
        header tells before anything is allocated); values or bands of which nobody knows the meaning; a format that
        needs a package which is not installed.
    """
    least = None if at_least is None else lambda _: at_least
    found = image(picture, reading=reading, max_pixels=max_pixels, at_least=least)
    return Pixels(np.asarray(found.image), found.size)


def image(
    picture: Picture, *, reading: Reading | None = None, max_pixels: int = MAX_PIXELS, at_least: AtLeast | None = None
) -> Decoded:
    """As ``decode``, but for Pillow; ``at_least`` is asked with the whole upright picture's size.

    Raises: DecodeError: as ``decode``.
    """
    if isinstance(picture, Crop):
        return guarded(picture, lambda: _cropped(picture, reading, max_pixels, at_least))
    return guarded(picture, lambda: _whole(picture, reading, max_pixels, at_least))


def samples(picture: Picture, *, max_pixels: int = MAX_PIXELS) -> Samples | None:
    """What a picture keeps beside 8-bit grey or colour, for who has to decide how it is read; None if that is all.

    Raises: DecodeError: as ``decode``.
    """

    def found() -> Samples | None:
        given = fetched(whole_of(picture))
        if isinstance(given, Samples):
            return given
        with strict_and_silent():
            if isinstance(given, np.ndarray):
                kept = _of_array(given, max_pixels)
            else:
                with source(given) as encoded:
                    kept = _of_file(encoded, max_pixels)
        return kept if isinstance(kept, Samples) else None

    return guarded(picture, found)


def guarded(picture: Picture, act: Callable[[], T]) -> T:
    """What ``act`` gives, and whatever it raises as a DecodeError that names the picture."""
    where = described(picture)
    try:
        return act()
    except DecodeError as error:
        raise type(error)(error.what, where=where, hint=error.hint) from None
    except UnidentifiedImageError:
        raise DecodeError("not a picture, or damaged at its very start", where=where, hint=_KNOWN) from None
    except MemoryError:
        raise DecodeError("not enough memory to decode it", where=where, hint="make the picture smaller") from None
    except Exception as error:  # damaged input: parsers let struct, zlib, Index- and other errors through
        raise DecodeError(refusal(error), where=where, hint=_LOOK) from None


def _whole(picture: Any, reading: Reading | None, max_pixels: int, at_least: AtLeast | None) -> Decoded:
    found = fetched(picture)
    with strict_and_silent():
        if isinstance(found, Samples):
            return _seen(found, reading)
        if isinstance(found, np.ndarray):
            return _seen(_of_array(found, max_pixels), reading)
        with source(found) as encoded:
            if at_least is not None:
                if (kind := kinds.sniffed(encoded)) is kinds.RAW:
                    return _developed(encoded, reading, max_pixels, at_least)
                if kind is None and _starts(encoded, b"\xff\xd8"):
                    return _of_jpeg(encoded, reading, max_pixels, at_least)
            return _seen(_of_file(encoded, max_pixels), reading)


def _of_file(encoded: BinaryIO, max_pixels: int) -> Image.Image | Samples:
    """What a file keeps, upright: samples, or a Pillow image of 8 bits."""

    def check(size: Size) -> None:
        _check(size, max_pixels)

    kind = kinds.sniffed(encoded)
    if kind is kinds.DICOM:
        return dicom.picture(encoded, check)
    if kind is kinds.JPEG_XL:
        check(jpeg_xl.size(encoded))
    if kind is kinds.RAW:
        return camera_raw.picture(encoded, check, None)[0]
    try:
        opened = pillow.opened(encoded, kind)
    except UnidentifiedImageError:
        if is_tiff(encoded):
            return many_bands.samples(encoded, check)
        encoded.seek(0)
        start = encoded.read(_LONGEST).lower()
        if text := next((text for text in _TEXTS if start.startswith(text)), None):
            raise DecodeError(
                _TEXTS[text], hint="fetch the picture itself: git lfs pull, or download it again"
            ) from None
        raise
    with opened:
        check(pillow.held(opened))
        if opened.format == "TIFF":
            tags = opened.tag_v2  # type: ignore[attr-defined]
            if tiff.is_raw(tags):
                return camera_raw.picture(encoded, check, None)[0]
            if tiff.too_many(tags):
                return many_bands.samples(encoded, check)
        found = pillow.samples(opened, encoded)
        if found is not None:
            return found if opened.format == "TIFF" else found.turned(orientation(opened))
        opened.load()
        check(opened.size)  # an .ico finds out its true size only now
        return upright(opened, orientation(opened))


def _of_jpeg(encoded: BinaryIO, reading: Reading | None, max_pixels: int, at_least: AtLeast) -> Decoded:
    with pillow.opened(encoded) as opened:
        _check(opened.size, max_pixels)
        turn = orientation(opened)
        width, height = opened.size
        whole = (height, width) if turn >= 5 else (width, height)
        least = max(1, at_least(whole))
        drafted = opened.draft(None, (least, least))
        covered = (drafted[1][2], drafted[1][3]) if drafted else opened.size
        extent = turned(covered, opened.size, turn)
        found = _seen(upright(opened, turn), reading)
        return Decoded(found.image, whole, extent, found.planes)


def _developed(encoded: BinaryIO, reading: Reading | None, max_pixels: int, at_least: AtLeast) -> Decoded:
    developed, whole = camera_raw.picture(encoded, lambda size: _check(size, max_pixels), at_least)
    found = _seen(developed, reading)
    return Decoded(found.image, whole, found.extent, found.planes)


def _of_array(pixels: NDArray[Any], max_pixels: int) -> Image.Image | Samples:
    if pixels.dtype == np.bool_:
        pixels = pixels * np.uint8(255)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not pixels.size or pixels.ndim not in (2, 3) or pixels.dtype.kind not in "uif":
        raise DecodeError(
            f"pixels must be numbers of shape (H, W) or (H, W, C), none of them 0; these are {pixels.shape}, "
            f"{pixels.dtype}",
            hint="one picture at a time: uint8 (H, W, 3) is the usual form",
        )
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4) and pixels.shape[2] > 4:
        raise DecodeError(
            f"the shape {pixels.shape} has its channels first",
            hint="give (H, W, C): np.moveaxis(pixels, 0, -1); a torch tensor is turned by itself",
        )
    _check((pixels.shape[1], pixels.shape[0]), max_pixels)
    if pixels.dtype == np.uint8 and (pixels.ndim == 2 or pixels.shape[2] <= 4):
        mode = "LA" if pixels.ndim == 3 and pixels.shape[2] == 2 else None
        return Image.fromarray(np.ascontiguousarray(pixels)) if mode is None else _grey_alpha(pixels)
    return Samples(pixels if pixels.ndim == 3 else pixels[:, :, None], unit=pixels.dtype.kind == "f")


def _grey_alpha(pixels: NDArray[np.uint8]) -> Image.Image:
    grey, alpha = (Image.fromarray(np.ascontiguousarray(pixels[:, :, band])) for band in (0, 1))
    return Image.merge("LA", (grey, alpha))


def _seen(found: Image.Image | Samples, reading: Reading | None) -> Decoded:
    """8-bit channels of what a file keeps."""
    asked = Reading() if reading is None else reading
    if isinstance(found, Image.Image):
        if found.format == "TIFF" and found.mode in ("RGBA", "LA"):
            deep.check_alpha(np.asarray(found.getchannel("A")), 255, reading)
        if not asked.bands:
            return _decoded(_rgb(found, asked))
        clear = _with_alpha(found)
        found = Samples(np.asarray(found.convert("RGB") if clear is None else clear))
    elif found.alpha is not None and not found.sure:
        deep.check_alpha(found.values[:, :, found.alpha], deep.depth(found), reading)
    pixels = deep.read(found, reading)
    if not asked.bands:
        if pixels.shape[2] == 2:
            return _decoded(_rgb(_grey_alpha(pixels), asked))
        return _decoded(_rgb(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels), asked))
    if pixels.shape[2] == 3:
        return _decoded(Image.fromarray(pixels))
    planes = tuple(Image.fromarray(np.ascontiguousarray(pixels[:, :, band])) for band in range(pixels.shape[2]))
    shown = Image.merge("RGB", planes[:3]) if len(planes) > 2 else planes[0].convert("RGB")
    return Decoded(shown, shown.size, (0, 0, *shown.size), planes)


def _decoded(image: Image.Image) -> Decoded:
    return Decoded(image, image.size, (0, 0, *image.size))


def is_tiff(encoded: BinaryIO) -> bool:
    """By its first bytes; it is left at its start."""
    return _starts(encoded, *tiff.STARTS)


def _starts(encoded: BinaryIO, *starts: bytes) -> bool:
    encoded.seek(0)
    head = encoded.read(4)
    encoded.seek(0)
    return head.startswith(starts)


def _cropped(crop: Crop, reading: Reading | None, max_pixels: int, at_least: AtLeast | None) -> Decoded:
    """Only the part, so that what lies around it is seen by nobody, however the part is resized."""

    def least(whole: Size) -> int:
        left, top, right, bottom = crop.within(whole)
        part = right - left, bottom - top
        return math.ceil(min(whole) * (at_least(part) if at_least is not None else min(part)) / min(part))

    found = image(crop.of, reading=reading, max_pixels=max_pixels, at_least=None if at_least is None else least)
    left, top, right, bottom = crop.within(found.size)
    across = (found.extent[2] - found.extent[0]) / found.size[0]
    down = (found.extent[3] - found.extent[1]) / found.size[1]
    exact = (
        found.extent[0] + left * across,
        found.extent[1] + top * down,
        found.extent[0] + right * across,
        found.extent[1] + bottom * down,
    )
    outer = (
        math.floor(exact[0]),
        math.floor(exact[1]),
        min(found.image.width, math.ceil(exact[2])),
        min(found.image.height, math.ceil(exact[3])),
    )
    within = (
        exact[0] - outer[0],
        exact[1] - outer[1],
        min(exact[2], outer[2]) - outer[0],
        min(exact[3], outer[3]) - outer[1],
    )
    planes = tuple(plane.crop(outer) for plane in found.planes)
    return Decoded(found.image.crop(outer), (right - left, bottom - top), within, planes)


def _check(size: Size, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise DecodeError(
            f"{width} x {height} pixels are more than the limit of {max_pixels:,}",
            hint="make the picture smaller, or raise max_pixels",
        )
    if max(size) > LONGEST:
        raise DecodeError(
            f"a side of {max(size):,} pixels is more than the limit of {LONGEST:,}", hint="cut the picture into parts"
        )


def _rgb(any_mode: Image.Image, reading: Reading) -> Image.Image:
    if any_mode.mode == "RGB" and "transparency" not in any_mode.info:
        any_mode.load()
        return any_mode
    clear = _with_alpha(any_mode)
    if clear is None:
        return any_mode.convert("RGB")
    paper = Image.new("RGB", clear.size, reading.background or WHITE)
    paper.paste(clear, mask=clear)
    return paper


def _with_alpha(any_mode: Image.Image) -> Image.Image | None:
    """RGBA of what has an alpha or a transparent colour, its colours not multiplied by the alpha; None of all else."""
    if any_mode.mode in ("La", "RGBa"):
        any_mode = any_mode.convert({"La": "LA", "RGBa": "RGBA"}[any_mode.mode])
    if any_mode.format == "BMP" and any_mode.mode == "RGBA" and any_mode.getchannel("A").getextrema() == (0, 0):
        return None  # a byte that nobody has filled, as browsers take it
    if any_mode.mode in ("LA", "PA", "RGBA") or "transparency" in any_mode.info:
        return any_mode.convert("RGBA")
    return None
