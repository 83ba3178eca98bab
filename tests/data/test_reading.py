"""More than 8 bits, more than three bands, transparency: against numbers worked out by hand, and other readers."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin, TiffImagePlugin

from frostline.data.decode import decode, image, samples
from frostline.data.manifest import Row
from frostline.data.pictures.picture import content_digest
from frostline.data.pictures.reading import Reading, asked
from frostline.data.pictures.samples import Doubt
from frostline.data.pictures.to_picture import picture_of, pictures_of
from frostline.data.survey import survey
from frostline.data.views import Augment, EvaluationView, Preprocessing, TrainingView
from frostline.errors import DataError, DecodeError, PlanError
from tests.data.pictures import encoded, scene


def grey(top: float, dtype: str, side: int = 64) -> np.ndarray:
    return (np.linspace(0, 1, side * side).reshape(side, side) * top).astype(dtype)


def tiff(values: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values, **options)
    return out.getvalue()


def rows(*pictures: object) -> list[Row]:
    return [Row(picture, name=f"{number}") for number, picture in enumerate(pictures)]  # type: ignore[arg-type]


# One window for a data set


@pytest.mark.parametrize(
    ("top", "high"), [(200, 255), (256, 1023), (1023, 1023), (4095, 4095), (4096, 16383), (60000, 65535)]
)
def test_the_window_is_the_smallest_depth_that_holds_the_data_set(top: int, high: int) -> None:
    dim = encoded(Image.fromarray(grey(top // 4, "uint16")))
    found = survey(rows(dim, encoded(Image.fromarray(grey(top, "uint16")))))
    assert found.reading.window == (0, high)
    assert f"0:{high}" in found.notes[0]
    levels = decode(dim, reading=found.reading).rgb
    assert abs(int(levels.max()) - round(top // 4 * 255 / high)) <= 1  # dim stays dim


def test_a_window_in_which_most_pictures_are_nearly_black_is_warned_of() -> None:
    """One hot pixel, or one picture of another camera, makes 16 bits of a set of 12."""
    usual = [np.linspace(0, 4000, 64 * 64).reshape(64, 64).astype(np.uint16) for _ in range(5)]
    hot = usual[0].copy()
    hot[3, 3] = 65535
    assert survey(rows(*usual)).warnings == ()
    found = survey(rows(*usual, hot))
    assert found.reading.window == (0, 65535)
    assert found.warnings == (
        "5 of 6 pictures of more than 8 bits use less than a tenth of 0:65535 and are nearly black: --intensity 0:4095",
    )
    assert survey(rows(*usual, hot), asked(intensity="0:4095")).warnings == ()


def test_floating_point_is_read_by_the_data_set_and_has_no_cliff() -> None:
    plain, odd = np.full((32, 32), 0.5, np.float32), np.full((32, 32), 0.5, np.float32)
    odd[0, 0] = 1.01
    reading = survey(rows(encoded(Image.fromarray(plain), "TIFF"), encoded(Image.fromarray(odd), "TIFF"))).reading
    seen = [decode(encoded(Image.fromarray(values), "TIFF"), reading=reading).rgb[9, 9, 0] for values in (plain, odd)]
    assert seen == [128, 128]
    assert decode(tiff(grey(1, "float16"))).rgb[-1, -1, 0] == 255  # with no warning of NumPy's
    heights = survey(rows(encoded(Image.fromarray(grey(3000, "float32")), "TIFF"))).reading.window
    assert heights is not None
    assert heights == (0, pytest.approx(3000, rel=0.01))


def test_a_few_wild_values_do_not_set_the_range() -> None:
    values = grey(100, "float32") - 20
    values[0, 0], values[0, 1], values[0, 2] = 1e9, np.nan, -3.4e38
    low, high = survey(rows(encoded(Image.fromarray(values), "TIFF"))).reading.window or (0, 0)
    assert -20 <= low < -19
    assert 79 < high <= 80


def test_the_test_pictures_of_a_model_are_read_by_its_window_and_what_is_unclear_is_refused() -> None:
    dim = encoded(Image.fromarray(grey(1000, "uint16")))
    assert decode(dim, reading=Reading(window=(0, 4095))).rgb.max() == 62
    with pytest.raises(Doubt, match="--intensity LOW:HIGH"):
        decode(dim, reading=Reading())
    bright = encoded(Image.fromarray(grey(60000, "uint16")))  # there is one depth only that holds it
    assert decode(bright, reading=Reading()).rgb.max() == 233


def test_eight_bits_stay_as_they_are() -> None:
    plain = scene()
    reading = survey(rows(encoded(plain), encoded(Image.fromarray(grey(900, "uint16"))))).reading
    assert reading.window == (0, 1023)
    assert np.array_equal(decode(encoded(plain), reading=reading).rgb, plain)


# What files say of themselves


def test_twelve_bits_a_sample_are_declared() -> None:
    values = grey(2000, "uint16")
    packed = tiff(values, bitspersample=12) if imagecodecs.PACKINTS.available else None
    out = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[281] = 4095  # MaxSampleValue
    tags.tagtype[281] = 3
    Image.fromarray(values).save(out, "TIFF", tiffinfo=tags)
    for data in filter(None, (packed, out.getvalue())):
        found = samples(data)
        assert found is not None
        assert found.declared == (0, 4095)
        assert abs(int(decode(data, reading=Reading()).rgb.max()) - round(2000 / 4095 * 255)) <= 1
    wrong = TiffImagePlugin.ImageFileDirectory_v2()
    wrong[281] = 1000
    wrong.tagtype[281] = 3
    out = io.BytesIO()
    Image.fromarray(values).save(out, "TIFF", tiffinfo=wrong)
    assert samples(out.getvalue()).declared is None  # type: ignore[union-attr]


@pytest.mark.parametrize(("shift", "high"), [(0, 4095), (4, 65535)])
def test_significant_bits_of_a_png(shift: int, high: int) -> None:
    values = grey(4095, "uint16") << shift  # PNG wants samples scaled to 16 bits; many programs do not
    data = encoded(Image.fromarray(values))
    chunk = b"\x00\x00\x00\x01sBIT\x0c"
    crc = PngImagePlugin._crc32(chunk[4:]).to_bytes(4, "big")
    at = data.index(b"IDAT") - 4
    found = samples(data[:at] + chunk + crc + data[at:])
    assert found is not None
    assert found.declared == (0, high)


def test_intensity_comes_before_what_files_declare() -> None:
    data = tiff(grey(2000, "uint16"), extratags=[(281, 3, 1, 4095, True)])
    assert decode(data, reading=asked(intensity="0:2000")).rgb.max() == 255
    assert abs(int(decode(data, reading=Reading(window=(0, 2000))).rgb.max()) - 125) <= 1


def test_white_is_the_least_value_where_a_tiff_says_so() -> None:
    values = grey(65535, "uint16")
    inverted = decode(tiff(values, photometric="miniswhite")).rgb[..., 0]
    assert (inverted[0, 0], inverted[-1, -1]) == (255, 0)
    eight = decode(tiff(grey(255, "uint8"), photometric="miniswhite")).rgb[..., 0]
    assert np.abs(eight.astype(int) - inverted).max() <= 1


def test_missing_data_is_black_or_the_background_and_counts_nowhere() -> None:
    values = grey(100, "float32") + 50
    values[:8] = -9999
    data = tiff(values, extratags=[(42113, "s", 0, "-9999", True)])
    reading = survey(rows(data)).reading
    assert reading.window == (0, pytest.approx(150, rel=0.01))
    assert decode(data, reading=reading).rgb[:8].max() == 0
    white = asked(intensity="0:150", background="white")
    assert decode(data, reading=white).rgb[:8].min() == 255
    assert decode(data, reading=white).rgb[8, 0, 0] == decode(data, reading=reading).rgb[8, 0, 0]


# Colour of 16 bits, by imagecodecs and tifffile


@pytest.mark.parametrize("bands", [2, 3, 4])
def test_sixteen_bit_colour_of_a_png_keeps_all_bits(bands: int) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (20, 30, bands)).astype(np.uint16)
    data = imagecodecs.png_encode(values)
    found = samples(data)
    assert found is not None
    assert np.array_equal(found.values, values)
    assert found.alpha == {2: 1, 3: None, 4: 3}[bands]


@pytest.mark.parametrize("bands", [2, 4])
def test_the_alpha_of_a_deep_png_is_one_however_gradual(bands: int) -> None:
    values = np.dstack([scene(64, 48)[:, :, : bands - 1], np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))])
    deep = decode(imagecodecs.png_encode(values.astype(np.uint16) * 257)).rgb
    assert np.abs(deep.astype(int) - decode(imagecodecs.png_encode(values)).rgb.astype(int)).max() <= 1
    found = survey(rows(*[imagecodecs.png_encode(values.astype(np.uint16) * 257)] * 5))
    assert found.reading.window == (0, 65535)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"compression": "lzw"}])
@pytest.mark.parametrize("bands", [3, 4])
def test_sixteen_bit_colour_of_a_tiff_keeps_all_bits(options: dict[str, str], bands: int) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (20, 30, bands)).astype(np.uint16)
    found = samples(tiff(values, photometric="rgb", **options))
    assert found is not None
    assert np.array_equal(found.values, values)


def test_dark_sixteen_bit_colour_is_not_black() -> None:
    values = np.dstack([grey(4095, "uint16")] * 3)
    assert decode(imagecodecs.png_encode(values)).rgb.max() == 255


# Bands


def test_a_fourth_band_that_nobody_calls_an_alpha_is_asked_about() -> None:
    rgb, infrared = scene(48, 48), np.full((48, 48, 1), 20, np.uint8)
    values = np.concatenate([rgb, infrared], 2)
    out = io.BytesIO()
    Image.fromarray(values).save(out, "TIFF")  # says that the fourth is an alpha
    for data in (out.getvalue(), tiff(values, photometric="rgb", extrasamples=[0]), tiff(values, photometric="rgb")):
        with pytest.raises(Doubt, match="--bands 1,2,3"):
            decode(data)
        assert np.array_equal(decode(data, reading=asked(bands="1,2,3")).rgb, rgb)
        assert np.array_equal(decode(data, reading=asked(bands="4,1,2")).rgb[..., 0], infrared[..., 0])
        with pytest.raises(DataError, match="--bands"):
            survey(rows(*[data] * 5))
    with pytest.raises(DecodeError, match="no band 5"):
        decode(data, reading=asked(bands="5"))


def test_a_true_alpha_of_a_tiff_is_one() -> None:
    alpha = np.zeros((48, 48, 1), np.uint8)
    alpha[10:40, 10:40] = 255
    out = io.BytesIO()
    Image.fromarray(np.concatenate([scene(48, 48), alpha], 2)).save(out, "TIFF")
    found = decode(out.getvalue()).rgb
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(found[10:40, 10:40], scene(48, 48)[10:40, 10:40])
    assert not survey(rows(out.getvalue())).warnings


@pytest.mark.parametrize("layout", ["contig", "separate"])
def test_many_bands(layout: str) -> None:
    values = np.random.default_rng(0).integers(0, 3000, (12, 40, 30)).astype(np.uint16)
    if layout == "separate":
        data = tiff(values, photometric="minisblack", planarconfig="separate")
    else:
        data = tiff(np.moveaxis(values, 0, -1), photometric="minisblack", planarconfig="contig")
    with pytest.raises(Doubt, match="12 bands"):
        decode(data)
    reading = survey(rows(data), asked(bands="12,4,3,2,1")).reading
    assert reading.window == (0, 4095)
    opened = image(data, reading=reading)
    assert len(opened.planes) == 5
    expected = np.round(values[[11, 3, 2, 1, 0]] * (255 / 4095))
    assert np.abs(np.stack([np.asarray(plane) for plane in opened.planes]) - expected).max() <= 1


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_no_band_is_passed_over(planes: str) -> None:
    values = np.random.default_rng(0).integers(0, 255, (4, 30, 40)).astype(np.uint8)

    def laid(given: np.ndarray, photometric: str, **more: object) -> bytes:
        own = given if planes == "separate" else np.ascontiguousarray(np.moveaxis(given, 0, -1))
        return tiff(own, photometric=photometric, planarconfig=planes, **more)

    wide = values.astype(np.uint16)
    for given, photometric, extra in ((values[:2], "minisblack", 1), (values, "minisblack", 3), (wide, "rgb", 1)):
        data = laid(given, photometric, extrasamples=[0] * extra)
        with pytest.raises(Doubt, match="bands"):
            decode(data)
        last = asked(bands=str(len(given)), intensity="0:255")
        assert np.array_equal(np.asarray(image(data, reading=last).planes[0]), given[-1])
    assert np.array_equal(decode(laid(wide[:3] * 257, "rgb")).rgb, np.moveaxis(values[:3], 0, -1))


def test_many_bands_are_too_many_pixels_sooner() -> None:
    data = tiff(np.zeros((100, 100, 40), np.float32), photometric="minisblack", planarconfig="contig")
    with pytest.raises(DecodeError, match="more than the limit"):
        decode(data, reading=asked(bands="1"), max_pixels=100_000)
    assert decode(data, reading=asked(bands="1", intensity="0:1"), max_pixels=400_000).size == (100, 100)


def test_a_picture_without_any_value_is_refused() -> None:
    no_data = tiff(grey(1, "uint16") * 0, extratags=[(42113, "s", 0, "0", True)])
    for data in (tiff(np.full((8, 8), np.nan, np.float32)), no_data):
        with pytest.raises(DecodeError, match="not one of its pixels"):
            decode(data, reading=Reading(window=(0, 1)))
    with pytest.raises(DecodeError, match="not one of its pixels"):
        decode(picture_of(np.full((8, 8, 3), np.nan)), reading=Reading())


def test_views_of_bands_are_those_of_their_planes() -> None:
    five = np.concatenate([scene(90, 70), scene(90, 70, seed=1)[..., :2]], 2)
    data = tiff(five, photometric="minisblack", planarconfig="contig")
    wants = Preprocessing(size=(32, 32)).read_as(asked(bands="1,2,3,4,5"))
    assert wants.channels == 5
    assert wants.mean[3] == wants.mean[0]
    seen = EvaluationView(wants)(data)
    plain = EvaluationView(Preprocessing(size=(32, 32)))(np.ascontiguousarray(five[..., :3]))
    assert seen.shape == (32, 32, 5)
    assert np.array_equal(seen[..., :3], plain)
    view = TrainingView(wants, Augment(jitter=0.4, policy="trivial", erasing=1.0), 0, 3)
    assert view(data, "d").shape == (32, 32, 5)
    assert np.array_equal(view(data, "d"), view(data, "d"))


def test_every_band_is_augmented_alike() -> None:
    one = scene(90, 70)[..., :1]
    same = tiff(np.repeat(one, 5, 2), photometric="minisblack", planarconfig="contig")
    wants = Preprocessing(size=(32, 32)).read_as(asked(bands="1,2,3,4,5"))
    for index in range(12):
        seen = TrainingView(wants, Augment(jitter=0.4, policy="trivial"), index, 3)(same, "d")
        assert all(np.array_equal(seen[..., 0], seen[..., band]) for band in range(5))


# Backgrounds


def test_white_drawings_on_a_transparent_ground() -> None:
    icon = np.full((48, 48, 4), 255, np.uint8)
    icon[..., 3] = 0
    icon[10:20, 10:40, 3] = 255
    data = encoded(Image.fromarray(icon))
    assert np.unique(decode(data).rgb).tolist() == [255]
    assert np.unique(decode(data, reading=asked(background="black")).rgb).tolist() == [0, 255]
    found = survey(rows(*[data] * 4, encoded(scene())))
    assert "--background black" in found.warnings[0]
    assert "4 of 4" in found.warnings[0]
    assert not survey(rows(data), asked(background="#203040")).warnings


@pytest.mark.parametrize("ending", ["webp", "lossless.webp", "gif", "ico", "avif", "qoi"])
def test_what_shows_nothing_is_warned_of_in_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    """White stickers and icons: only PNG and one of WebP's two forms were looked at."""
    icon = np.full((48, 48, 4), 255, np.uint8)
    icon[..., 3] = 0
    icon[10:20, 10:40, 3] = 255
    drawing = Image.fromarray(icon)
    found = []
    for name, drawn in (("clear", drawing), ("full", Image.fromarray(scene()))):
        files = [tmp_path / f"{name}{n}.{ending}" for n in range(3)]
        for file in files:
            options = {"lossless": True} if "lossless" in ending else {}
            drawn.save(file, **options)
        found.append(survey([Row(file, name=file.name) for file in files]).warnings)
    assert found[1] == ()
    assert "3 of 3 transparent pictures show nothing over white: --background black" in found[0][0]


# What is decided is part of every address


def test_keys_hold_what_decides_and_stay_where_nothing_is_decided() -> None:
    plain = Preprocessing()
    assert "reading" not in plain.to_dict()
    how = [asked(intensity="0:4095"), Reading(window=(0, 4095)), asked(bands="3,2,1"), asked(background="black")]
    keys = {EvaluationView(plain.read_as(reading)).key for reading in [Reading(), *how]}
    assert len(keys) == 5
    assert len({TrainingView(plain.read_as(reading), Augment(), 0, 0).key for reading in [Reading(), *how]}) == 5
    for reading in how:
        assert Preprocessing.from_dict(plain.read_as(reading).to_dict()).reading == reading


@pytest.mark.parametrize(
    "option", ["intensity=5:5", "intensity=a:b", "intensity=0", "bands=0,1", "bands=r", "background=?"]
)
def test_options_that_mean_nothing_are_refused(option: str) -> None:
    name, _, value = option.partition("=")
    with pytest.raises(PlanError) as refused:
        asked(**{name: value})  # type: ignore[arg-type]
    assert refused.value.where == f"--{name}"


# One picture, one meaning


def forms() -> dict[str, Image.Image]:
    rgb = scene(64, 64)
    alpha = np.zeros((64, 64), np.uint8)
    alpha[16:48, 16:48] = 255
    drawn = Image.fromarray(np.dstack([rgb * (alpha[..., None] > 0), alpha]))
    return {
        "RGB": Image.fromarray(rgb),
        "L": Image.fromarray(rgb[..., 0]),
        "RGBA": drawn,
        "LA": Image.merge("LA", [drawn.getchannel("R"), drawn.getchannel("A")]),
        "P": drawn.quantize(32),
        "1": Image.fromarray(rgb[..., 0]).convert("1"),
        "I;16": Image.fromarray(rgb[..., 0].astype(np.uint16) * 200 + 3000),
        "I": Image.fromarray(rgb[..., 0].astype(np.int32) * 200 + 3000),
        "F": Image.fromarray((rgb[..., 0] / 255).astype(np.float32)),
    }


@pytest.mark.parametrize("mode", list(forms()))
def test_file_bytes_pil_and_array_give_the_same_pixels(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.tif" if mode in ("I", "F") else "a.png")
    forms()[mode].save(path)
    expected = decode(path, reading=Reading()).rgb
    loaded = Image.open(path)
    loaded.load()
    given: list[object] = [path.read_bytes(), str(path), loaded, loaded.copy()]
    if mode != "P":  # an array of numbers of a palette has lost its colours
        given += [np.asarray(loaded)]
    for thing in given:
        assert np.array_equal(decode(picture_of(thing), reading=Reading()).rgb, expected), thing
    with Image.open(path) as opened:
        assert content_digest(picture_of(opened)) == content_digest(path)


def test_a_pil_picture_that_is_closed_says_so(tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.png")
    closed = Image.open(tmp_path / "a.png")
    closed.load()
    closed.close()
    with Image.open(tmp_path / "a.png") as lazy:
        pass
    for thing in (closed, lazy):
        with pytest.raises(DecodeError, match="closed"):
            picture_of(thing)


def test_one_picture_in_place_of_several() -> None:
    import torch

    one = scene(40, 30)
    for thing in (one, Image.fromarray(one), encoded(one), torch.from_numpy(one.copy()).permute(2, 0, 1), one[..., 0]):
        (found,) = pictures_of(thing)
        assert decode(found).rgb.shape == (30, 40, 3)
    assert len(list(pictures_of(np.stack([one, one])))) == 2
    batch = torch.from_numpy(np.stack([one, one])).permute(0, 3, 1, 2)
    assert [decode(found).rgb.tolist() for found in pictures_of(batch)] == [one.tolist()] * 2
    for thing in (np.zeros((40, 30, 20), np.uint8), {"image": one}, 5):
        with pytest.raises(DataError, match=r"several|no list"):
            pictures_of(thing)


def test_channels_in_the_wrong_place_are_refused_with_a_reason() -> None:
    import torch

    with pytest.raises(DecodeError, match="channels first"):
        decode(picture_of(np.zeros((3, 40, 30), np.uint8)))
    with pytest.raises(DecodeError, match="channels last"):
        picture_of(torch.zeros(40, 30, 3))
    with pytest.raises(DecodeError, match=r"outside \[0, 1\]"):
        decode(picture_of(scene().astype(np.float32)))
    with pytest.raises(DecodeError, match="--intensity"):
        decode(picture_of(scene().astype(np.int64)), reading=Reading())
