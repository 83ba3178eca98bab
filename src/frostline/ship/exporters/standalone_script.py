"""``predict.py`` beside an export: some twenty lines that need NumPy, Pillow and the runtime, and no frostline.

What it does to a picture is `data.views.placed` for the model's own crop; sizes, labels and temperature it reads from
the graph's metadata.
"""

from frostline.data.reading import AS_IT_IS
from frostline.data.views import Preprocessing
from frostline.ship.exporters import standalone_reading
from frostline.ship.exporters.export_spec import Standalone

_HEAD = '''"""Name what pictures show: python predict.py PICTURE...

It needs: pip install numpy pillow {runtime}
"""

import json
import sys
from pathlib import Path

import numpy as np
{imports}from PIL import Image, ImageOps

{opening}labels, wants = json.loads(facts["labels"]), json.loads(facts["preprocessing"])


def prepared(picture):
    """{doing}."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        raise SystemExit("a picture of more than 8 bits a sample: save it with 8 for this script")
    picture = ImageOps.exif_transpose(picture).convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
{steps}

for name in sys.argv[1:]:
    logits = answer(prepared(Image.open(name)))[0] / float(facts["temperature"])
    powers = np.exp(logits - logits.max())
    several = facts["multilabel"] == "true"
    shares = 1 / (1 + np.exp(-logits)) if several else powers / powers.sum()
    shown = (shares >= 0.5).sum() if several else 1
    print(name, *(f"{{labels[n]}} {{shares[n]:.1%}}" for n in np.argsort(-shares)[:shown]), sep="\\t")
'''
_SIZES = """    (height, width), (w, h) = wants["size"], picture.size
    wide, high = int(width / wants["crop_pct"]), int(height / wants["crop_pct"])
"""
_SQUARE = "    wide, high = int(wide * w / min(w, h)), int(wide * h / min(w, h))\n"
_RATIO = """    ratio = {pick}(h / high, w / wide)
    wide, high = max(1, round(w / ratio)), max(1, round(h / ratio))
"""
_RESIZE = """    seen = min(wide, width), min(high, height)
    left, top = round((wide - seen[0]) / 2), round((high - seen[1]) / 2)
    box = left * w / wide, top * h / high, min(w, (left + seen[0]) * w / wide), min(h, (top + seen[1]) * h / high)
    picture = picture.resize(seen, Image.Resampling[wants["interpolation"].upper()], box=box)
"""
_CANVAS = """    canvas = Image.new("RGB", (width, height), tuple(round(255 * part) for part in wants["mean"]))
    canvas.paste(picture, ((width - seen[0]) // 2, (height - seen[1]) // 2))
    picture = canvas
"""
_NORMAL = """    pixels = (np.asarray(picture, dtype=np.float32) / 255 - wants["mean"]) / wants["std"]
    return pixels.astype(np.float32).transpose(2, 0, 1)[None]
"""


def script(runtime: str, opening: Standalone, takes: str, preprocessing: Preprocessing) -> str:
    """The text of ``predict.py``. runtime: the package to install. takes: "pictures" or "pixels", see `Exportable`."""
    whole = takes == "pictures"
    if preprocessing.reading != AS_IT_IS:
        return _by_bands(runtime, opening, preprocessing, whole=whole)
    doing = "Upright, on white" if whole else "Upright, on white, resized, cropped and normalised as in training"
    steps = "    return np.asarray(picture)[None].copy()\n" if whole else _steps(preprocessing)
    return _HEAD.format(runtime=runtime, imports=opening.imports, opening=opening.opening, doing=doing, steps=steps)


def _by_bands(runtime: str, opening: Standalone, preprocessing: Preprocessing, *, whole: bool) -> str:
    """The script where pictures are read in a way that was decided at fit: band after band."""
    steps = _steps(preprocessing).removesuffix(_NORMAL).replace(_CANVAS, standalone_reading.CANVAS)
    text = _HEAD.format(runtime=runtime, imports=opening.imports, opening=opening.opening, doing="", steps="")
    start, rest = text.split("def prepared(picture):")
    _, answers = rest.split("\n\nfor name in")
    start = start.replace("pip install numpy pillow", f"pip install {standalone_reading.NEEDS}")
    start = start.replace("from PIL import Image, ImageOps\n", "import tifffile\nfrom PIL import Image, ImageOps\n")
    reading = standalone_reading.TEXT.format(how=preprocessing.reading)
    placed = standalone_reading.WHOLE if whole else standalone_reading.PLACED.format(steps=steps)
    return (
        start + reading + placed + "\n\nfor name in" + answers.replace("prepared(Image.open(name))", "prepared(name)")
    )


def _steps(preprocessing: Preprocessing) -> str:
    mode, (height, width) = preprocessing.crop_mode, preprocessing.size
    if mode == "squash":
        return _SIZES + _RESIZE + _NORMAL
    if mode == "border":
        return _SIZES + _RATIO.format(pick="max") + _RESIZE + _CANVAS + _NORMAL
    crop = int(width / preprocessing.crop_pct) == int(height / preprocessing.crop_pct)
    return _SIZES + (_SQUARE if crop else _RATIO.format(pick="min")) + _RESIZE + _NORMAL
