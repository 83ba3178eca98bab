"""Which format a file has, from its first bytes, and what must be installed to read it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import BinaryIO

from frostline.errors import DecodeError

INSTALL = "pip install 'frostline[formats]'"

HEAD = 132
"""Bytes that are looked at."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A format that needs a package of the extra ``formats``.

    name: as people call it. package: what is imported. suffixes: of its files' names.
    """

    name: str
    package: str
    suffixes: tuple[str, ...] = ()


HEIC = Kind("HEIC", "pillow_heif", (".heic", ".heif", ".hif"))
JPEG_XL = Kind("JPEG XL", "pillow_jxl", (".jxl",))
DICOM = Kind("DICOM", "pydicom", (".dcm", ".dicom"))
RAW = Kind(
    "camera RAW",
    "rawpy",
    (
        *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef"),
        *(".srw", ".raw", ".rwl", ".3fr", ".iiq", ".x3f", ".mrw", ".erf", ".kdc", ".dcr", ".mos"),
    ),
)
BANDS = Kind("many-band TIFF", "tifffile")

EXTRA = (HEIC, JPEG_XL, DICOM, RAW, BANDS)
SUFFIXES = frozenset(suffix for kind in EXTRA for suffix in kind.suffixes)

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")


def sniffed(encoded: BinaryIO) -> Kind | None:
    """The kind of a file that Pillow alone does not read, as far as its first bytes tell; it is left at its start."""
    head = encoded.read(HEAD)
    encoded.seek(0)
    if head.startswith(b"\xff\xd8\xff"):
        return None
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand == b"crx ":
            return RAW
        compatible = head[16:64]
        if b"avif" in (brand, *(compatible[at : at + 4] for at in range(0, len(compatible), 4))):
            return None
        return HEIC if brand in _HEIF_BRANDS else None
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return JPEG_XL
    if head[128:132] == b"DICM":
        return DICOM
    if head.startswith(_RAW_STARTS) or (head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR"):
        return RAW
    return None


def require(kind: Kind) -> None:
    """Check that a kind can be read.

    Raises: DecodeError: its package is not installed; ``what`` begins with the kind's name.
    """
    if find_spec(kind.package) is None:
        raise DecodeError(f"{kind.name} {_NEEDS} {INSTALL}", hint=INSTALL)


def left_out(reasons: Iterable[str]) -> list[str]:
    """One line for each kind that is not installed: "8 HEIC pictures were left out: pip install ..."."""
    counts: Counter[str] = Counter()
    for reason in reasons:
        name, needs, _ = reason.partition(f" {_NEEDS} ")
        if needs:
            counts[name] += 1
    return [
        f"{count:,} {name} picture{' was' if count == 1 else 's were'} left out: {INSTALL}"
        for name, count in counts.most_common()
    ]


def is_missing(reason: str) -> bool:
    """Whether a picture was left out because a package is not installed."""
    return f" {_NEEDS} " in reason


_NEEDS = "cannot be read without an extra package:"
