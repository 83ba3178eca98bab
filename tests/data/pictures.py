"""Pictures that the tests make for themselves."""

import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scene(width: int = 60, height: int = 40, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture in which every corner and every seed looks different. (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: Image.Image | NDArray[np.uint8], form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, form, **options)
    return out.getvalue()


def bmp_with_alpha(alpha: int, colour: tuple[int, int, int] = (200, 20, 10)) -> bytes:
    """3 x 2 pixels of one colour and alpha, as header version 4 has them, which Pillow reads and does not write."""
    pixels = bytes((*colour[::-1], alpha)) * 6
    masks = struct.pack("<4I4s", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs") + bytes(48)
    header = struct.pack("<IiiHHIIiiII", 108, 3, 2, 1, 32, 3, len(pixels), 2835, 2835, 0, 0) + masks
    return struct.pack("<2sIHHI", b"BM", 122 + len(pixels), 0, 0, 122) + header + pixels


def save(path: Path, seed: int = 0, width: int = 24, height: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(scene(width, height, seed), "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"))
    return path


def tree(top: Path, *names: str) -> Path:
    """Pictures of these paths, every one different."""
    for seed, name in enumerate(names):
        save(top / name, seed)
    return top
