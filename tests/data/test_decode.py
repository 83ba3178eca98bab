import io
import os
import struct
import threading
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from frostline.data.decode import decode, image
from frostline.data.digests import DigestCache
from frostline.data.pictures.picture import Crop, content_digest
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import DecodeError
from tests.data.pictures import bmp_with_alpha, encoded, save, scene


def test_png_comes_back_exactly_and_with_its_size():
    picture = scene(31, 17)
    found = decode(encoded(picture))
    assert np.array_equal(found.rgb, picture)
    assert found.rgb.dtype == np.uint8
    assert found.size == (31, 17)


def test_path_bytes_and_array_agree(tmp_path):
    path = save(tmp_path / "a.png", seed=3)
    rgb = decode(path).rgb
    assert np.array_equal(rgb, decode(path.read_bytes()).rgb)
    assert np.array_equal(rgb, decode(rgb).rgb)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(orientation, form):
    upright = scene(48, 32)
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    quality = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(form, {})
    found = decode(encoded(np.ascontiguousarray(turned), form, exif=exif, **quality))
    assert found.size == (48, 32)
    assert np.abs(found.rgb.astype(int) - upright).mean() < 3


def test_reduced_jpeg_is_upright_and_says_its_whole_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene(800, 400), "JPEG", exif=exif)
    found = decode(data, at_least=90)
    assert found.size == (400, 800)
    assert found.rgb.shape == (200, 100, 3)
    assert decode(data, at_least=401).rgb.shape == (800, 400, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_jpeg_says_where_the_picture_lies_in_it(orientation):
    picture = np.zeros((81, 89, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 250, 89)[None]
    picture[..., 1] = np.linspace(0, 250, 81)[:, None]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture, "JPEG", exif=exif, quality=98, subsampling=0)
    whole, reduced = image(data), image(data, at_least=lambda _: 10)
    assert sorted(reduced.image.size) == [11, 12]
    assert whole.size == reduced.size
    small, expected = (
        np.asarray(found.image.resize((5, 5), Image.Resampling.BILINEAR, box=found.extent)).astype(int)
        for found in (reduced, whole)
    )
    assert np.abs(small - expected)[1:-1, 1:-1].max() <= 2


def test_damaged_exif_keeps_the_pixels():
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffjunk")
    assert decode(data).size == (60, 40)


def test_alpha_is_laid_over_white():
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    pixels[0, 1] = (0, 0, 0, 127)
    for found in (decode(pixels), decode(encoded(pixels)), decode(encoded(pixels, "WEBP", lossless=True, exact=True))):
        assert found.rgb[0, 0].tolist() == [10, 20, 30]
        assert abs(int(found.rgb[0, 1, 0]) - 128) <= 1
        assert found.rgb[1, 2].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("alpha", "red"), [(0, 200), (255, 200), (51, 244)])
def test_an_alpha_of_a_bmp_that_is_nowhere_filled_is_none(alpha, red):
    """As Chromium has it."""
    assert decode(bmp_with_alpha(alpha)).rgb[1, 2, 0] == red


def test_palette_with_a_clear_colour_and_grey_with_a_clear_value():
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.putpixel((1, 0), 1)
    assert decode(encoded(palette)).rgb[0].tolist() == [[200, 0, 0], [0, 0, 200]]
    assert decode(encoded(palette, transparency=1)).rgb[0].tolist() == [[200, 0, 0], [255, 255, 255]]
    assert decode(encoded(palette, transparency=b"\x00\xff")).rgb[0].tolist() == [[255, 255, 255], [0, 0, 200]]
    grey = Image.fromarray(np.array([[7, 9]], np.uint8))
    assert decode(encoded(grey, transparency=9)).rgb[0, :, 0].tolist() == [7, 255]


def test_one_bit_and_grey():
    assert decode(encoded(Image.new("1", (3, 2), 1))).rgb.min() == 255
    assert decode(np.full((2, 2), 9, np.uint8)).rgb.tolist() == [[[9, 9, 9]] * 2] * 2
    assert decode(encoded(Image.new("LA", (1, 1), (50, 255)))).rgb.tolist() == [[[50, 50, 50]]]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_eight(form):
    deep = Image.fromarray(np.array([[0, 256, 0x8000, 65535]], np.uint16))
    assert decode(encoded(deep, form)).rgb[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[-1.0, 0.0, np.nan, 1.0]], np.float32), [0, 128, 0, 255]),  # nan is no value
        (np.array([[0, 100, 200]], np.int32), [0, 100, 200]),
        (np.array([[0, 65535]], np.int32), [0, 255]),
        (np.array([[0, 2_000_000]], np.int32), [0, 255]),
    ],
)
def test_deep_modes_are_scaled_by_their_range(values, expected):
    assert decode(encoded(Image.fromarray(values), "TIFF")).rgb[0, :, 0].tolist() == expected


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk(form):
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = decode(encoded(ink, form)).rgb[8, 8].tolist()
    assert red > 230
    assert max(green, blue) < 25


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animated_gives_the_first_frame(form):
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    data = encoded(first, form, save_all=True, append_images=[second])
    red, _, blue = decode(data).rgb[4, 4].tolist()
    assert red > 240
    assert blue < 15


def test_pixel_limit_is_read_from_the_header_before_allocation():
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    size = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    decode(encoded(scene()))
    tracemalloc.start()
    with pytest.raises(DecodeError, match="13000 x 13000 pixels are more than the limit of 1,000,000"):
        decode(bomb, max_pixels=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    monstrous = bomb.replace(size, struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0))
    with pytest.raises(DecodeError):
        decode(monstrous)
    with pytest.raises(DecodeError, match="limit"):
        decode(np.zeros((10, 10), np.uint8), max_pixels=99)


def test_a_compressed_text_bomb_in_a_png_is_refused():
    body = b"Comment\0\0" + zlib.compress(bytes(100_000_000))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    data = encoded(scene())
    with pytest.raises(DecodeError):
        decode(data[:33] + chunk + data[33:])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("keep", [0.3, 0.7])
def test_truncated_files_are_refused_whatever_others_told_pillow(form, keep, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    data = encoded(noise, form)
    with pytest.raises(DecodeError):
        decode(data[: int(len(data) * keep)])
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_refusals_name_the_file_and_what_to_do(tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    text = tmp_path / "text.jpg"
    text.write_text("<html>404</html>")
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, what in [
        (empty, "empty"),
        (text, "not a picture"),
        (tmp_path / "none.jpg", "no such file"),
        (tmp_path, "not an ordinary file"),
        (tmp_path / "pipe.jpg", "not an ordinary file"),
        (tmp_path / ("long" * 100), "name too long"),
        (Path("nul\0.jpg"), "null"),
    ]:
        with pytest.raises(DecodeError, match=f"(?i){what}") as caught:
            decode(path)
        assert caught.value.where
        assert "\0" not in str(caught.value)
        if path != text:
            with pytest.raises(DecodeError, match=f"(?i){what}"):
                content_digest(path)
    with pytest.raises(DecodeError, match="no bytes"):
        decode(b"")
    with pytest.raises(DecodeError, match="a web page, not a picture"):
        decode(text)
    with pytest.raises(DecodeError, match="a Git LFS pointer, not a picture") as caught:
        decode(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    assert "git lfs pull" in caught.value.hint


def test_formats_that_run_programs_or_prove_nothing_are_not_read():
    with pytest.raises(DecodeError, match="not a picture"):
        decode(encoded(scene(), "EPS"))
    with pytest.raises(DecodeError, match="not a picture"):
        decode(encoded(scene(), "TGA"))


@pytest.mark.parametrize("shape", [(3,), (0, 4, 3), (2, 2, 2, 3)])
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(DecodeError, match="uint8"):
        decode(np.zeros(shape, np.uint8))
    with pytest.raises(DecodeError, match="complex128"):
        decode(np.zeros((4, 4, 3), complex))
    with pytest.raises(DecodeError, match="channels first"):
        decode(np.zeros((3, 40, 40), np.uint8))


def test_memory_error_is_a_refusal(monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", full)
    with pytest.raises(DecodeError, match="memory"):
        decode(encoded(scene()))


def test_no_warning_leaves_pillow_from_any_thread_and_the_filters_come_back(recwarn):
    palette = Image.new("P", (4, 4))
    palette.putpalette([1, 2, 3, 4, 5, 6])
    loud = encoded(palette, transparency=b"\x00\x80")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Image.DecompressionBombWarning):
            Image.open(io.BytesIO(_wide_png())).close()
        before = list(warnings.filters)
        gate = threading.Barrier(4)

        def work(_):
            gate.wait()
            for _ in range(20):
                decode(loud)
            with pytest.raises(DecodeError):
                decode(_wide_png())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert warnings.filters == before


def _wide_png():
    """A header of 100 million pixels, about which Pillow warns, and no pixels."""
    size = b"IHDR" + struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    idat = b"IDAT" + zlib.compress(b"x")
    chunks = (
        struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in (size, idat, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


_SEEDS = [encoded(scene(), form) for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_SEEDS), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=6))
def test_mutants_decode_or_are_refused(data, changes):
    mutant = bytearray(data)
    for place, value in changes:
        mutant[place % len(mutant)] = value
    try:
        found = decode(bytes(mutant), max_pixels=10_000_000)
    except DecodeError as error:
        assert "\n" not in error.what  # noqa: PT017 (either outcome is right)
    else:
        assert found.rgb.shape == (found.size[1], found.size[0], 3)


def test_digest_is_of_content_alone(tmp_path):
    path = save(tmp_path / "a.png", seed=1)
    other = tmp_path / "b.png"
    other.write_bytes(path.read_bytes())
    assert content_digest(path) == content_digest(other) == content_digest(path.read_bytes())
    assert len(content_digest(path)) == 32
    flat = np.arange(12, dtype=np.uint8)
    assert content_digest(flat.reshape(3, 4)) != content_digest(flat.reshape(4, 3))
    assert content_digest(flat.reshape(3, 4).T) == content_digest(np.ascontiguousarray(flat.reshape(3, 4).T))


# Crops


def boxed(box: tuple[float, float, float, float], margin: float = 0.0, **save: object) -> tuple[Crop, np.ndarray]:
    whole = scene(400, 300)
    return Crop(encoded(whole, **save), box, margin), whole


def test_a_crop_is_the_part_of_the_upright_picture() -> None:
    crop, whole = boxed((100, 50, 180, 90))
    found = decode(crop)
    assert np.array_equal(found.rgb, whole[50:90, 100:180])
    assert found.size == (80, 40)
    turned = np.rot90(whole)  # lies on its side in the file, and its EXIF says so
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying = Crop(encoded(np.ascontiguousarray(turned), exif=exif), (100, 50, 180, 90))
    assert np.array_equal(decode(lying).rgb, whole[50:90, 100:180])


def test_a_margin_is_a_share_of_the_box_and_ends_at_the_picture() -> None:
    crop, whole = boxed((100.4, 50, 180.4, 90), margin=0.25)
    assert np.array_equal(decode(crop).rgb, whole[40:100, 80:201])
    at_the_edge, _ = boxed((-20, -20, 30, 20), margin=1.0)
    assert np.array_equal(decode(at_the_edge).rgb, whole[0:60, 0:80])


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (20, 10, 10, 20), (500, 10, 600, 20), (float("nan"), 0, 5, 5)])
def test_a_box_without_pixels_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(DecodeError, match=r"empty|outside"):
        decode(boxed(box)[0])


def test_a_crop_of_a_reduced_jpeg_is_the_same_view() -> None:
    whole = scene(1600, 1200)
    crop = Crop(encoded(whole, "JPEG", quality=95, subsampling=0), (401, 203, 1203, 1000))
    view = EvaluationView(Preprocessing(size=(96, 96)))
    plain = EvaluationView(Preprocessing(size=(96, 96)))(np.ascontiguousarray(whole[203:1000, 401:1203]))
    assert min(image(crop, at_least=lambda _: 110).image.size) < 500  # it did come reduced
    assert np.abs(view(crop).astype(int) - plain).mean() < 2


def test_the_digest_of_a_crop_is_of_picture_box_and_margin(tmp_path: Path) -> None:
    crop, whole = boxed((0, 0, 10, 10))
    others = [
        crop.of,
        Crop(crop.of, (0, 0, 10, 11)),
        Crop(crop.of, (0, 0, 10, 10), 0.1),
        Crop(encoded(scene(seed=5)), (0, 0, 10, 10)),
    ]
    assert len({content_digest(picture) for picture in [crop, *others]}) == 5
    (tmp_path / "a.png").write_bytes(encoded(whole))
    with DigestCache(tmp_path / "digests.sqlite") as digest:
        assert digest(Crop(tmp_path / "a.png", (0, 0, 10, 10))) == content_digest(crop)
