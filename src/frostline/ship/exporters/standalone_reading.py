"""The part of ``predict.py`` that reads pictures which are not simply of 8 bits: the same window, bands and background.

It stands in the script only if something was decided at fit; what it does is `data.samples` and `data.formats.tiff` in
brief. What it cannot do as they do, it refuses.
"""

from frostline.data.views import Preprocessing

NEEDS = "numpy pillow tifffile imagecodecs"

_TEXT = '''def deep(name, how, kept):
    """Bands of 8 bits of what has more than 8, or other bands."""
    asked, ground = how.get("window"), how.get("background")
    most, missing, alpha, inverted = 0, None, None, False
    if Path(name).read_bytes()[:4] in (b"II*\\0", b"MM\\0*", b"II+\\0", b"MM\\0+"):
        with tifffile.TiffFile(name) as file:
            page = file.pages.first
            tags = {{tag.code: tag.value for tag in page.tags.values()}}
            raw = 50706 in tags or tags.get(254, 0) & 1 or page.photometric in (3, 6, 32803, 34892)
            if raw or tags.get(274, 1) != 1 or page.axes not in ("YX", "YXS", "SYX"):
                raise ValueError("a TIFF that is turned, RAW, or no simple picture: save it again for this script")
            values = page.asarray()
        values = np.moveaxis(values, 0, -1) if page.axes == "SYX" else values
        values = values if values.ndim == 3 else values[:, :, None]
        inverted = page.photometric == 0 and values.shape[2] == 1
        full = 2**page.bitspersample - 1
        most = max((n for n in np.atleast_1d(tags.get(281, 0)) if 0 < n < full), default=full if full < 65535 else 0)
        if values.dtype.kind not in "iu" or full > 65535 or values.min() < 0 or values.max() > most:
            most = 0
        if 42113 in tags:
            number = float(str(tags[42113]).strip("\\0 "))
            missing = (values == (np.float32(number) if values.dtype == np.float32 else number)).all(2)
        if not kept and values.shape[2] == 4 and [int(kind) for kind in page.extrasamples] in ([1], [2]):
            alpha = 3
    else:
        grey = lambda p: p.format == "PNG" and p.mode in ("I", "I;16") and "transparency" not in p.info  # noqa: E731
        if b"sBIT" in Path(name).read_bytes()[:4096]:
            raise ValueError("sBIT: save it as TIFF for this script")
        values = np.asarray(upright(name, fits=grey)[0])[:, :, None]
    if kept and values.shape[2] == 1 and max(kept) <= 3:
        kept = [1] * len(kept)
    bands = [band - 1 for band in kept] if kept else [band for band in range(values.shape[2]) if band != alpha]
    if max(bands) >= values.shape[2] or (not kept and len(bands) not in (1, 3)):
        raise ValueError(f"it has {{values.shape[2]}} bands")
    there = np.ones(values.shape[:2], bool) if missing is None else ~missing
    if values.dtype.kind == "f":
        there &= (np.abs(values) < 1e30).all(2)
    if not there.any():
        raise ValueError("not one of its pixels has a value")
    pixels = values[:, :, bands]
    if values.dtype != np.uint8 or most:
        if asked and not how.get("declared", True):
            low, high = asked
        elif most or asked:
            low, high = (0, most) if most else asked
        elif values.dtype.kind in "iu" and pixels.min() >= 0 and 16384 <= pixels.max() <= 65535:
            low, high = 0, 65535
        else:
            raise ValueError("nothing says which values are black and white")
        real = np.nan_to_num(pixels.astype(np.float64), nan=low, posinf=high, neginf=low)
        pixels = np.round(np.clip((real - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)
    pixels = 255 - pixels if inverted else pixels
    empty = np.zeros(pixels.shape[2], np.uint8)
    if ground and pixels.shape[2] in (1, 3):
        empty[:] = ground if pixels.shape[2] == 3 else round(sum(ground) / 3)
    pixels = np.where(there[:, :, None], pixels, empty)
    if alpha is not None:
        cover, full = values[:, :, alpha], 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
        if not ground:
            sure(cover, full)
        cover = Image.fromarray(np.round(np.clip(cover * (255 / full), 0, 255)).astype(np.uint8))
        paper = Image.new("RGB", cover.size, tuple(ground or (255, 255, 255)))
        paper.paste(Image.fromarray(pixels), mask=cover)
        pixels = np.asarray(paper)
    pixels = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 and not kept else pixels
    return [Image.fromarray(np.ascontiguousarray(pixels[:, :, band])) for band in range(pixels.shape[2])]


def seen(name, least=0):
    """Bands as in training ({how}), where the whole picture is in them, and its full size."""
    how, kept = wants["reading"], wants["reading"].get("bands")
    try:
        picture, extent, whole = upright(name, least)
    except (NotImplementedError, UnidentifiedImageError):
        bands = deep(name, how, kept)
        return bands, (0, 0, *bands[0].size), bands[0].size
    clear = picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info
    if picture.format == "TIFF" and picture.mode in ("LA", "RGBA") and not kept and "background" not in how:
        sure(np.asarray(picture.getchannel("A")), 255)
    picture = picture.convert("RGBA" if clear else "RGB")
    if clear and not kept:
        clear, picture = picture, Image.new("RGB", picture.size, tuple(how.get("background", (255, 255, 255))))
        picture.paste(clear, mask=clear)
    bands = picture.split()
    if kept and max(kept) > len(bands):
        raise ValueError(f"it has {{len(bands)}} bands")
    return [bands[band - 1] for band in kept] if kept else bands, extent, whole


'''

_CANVAS = """    canvas = Image.new("L", (width, height), round(255 * mean))
"""

_WHOLE = '''def prepared(name):
    """All of the picture."""
    return np.stack([np.asarray(band) for band in seen(name)[0]], 2)[None].copy()


'''

_PLACED = '''def placed(picture, mean, extent, w, h):
    """Resized and cropped as in training."""
{steps}    return picture


def prepared(name):
    """Read, resized, cropped and normalised as in training."""
    bands, extent, whole = seen(name{least})
    pixels = np.stack([np.asarray(placed(*pair, extent, *whole)) for pair in zip(bands, wants["mean"])], 2)
    pixels = (pixels.astype(np.float32) / 255 - wants["mean"]) / wants["std"]
    return pixels.astype(np.float32).transpose(2, 0, 1)[None]


'''


def text(preprocessing: Preprocessing, steps: str | None, least: str) -> str:
    """The functions of the script that read a picture band after band.

    steps: what resizes and crops one band; None if the graph does. least: what is given to ``seen`` beside the name.
    """
    reading = _TEXT.format(how=preprocessing.reading)
    if steps is None:
        return reading + _WHOLE
    canvas = '    canvas = Image.new("RGB", (width, height), tuple(round(255 * part) for part in wants["mean"]))\n'
    return reading + _PLACED.format(steps=steps.replace(canvas, _CANVAS), least=least)
