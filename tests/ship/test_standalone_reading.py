"""``predict.py`` without frostline reads 16 bits, bands, missing data and grounds as the evaluation view does."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from frostline.data.pictures.reading import Reading, asked
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import DecodeError
from frostline.ship.exporters import standalone_script
from frostline.ship.exporters.export_spec import Standalone
from tests.data.pictures import bmp_with_alpha, scene

Prepared = Callable[[str], np.ndarray]
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
def test_the_script_sees_what_the_model_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, how: Reading, mode: str, takes: str
) -> None:
    path = written(tmp_path, kind)
    wants = Preprocessing(size=(32, 48), crop_mode=mode).read_as(how)
    found = prepared(monkeypatch, wants, takes)(str(path))[0]
    view = EvaluationView(wants)
    if takes == "pictures":
        assert np.array_equal(found, view.whole(path))
    else:
        expected = ((view(path).astype(np.float32) / 255 - wants.mean) / wants.std).transpose(2, 0, 1)
        assert np.abs(found - expected).max() < 1e-5


def prepared(monkeypatch: pytest.MonkeyPatch, wants: Preprocessing, takes: str = "pixels") -> Prepared:
    """What the script does to a picture before the network, without a runtime."""
    facts = {"labels": "[]", "preprocessing": json.dumps(wants.to_dict())}
    text = standalone_script.script("numpy", Standalone("", f"facts = {facts!r}\n"), takes, wants)
    monkeypatch.setattr(sys, "argv", ["predict.py"])
    made: dict[str, Prepared] = {}
    with pytest.raises(SystemExit):
        exec(compile(text, "predict.py", "exec"), made)
    return made["prepared"]


def colours(width: int = 90, height: int = 60) -> Image.Image:
    return Image.fromarray(scene(width, height, 3))


def turned(path: Path, orientation: int, size: tuple[int, int] = (90, 60)) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    colours(*size).save(path, exif=exif)


def clear(mode: str = "RGBA") -> Image.Image:
    found = colours().convert(mode)
    found.putalpha(Image.linear_gradient("L").resize(found.size))
    return found


def bands(path: Path, count: int, **tags: object) -> None:
    tifffile.imwrite(path, np.dstack([np.asarray(colours())] * 2)[:, :, :count], photometric="rgb", **tags)


def damaged_exif(path: Path) -> None:
    turned(path, 6)
    path.write_bytes(path.read_bytes().replace(b"Exif\0\0MM", b"Exif\0\0XX").replace(b"Exif\0\0II", b"Exif\0\0XX"))


def cut(path: Path) -> None:
    colours().save(path)
    path.write_bytes(path.read_bytes()[:-200])


def deep_colour(path: Path) -> None:
    path.write_bytes(imagecodecs.png_encode(np.asarray(colours()).astype(np.uint16) * 10))


ODD: dict[str, Callable[[Path], object]] = {
    "large.jpg": lambda path: colours(901, 607).save(path),
    **{f"{way}.jpg": lambda path, way=way: turned(path, way, (901, 607)) for way in range(2, 9)},
    **{f"{way}.png": lambda path, way=way: turned(path, way) for way in range(2, 9)},
    "turned.tif": lambda path: tifffile.imwrite(path, np.asarray(colours()), extratags=[(274, 3, 1, 6, True)]),
    "damaged_exif.jpg": damaged_exif,
    "xmp.jpg": lambda path: colours().save(path, xmp=b'<x tiff:Orientation="6"/>'),
    "clear.png": lambda path: clear().save(path),
    "clear.tif": lambda path: clear().save(path),
    "grey_clear.tif": lambda path: clear("L").save(path),
    "grey_clear.png": lambda path: clear("L").save(path),
    "four.tif": lambda path: bands(path, 4, extrasamples=["unspecified"]),
    "five.tif": lambda path: bands(path, 5, extrasamples=["unspecified"] * 2),
    "palette.png": lambda path: colours().convert("P").save(path, transparency=bytes(range(256))),
    "palette.tif": lambda path: colours().convert("P").save(path),
    "see_through.png": lambda path: colours().save(path, transparency=colours().getpixel((4, 4))),
    "print.jpg": lambda path: colours().convert("CMYK").save(path),
    "lab.tif": lambda path: colours().convert("LAB").save(path),
    "pages.tif": lambda path: colours().save(path, save_all=True, append_images=[colours().rotate(180)]),
    "moving.gif": lambda path: colours().save(path, save_all=True, append_images=[colours().rotate(180)]),
    **{f"{n}.bmp": lambda path, n=n: path.write_bytes(bmp_with_alpha(n)) for n in (0, 51, 255)},
    "pixel.png": lambda path: colours(1, 1).save(path),
    "wide.png": lambda path: colours(2000, 1).save(path),
    "cut.jpg": cut,
    "empty.png": Path.touch,
    "deep_dim.png": deep_colour,
    "program.eps": lambda path: colours().save(path),
    "junk.tga": lambda path: colours().save(path),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("takes", ["pictures", "pixels"])
@pytest.mark.parametrize("how", [Reading(), asked(background="#204060")], ids=["plain", "background"])
def test_the_script_answers_and_refuses_as_predict_does(tmp_path, monkeypatch, name, takes, how):
    ODD[name](path := tmp_path / name)
    wants = Preprocessing(size=(32, 48)).read_as(how)
    view, script = EvaluationView(wants), prepared(monkeypatch, wants, takes)
    try:
        seen = view.whole(path) if takes == "pictures" else view(path)
    except DecodeError:
        with pytest.raises((ValueError, OSError, NotImplementedError)):
            script(str(path))
        return
    found = script(str(path))[0]
    expected = seen if takes == "pictures" else ((seen / np.float32(255) - wants.mean) / wants.std).transpose(2, 0, 1)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint16])
def test_a_script_for_ordinary_pictures_refuses_more_than_8_bits(tmp_path, monkeypatch, kind):
    """Pillow would clip them to black or white."""
    script = prepared(monkeypatch, Preprocessing(size=(8, 8)))
    Image.fromarray(np.full((9, 9), 200, np.uint8)).save(tmp_path / "a.tif")
    assert script(str(tmp_path / "a.tif")).shape == (1, 3, 8, 8)
    Image.fromarray(np.full((9, 9), 1, kind)).save(tmp_path / "b.tif")
    with pytest.raises(NotImplementedError, match="more than 8 bits"):
        script(str(tmp_path / "b.tif"))
