"""The part of ``predict.py`` that reads pictures which are not simply of 8 bits: the same window, bands and background.

It stands in the script only if something was decided at fit; what it does is `data.samples` and `data.formats.tiff` in
brief. What it cannot do as they do, it refuses.
"""

NEEDS = "numpy pillow tifffile imagecodecs"

TEXT = '''def seen(name):
    """Bands of 8 bits, as in training: {how}."""
    how, data = wants["reading"], Path(name).read_bytes()
    low, high = how.get("window", (0, 65535))
    least, missing, alpha, kept = 0, None, None, how.get("bands")
    if data[:4] in (b"II*\\0", b"MM\\0*", b"II+\\0", b"MM\\0+"):
        file = tifffile.TiffFile(name)
        page = file.pages.first
        values = page.asarray()
        values = np.moveaxis(values, 0, -1) if page.axes.startswith("S") else values
        values = values if values.ndim == 3 else values[:, :, None]
        least = page.photometric == 0
        tags = {{tag.code: tag.value for tag in page.tags.values()}}
        depth, most = page.bitspersample, np.max(tags.get(281, 0))
        top = most if 0 < most < 2**depth - 1 else 2**depth - 1 if 8 < depth < 16 else 0
        if how.get("declared", True) and top and values.dtype.kind in "iu" and values.max() <= top:
            low, high = 0, top
        if 42113 in tags:
            missing = (values == values.dtype.type(float(str(tags[42113]).strip("\\0 ")))).all(2)
        file.close()
        if not kept and values.shape[2] == 4 and [int(kind) for kind in page.extrasamples] in ([1], [2]):
            alpha = 3
    else:
        picture = ImageOps.exif_transpose(Image.open(name))
        deep = picture.mode in ("I", "F") or picture.mode.startswith("I;16")
        if data[:8] == b"\\x89PNG\\r\\n\\x1a\\n" and data[24] == 16 and (not deep or b"sBIT" in data[:4096]):
            raise SystemExit(f"{{name}}: 16-bit colour, or sBIT: save it as TIFF for this script")
        if not deep:
            clear = "A" in picture.getbands() or "transparency" in picture.info
            picture = picture.convert("RGBA" if clear else "RGB")
            alpha = 3 if clear and not kept else None
        values = np.asarray(picture)
        values = values if values.ndim == 3 else values[:, :, None]
    covering = None if alpha is None else values[:, :, alpha]
    if kept and values.shape[2] == 1 and max(kept) <= 3:
        kept = [1] * len(kept)
    bands = [band - 1 for band in kept] if kept else [band for band in range(values.shape[2]) if band != alpha]
    if max(bands) >= values.shape[2] or (not kept and len(bands) not in (1, 3)):
        raise SystemExit(f"{{name}}: it has {{values.shape[2]}} bands")
    there = np.ones(values.shape[:2], bool) if missing is None else ~missing
    if values.dtype.kind == "f":
        there &= (np.abs(values) < 1e30).all(2)
    pixels = values[:, :, bands]
    if values.dtype != np.uint8:
        if "window" not in how and high == 65535 and not (values.dtype.kind in "iu" and 16384 <= pixels.max() <= 65535):
            raise SystemExit(f"{{name}}: nothing says which values are black and white")
        real = np.nan_to_num(pixels.astype(np.float64), nan=low, posinf=high, neginf=low)
        pixels = np.round(np.clip((real - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)
    pixels = 255 - pixels if least and values.dtype != np.uint8 else pixels
    pixels = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 and not kept else pixels
    ground = np.array(how.get("background", (255, 255, 255)), np.uint8)
    empty = ground if "background" in how and pixels.shape[2] == 3 else np.zeros(pixels.shape[2], np.uint8)
    pixels = np.where(there[:, :, None], pixels, empty)
    if covering is not None:
        top = 255 if covering.dtype == np.uint8 else np.iinfo(covering.dtype).max
        cover = Image.fromarray(np.round(covering * (255 / top)).astype(np.uint8))
        paper = Image.new("RGB", cover.size, tuple(ground.tolist()))
        paper.paste(Image.fromarray(pixels), mask=cover)
        pixels = np.asarray(paper)
    return [Image.fromarray(np.ascontiguousarray(pixels[:, :, band])) for band in range(pixels.shape[2])]


'''

CANVAS = """    canvas = Image.new("L", (width, height), round(255 * mean))
    canvas.paste(picture, ((width - seen[0]) // 2, (height - seen[1]) // 2))
    picture = canvas
"""

WHOLE = '''def prepared(name):
    """All of the picture."""
    return np.stack([np.asarray(band) for band in seen(name)], 2)[None].copy()
'''

PLACED = '''def placed(picture, mean):
    """Resized and cropped as in training."""
{steps}    return picture


def prepared(name):
    """Read, resized, cropped and normalised as in training."""
    pixels = np.stack([np.asarray(placed(*pair)) for pair in zip(seen(name), wants["mean"])], 2)
    pixels = (pixels.astype(np.float32) / 255 - wants["mean"]) / wants["std"]
    return pixels.astype(np.float32).transpose(2, 0, 1)[None]
'''
