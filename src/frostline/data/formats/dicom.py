"""DICOM: what a radiologist is shown of it, through pydicom: modality and VOI transformations, photometric meaning."""

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data.formats import kinds
from frostline.data.picture import Size
from frostline.data.reading import Window
from frostline.data.samples import Samples
from frostline.errors import DecodeError, one_line

_NO_PIXELS = "a DICOM file without pixels (a report, a structure set)"


def opened(encoded: BinaryIO) -> Any:
    """The data set, its pixels not decoded yet.

    Raises: DecodeError: pydicom is not installed.
    """
    kinds.require(kinds.DICOM)
    import pydicom

    encoded.seek(0)
    return pydicom.dcmread(encoded, force=False)


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
    try:
        values: NDArray[Any] = pixel_array(dataset, index=0, raw=False)
    except (RuntimeError, NotImplementedError) as error:
        said = one_line(str(error).splitlines()[0])[:150]
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
