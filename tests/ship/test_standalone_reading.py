"""``predict.py`` without frostline reads 16 bits, bands, missing data and grounds as the evaluation view does."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from frostline.data.reading import Reading, asked
from frostline.data.views import EvaluationView, Preprocessing
from frostline.ship.exporters import as_onnx, standalone_script
from frostline.ship.exporters.export_spec import Standalone

GREY = np.linspace(0, 4000, 60 * 50).reshape(60, 50).astype(np.uint16)
DEEP = Reading(window=(0, 4095))


def written(folder: Path, kind: str) -> Path:
    path = folder / ("a.png" if kind in ("png", "icon") else "a.tif")
    bands = {"photometric": "minisblack"}
    if kind == "png":
        Image.fromarray(GREY).save(path)
    elif kind == "icon":
        icon = np.full((60, 50, 4), 255, np.uint8)
        icon[..., 3] = 0
        icon[10:20, 5:40, 3] = 180
        Image.fromarray(icon).save(path)
    elif kind == "bands":
        tifffile.imwrite(path, np.dstack([GREY // n for n in range(1, 6)]), planarconfig="contig", **bands)
    elif kind == "planes":
        tifffile.imwrite(path, np.stack([GREY // n for n in range(1, 6)]), planarconfig="separate", **bands)
    elif kind == "missing":
        values = GREY.astype(np.float32)
        values[:5] = -9999
        tifffile.imwrite(path, values, extratags=[(42113, "s", 0, "-9999", True)])
    elif kind == "white":
        tifffile.imwrite(path, GREY, photometric="miniswhite")
    elif kind == "declared":
        tifffile.imwrite(path, GREY, extratags=[(281, 3, 1, 4095, True)])
    else:
        tifffile.imwrite(path, np.dstack([GREY] * 3), photometric="rgb")
    return path


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("png", DEEP),
        ("bands", Reading(window=(0, 4095), bands=(5, 1, 2))),
        ("bands", Reading(window=(0, 4095), bands=(5, 1, 2, 3, 4))),
        ("planes", Reading(window=(0, 4095), bands=(5, 1))),
        ("missing", Reading(window=(0, 4000))),
        ("missing", asked(intensity="0:4000", background="white")),
        ("white", DEEP),
        ("declared", Reading(window=(0, 1000))),
        ("declared", asked(intensity="0:1000")),
        ("colour", DEEP),
        ("icon", asked(background="#204060")),
    ],
)
@pytest.mark.parametrize("mode", ["center", "border"])
@pytest.mark.parametrize("takes", ["pictures", "pixels"])
def test_the_script_sees_what_the_model_sees(tmp_path: Path, kind: str, how: Reading, mode: str, takes: str) -> None:
    path = written(tmp_path, kind)
    wants = Preprocessing(size=(32, 48), crop_mode=mode).read_as(how)
    text = standalone_script.script("onnxruntime", as_onnx.STANDALONE, takes, wants)
    compile(text, "predict.py", "exec")
    own: dict[str, Any] = {"np": np, "Image": Image, "ImageOps": ImageOps, "Path": Path, "tifffile": tifffile}
    own["wants"] = json.loads(json.dumps(wants.to_dict()))
    exec(text[text.index("def seen") : text.index("\n\nfor name in")], own)  # without the runtime
    found = own["prepared"](path)[0]
    view = EvaluationView(wants)
    if takes == "pictures":
        assert np.array_equal(found, view.whole(path))
    else:
        expected = ((view(path).astype(np.float32) / 255 - wants.mean) / wants.std).transpose(2, 0, 1)
        assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint16])
def test_a_script_for_ordinary_pictures_refuses_more_than_8_bits(monkeypatch, kind):
    """Pillow would clip them to black or white."""
    wants = Preprocessing(size=(8, 8))
    facts = {"labels": "[]", "preprocessing": json.dumps(wants.to_dict())}
    text = standalone_script.script("numpy", Standalone("", f"facts = {facts!r}\n"), "pixels", wants)
    monkeypatch.setattr(sys, "argv", ["predict.py"])
    made: dict[str, object] = {}
    exec(compile(text, "predict.py", "exec"), made)
    assert made["prepared"](Image.fromarray(np.full((9, 9), 200, np.uint8))).shape == (1, 3, 8, 8)
    with pytest.raises(SystemExit, match="more than 8 bits"):
        made["prepared"](Image.fromarray(np.full((9, 9), 1, kind)))
