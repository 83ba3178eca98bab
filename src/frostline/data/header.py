"""What a file says of itself, before anything is decoded."""

import os
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from frostline.data.decode import guarded, is_tiff
from frostline.data.pictures.formats import dicom, kinds, pillow
from frostline.data.pictures.formats.tiff import has_pages
from frostline.data.pictures.picture import Picture, fetched, source, whole_of
from frostline.data.pictures.pillow_settings import strict_and_silent
from frostline.data.pictures.samples import Samples

_STANDARD_TABLE = 3688
_MODES = {"uint8": "RGB", "uint16": "I;16", "int32": "I", "float32": "F"}


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself, before anything is decoded.

    format: Pillow's name, "" for pixels. mode: Pillow's name of how its pixels are kept.
    frames: whether there is more than the one that is looked at (an animation, the pages of a TIFF).
    quality: of a JPEG, in [1, 100] as libjpeg counts, from its quantisation table; 0 for everything else.
    bytes: as it is encoded.
    """

    format: str
    mode: str
    frames: bool
    quality: int
    bytes: int


def header(picture: Picture) -> Header:
    """Format, mode and compression of a picture.

    Raises: DecodeError: as ``decode``, as far as the header tells.
    """

    def said() -> Header:
        found = fetched(whole_of(picture))
        if isinstance(found, Samples):
            return Header("", str(found.values.dtype), False, 0, found.values.nbytes)
        if isinstance(found, np.ndarray):
            return Header("", _MODES.get(found.dtype.name, found.dtype.name), False, 0, found.nbytes)
        with strict_and_silent(), source(found) as encoded:
            size = encoded.seek(0, os.SEEK_END)
            encoded.seek(0)
            kind = kinds.sniffed(encoded)
            if kind is kinds.DICOM:
                dataset = dicom.opened(encoded)
                return Header("DICOM", f"{dataset.get('BitsStored', '')} bit", dicom.frames(dataset) > 1, 0, size)
            if kind is kinds.RAW:
                return Header("RAW", "RAW", False, 0, size)
            try:
                opened = pillow.opened(encoded, kind)
            except UnidentifiedImageError:
                if not is_tiff(encoded):
                    raise
                return Header("TIFF", "many", False, 0, size)
            # A JPEG of several pictures (MPO) is what telephones write: the first one is the photograph.
            form, mode, quality = opened.format or "", opened.mode, _quality(opened)
            several = form not in ("JPEG", "MPO") and bool(getattr(opened, "is_animated", False))
            if several and form == "TIFF":
                several = has_pages(opened)
            return Header(form, mode, several, quality, size)

    return guarded(picture, said)


def _quality(opened: Image.Image) -> int:
    """The inverse of how libjpeg scales its standard luminance table, whose 64 entries add up to 3688."""
    tables = getattr(opened, "quantization", None)
    if not isinstance(tables, dict) or 0 not in tables:
        return 0
    scale = 100 * sum(tables[0]) / _STANDARD_TABLE
    return int(min(100, max(1, round(100 - scale / 2 if scale <= 100 else 5000 / scale))))
