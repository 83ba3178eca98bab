"""Pictures as Python programs hold them, in PIL's form, as arrays or as tensors, become what ``decode`` takes.

Neither torch nor PIL is asked for: a tensor is told by what it can do.
"""

from pathlib import Path
from typing import Any, cast

import numpy as np

from frostline.data.picture import Crop, Item, Picture, Slice
from frostline.errors import DecodeError


def picture_of(thing: Any) -> Picture:
    """A path or encoded bytes as they are; PIL pictures, arrays (H, W[, C]) and tensors ([C,] H, W) as uint8 pixels.

    Floating-point pixels must lie in [0, 1]. PIL pictures are turned upright by their EXIF orientation.

    Raises: DecodeError: it is none of these, or its values lie elsewhere (a picture that has been normalised).
    """
    if isinstance(thing, str):
        return Path(thing)
    if isinstance(thing, Path | bytes | Slice | Item | Crop):
        return thing
    if hasattr(thing, "getexif") and hasattr(thing, "convert"):
        from PIL import ImageOps

        return np.asarray(ImageOps.exif_transpose(thing).convert("RGB"))
    if hasattr(thing, "detach") and hasattr(thing, "numpy"):
        tensor = thing.detach().cpu().numpy()
        thing = np.moveaxis(tensor, 0, -1) if tensor.ndim == 3 else tensor
    if not isinstance(thing, np.ndarray):
        raise DecodeError(
            f"{type(thing).__name__} is no picture", hint="give a path, encoded bytes, a PIL picture, array or tensor"
        )
    if thing.ndim == 3 and thing.shape[2] == 1:
        thing = thing[:, :, 0]
    if thing.dtype.kind != "f":
        return cast(Picture, thing)  # whatever else it is than uint8, decoding says
    if not thing.size or not (thing.min() >= 0 and thing.max() <= 1):
        raise DecodeError(
            "the pixels are numbers outside [0, 1]",
            hint="give them before they are normalised: each network's own mean and deviation are applied later",
        )
    return cast(Picture, np.round(thing * 255).astype(np.uint8))
