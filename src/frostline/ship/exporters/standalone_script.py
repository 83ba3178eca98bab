"""``predict.py`` beside an export: some hundred lines that need NumPy, Pillow and the runtime, and no frostline.

It gives the answers of ``frostline predict``, and refuses what that refuses: what it does to a picture is
`data.decode` in brief and `data.views.placed` for the model's own crop; sizes, labels and temperature it reads from the
graph's metadata.
"""

from frostline.data.decode import LONGEST
from frostline.data.pictures.formats.pillow import FORMATS
from frostline.data.pictures.reading import AS_IT_IS
from frostline.data.views import Preprocessing
from frostline.ship.exporters import standalone_reading
from frostline.ship.exporters.export_spec import Standalone

_HEAD = '''"""Name what pictures show: python predict.py PICTURE...

It needs: pip install {needs} {runtime}
A picture that cannot be read is named on standard error, the others go on, and the exit code is 1.
"""

import json
import sys
from pathlib import Path

import numpy as np
{imports}from PIL import {pillow}

{opening}labels, wants = json.loads(facts["labels"]), json.loads(facts["preprocessing"])
turns = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90".split()
Image.init()
formats = [kind for kind in "{formats}".split() if kind in Image.OPEN]  # others run programs, or take junk for pictures


def plain(picture):
    """Whether it is of 8 bits, grey or colour, and of no more bands than that."""
    if picture.format != "TIFF":
        deep = picture.mode in ("I", "F") or picture.mode.startswith("I;16")
        return not deep and not (picture.format == "PNG" and ";16" in str(picture.tile))
    tags = picture.tag_v2
    alpha, bits = tags.get(338, ()) in ((1,), (2,), (999,)), max(np.atleast_1d(tags.get(258, 1)))
    bands = {{0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}}.get(tags.get(262, 0), 0) + alpha
    return bits <= 8 and tags.get(277, 1) == bands and 50706 not in tags and not tags.get(254, 0) & 1


def upright(name, least=0, fits=plain):
    """A picture, (left, top, right, bottom) of all of it there, and its full size: a large JPEG is decoded smaller."""
    with Image.open(name, formats=formats) as picture:
        if not fits(picture):
            raise NotImplementedError("more than 8 bits a sample, or other bands: save it with 8 for this script")
        if max(picture.size) > {longest:_}:
            raise ValueError("a side of more than {longest:,} pixels")
        whole, drafted = picture.size, picture.draft(None, (least, least)) if least else None
        picture.load()
        if picture.format == "BMP" and picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (0, 0):
            picture = picture.convert("RGB")  # an alpha that nobody has filled
        whole, (wide, high) = (whole, drafted[1][2:]) if drafted else (picture.size, picture.size)
        try:
            way = picture.getexif().get(274) if picture.format != "JPEG" or "exif" in picture.info else 1
        except Exception:  # a damaged EXIF block says nothing
            way = 1
    if way not in range(2, 9):
        return picture, (0, 0, wide, high), whole
    left = picture.width - wide if way in (2, 3, 7, 8) else 0
    top = picture.height - high if way in (3, 4, 6, 7) else 0
    picture = picture.transpose(Image.Transpose[turns[way - 2]])
    if way < 5:
        return picture, (left, top, left + wide, top + high), whole
    return picture, (top, left, top + high, left + wide), whole[::-1]


def sure(alpha, full):
    """What a TIFF calls alpha may be infrared: then hardly a pixel is opaque or clear."""
    if ((alpha == 0) | (alpha >= full)).mean() < 0.5:
        raise ValueError("the last of its bands is called an alpha, but hardly a pixel is opaque or clear")


'''
_PLAIN = '''def prepared(name):
    """{doing}."""
    picture, extent, (w, h) = upright(name{least})
    if picture.format == "TIFF" and picture.mode in ("LA", "RGBA"):
        sure(np.asarray(picture.getchannel("A")), 255)
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        clear, picture = picture.convert("RGBA"), Image.new("RGB", picture.size, "white")
        picture.paste(clear, mask=clear)
    picture = picture.convert("RGB")
{steps}

'''
_LOOP = """failed = False
readable = lambda s: "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in s)  # noqa: E731
sys.stdout.reconfigure(errors="backslashreplace")
for name in sys.argv[1:]:
    try:
        if Path(name).exists() and not Path(name).is_file():
            raise ValueError("not an ordinary file")
        logits = answer(prepared(name))[0] / float(facts["temperature"])
        if not np.isfinite(logits).all():
            raise ValueError("the network gives no finite numbers for it")
    except Exception as error:  # Pillow and runtimes raise anything on foreign bytes
        print(f"{readable(name)}: {readable(str(error)) or type(error).__name__}", file=sys.stderr)
        failed = True
        continue
    powers = np.exp(logits - logits.max())
    several = facts["multilabel"] == "true"
    shares = 1 / (1 + np.exp(-logits)) if several else powers / powers.sum()
    order = np.argsort(-shares, kind="stable")[: (shares >= 0.5).sum() if several else 1]
    print(readable(name), *(f"{readable(labels[n])} {shares[n]:.1%}" for n in order), sep="\\t")
sys.exit(failed)
"""
_SIZES = """    height, width = wants["size"]
    wide, high = int(width / wants["crop_pct"]), int(height / wants["crop_pct"])
"""
_SQUARE = "    wide, high = int(wide * w / min(w, h)), int(wide * h / min(w, h))\n"
_RATIO = """    ratio = {pick}(h / high, w / wide)
    wide, high = max(1, round(w / ratio)), max(1, round(h / ratio))
"""
_RESIZE = """    seen = min(wide, width), min(high, height)
    start = round((wide - seen[0]) / 2), round((high - seen[1]) / 2)
    shares = [start[0] / wide, start[1] / high, (start[0] + seen[0]) / wide, (start[1] + seen[1]) / high]
    across, down = extent[2] - extent[0], extent[3] - extent[1]
    box = [extent[0] + shares[0] * across, extent[1] + shares[1] * down]
    box += [min(extent[2], extent[0] + shares[2] * across), min(extent[3], extent[1] + shares[3] * down)]
    picture = picture.resize(seen, Image.Resampling[wants["interpolation"].upper()], box=box)
"""
_CANVAS = """    canvas = Image.new("RGB", (width, height), tuple(round(255 * part) for part in wants["mean"]))
    canvas.paste(picture, ((width - seen[0]) // 2, (height - seen[1]) // 2))
    picture = canvas
"""
_NORMAL = """    pixels = (np.asarray(picture, dtype=np.float32) / 255 - wants["mean"]) / wants["std"]
    return pixels.astype(np.float32).transpose(2, 0, 1)[None]
"""
_LEAST = ', max(int(side / wants["crop_pct"]) for side in wants["size"])'


def script(runtime: str, opening: Standalone, takes: str, preprocessing: Preprocessing) -> str:
    """The text of ``predict.py``. runtime: the package to install. takes: "pictures" or "pixels", see `Exportable`."""
    whole, by_bands = takes == "pictures", preprocessing.reading != AS_IT_IS
    head = _HEAD.format(
        needs=standalone_reading.NEEDS if by_bands else "numpy pillow",
        runtime=runtime,
        imports=opening.imports + ("import tifffile\n" if by_bands else ""),
        opening=opening.opening,
        pillow="Image, UnidentifiedImageError" if by_bands else "Image",
        formats=" ".join(FORMATS),
        longest=LONGEST,
    )
    least = "" if whole else _LEAST
    if by_bands:
        prepared = standalone_reading.text(preprocessing, None if whole else _placing(preprocessing), least)
    else:
        doing = "Upright, on white" if whole else "Upright, on white, resized, cropped and normalised as in training"
        steps = "    return np.asarray(picture)[None].copy()\n" if whole else _placing(preprocessing) + _NORMAL
        prepared = _PLAIN.format(doing=doing, steps=steps, least=least)
    return head + prepared + _LOOP


def _placing(preprocessing: Preprocessing) -> str:
    mode, (height, width) = preprocessing.crop_mode, preprocessing.size
    if mode == "squash":
        return _SIZES + _RESIZE
    if mode == "border":
        return _SIZES + _RATIO.format(pick="max") + _RESIZE + _CANVAS
    crop = int(width / preprocessing.crop_pct) == int(height / preprocessing.crop_pct)
    return _SIZES + (_SQUARE if crop else _RATIO.format(pick="min")) + _RESIZE
