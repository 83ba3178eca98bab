"""DICOM: what a radiologist is shown of it, through pydicom: modality and VOI transformations, photometric meaning."""

import io
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data.pictures.formats import kinds, pillow
from frostline.data.pictures.picture import Size
from frostline.data.pictures.reading import Window
from frostline.data.pictures.samples import Samples
from frostline.errors import DecodeError, first_line

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META, _BLOCK, _LARGEST = 2048, 1 << 20, 1 << 29
_NO_PIXELS = "a DICOM file without pixels (a report, a structure set)"


def opened(encoded: BinaryIO) -> Any:
    """The data set, its pixels not decoded yet.

    Raises: DecodeError: pydicom is not installed.
    """
    kinds.require(kinds.DICOM)
    import pydicom

    _check_deflated(encoded)
    encoded.seek(0)
    return pydicom.dcmread(encoded, force=False)


def _check_deflated(encoded: BinaryIO) -> None:
    """What is deflated (PS3.5 A.5) is inflated whole, pixels or not.

    Raises: DecodeError: it comes to more than any picture.
    """
    encoded.seek(132)
    head = encoded.read(_META)
    if _DEFLATED not in head or head[:4] != b"\2\0\0\0":
        return
    encoded.seek(132 + 12 + int.from_bytes(head[8:12], "little"))
    inflating, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    packed = encoded.read(_BLOCK)
    while packed and not inflating.eof:
        total += len(inflating.decompress(packed, _BLOCK))
        if total > _LARGEST:
            raise DecodeError(f"a DICOM file that unpacks to more than {_LARGEST:,} bytes", hint="save it uncompressed")
        packed = inflating.unconsumed_tail or encoded.read(_BLOCK)


def _check_frame(dataset: Any) -> None:
    """Raises: DecodeError: the first frame, as it is compressed, is of another size than the data set says."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    from pydicom.encaps import get_frame

    frame = io.BytesIO(get_frame(dataset.PixelData, 0, number_of_frames=frames(dataset)))
    try:
        found = pillow.size(frame)
    except DecodeError:
        raise
    except Exception:  # of a kind that Pillow does not know, or damaged: its own decoder says so
        return
    if found != size(dataset):
        raise DecodeError(
            f"its pixels are {found[0]} x {found[1]}, and it says {dataset.Columns} x {dataset.Rows}",
            hint="export it again",
        )


def size(dataset: Any) -> Size:
    """(width, height).

    Raises: DecodeError: it has no pixels.
    """
    if "Rows" not in dataset or "Columns" not in dataset:
        raise DecodeError(_NO_PIXELS, hint="leave it out")
    return int(dataset.Columns), int(dataset.Rows)


def frames(dataset: Any) -> int:
    """How many pictures it holds."""
    return int(dataset.get("NumberOfFrames") or 1)


def picture(encoded: BinaryIO, check: Callable[[Size], None]) -> Samples | Image.Image:
    """The first frame: grey as samples, whose declared range is the VOI window; colour as it is.

    check: raises if so many pixels are too many.

    Raises: DecodeError: pydicom, or what decompresses the pixels, is not installed; there are no pixels.
    """
    dataset = opened(encoded)
    check(size(dataset))
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise DecodeError(_NO_PIXELS, hint="leave it out")
    _check_frame(dataset)
    try:
        values: NDArray[Any] = pixel_array(dataset, index=0, raw=False)
    except (RuntimeError, NotImplementedError) as error:
        said = first_line(error, 150)
        raise DecodeError(
            f"its compression cannot be read: {said}; pip install pylibjpeg pylibjpeg-libjpeg may help",
            hint="pip install pylibjpeg pylibjpeg-libjpeg pyjpegls",
        ) from None
    meaning = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if meaning == "PALETTE COLOR":
        return _colour(apply_color_lut(values, dataset))
    if values.ndim == 3:
        return _colour(values, (1 << int(dataset.BitsStored)) - 1)
    hidden = _padding(values, dataset)
    bits = int(dataset.BitsStored)
    if bits < 8 and values.dtype == np.uint8:  # a mask, mostly
        return Samples(values[:, :, None], declared=(0.0, float((1 << bits) - 1)), inverted=meaning == "MONOCHROME1")
    values, declared = _windowed(apply_modality_lut(values, dataset), dataset)
    return Samples(values[:, :, None], declared=declared, inverted=meaning == "MONOCHROME1", hidden=hidden)


def _colour(values: NDArray[Any], white: int = 65535) -> Image.Image:
    """white: the greatest value of 16-bit samples, of which only 12 may be used."""
    if values.dtype == np.uint16:
        values = np.round(values.clip(0, white) * (255 / white)).astype(np.uint8)
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] not in (3, 4):
        raise DecodeError("a DICOM file whose colours are of a kind that is not read", hint="export it as PNG")
    return Image.fromarray(np.ascontiguousarray(values[:, :, :3]))


def _windowed(values: NDArray[Any], dataset: Any) -> tuple[NDArray[Any], Window | None]:
    """The values, whole if they can be, and the range that the file wants to be shown from black to white."""
    from pydicom.pixels.processing import apply_voi

    if values.dtype.kind == "f" and values.size and bool((values == np.round(values)).all()):
        values = values.astype(np.int32)
    if dataset.get("VOILUTSequence"):
        shown = apply_voi(values, dataset)
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return shown, (0.0, float((1 << bits) - 1))
    centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if centre is None or width is None or width <= 1:
        return values, None
    if str(dataset.get("VOILUTFunction", "LINEAR")).upper() == "LINEAR":  # PS3.3 C.11.2.1.2.1
        return values, (centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)
    if str(dataset.VOILUTFunction).upper() == "SIGMOID":  # PS3.3 C.11.2.1.3.1
        return 1 / (1 + np.exp(-4 * (values - centre) / width)), (0.0, 1.0)
    return values, (centre - width / 2, centre + width / 2)


def _padding(values: NDArray[Any], dataset: Any) -> NDArray[np.bool_] | None:
    """Where there is no picture, such as around the circle that a CT scanner sees."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    other = limit if isinstance(limit, int) else value
    found: NDArray[np.bool_] = (values >= min(value, other)) & (values <= max(value, other))
    return found if found.any() else None


def _first(value: Any) -> float | None:
    """The first of one or several numbers."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except TypeError:
        return float(value[0]) if len(value) else None
