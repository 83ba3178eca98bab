"""Small files that would cost minutes or gigabytes are refused by their header; their innocent neighbours are read."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from frostline.data.decode import decode
from frostline.data.pictures.formats import jpeg_xl
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import DecodeError
from tests.data.pictures import encoded, scene


def refused(data: bytes, said: str, limit: int = 50_000_000) -> None:
    """Whether it is to be decoded whole or as small as can be."""
    for least in (None, 64):
        began = time.process_time()
        with pytest.raises(DecodeError, match=said):
            decode(data, max_pixels=limit, at_least=least)
        assert time.process_time() - began < 2


def saved(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def scans(times: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = saved(Image.fromarray(scene(64, 64)).convert("L"), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xc4", 0, data.rfind(b"\xff\xda"))
    return data[:-2] + data[last:-2] * times + data[-2:]


def test_a_jpeg_of_thousands_of_scans_is_refused_and_one_of_some_is_read() -> None:
    refused(scans(3_000), "more than 200 scans")
    assert decode(scans(50)).rgb.shape == (64, 64, 3)


def test_a_jpeg_one_component_a_scan_is_bounded_too() -> None:
    data = bytearray(saved(Image.fromarray(scene(64, 64)), "JPEG"))
    at = data.rfind(b"\xff\xda")
    assert data[at + 4] == 3  # components of the scan
    data[at + 4] = 1
    refused(bytes(data[:-2]) + bytes(data[at:-2]) * 300 + b"\xff\xd9", "more than 200 scans")


@pytest.mark.parametrize("filling", [b"\xff\xfe\0\2", b"\xff", b"\xff\xe1\0\2"])
def test_a_jpeg_of_millions_of_markers_is_refused_and_one_of_many_is_read(filling: bytes) -> None:
    data = encoded(scene(64, 64), "JPEG")
    refused(data[:2] + filling * 1_000_000 + data[2:], "5,000 markers")
    assert np.array_equal(decode(data[:2] + filling * 1_000 + data[2:]).rgb, decode(data).rgb)


def tiff(side: int, bands: int, *, bits: int = 8) -> bytes:
    """A picture of 8 x 8 in one tile of that side, deflated."""
    tile = zlib.compress(bytes(min(side * side * bands * bits // 8, 1 << 20)))
    many = struct.pack(f"<{bands}H", *[bits] * bands)
    tags = [
        (256, 4, 1, 8), (257, 4, 1, 8), (258, 3, bands, 8 + 2 + 12 * 12 + 4), (259, 3, 1, 8), (262, 3, 1, 2),
        (277, 3, 1, bands), (284, 3, 1, 1), (322, 4, 1, side), (323, 4, 1, side),
        (324, 4, 1, 8 + 2 + 12 * 12 + 4 + 64), (325, 4, 1, len(tile)), (338, 3, max(1, bands - 3), 0),
    ]  # fmt: skip
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, 12) + body + bytes(4) + many.ljust(64, b"\0") + tile


@pytest.mark.parametrize(("bands", "bits"), [(3, 8), (3, 16), (5, 8)])
def test_a_giant_tile_of_a_small_tiff_is_refused_and_a_common_one_is_read(bands: int, bits: int) -> None:
    refused(tiff(20_000, bands, bits=bits), "more than the limit")
    if bands == 3 and bits == 8:
        assert decode(tiff(256, bands)).rgb.shape == (8, 8, 3)


def test_thousands_of_comments_in_a_plain_ppm_are_refused_and_some_are_read() -> None:
    refused(b"P3 700 700 255\n" + b"# \n" * 1_000_000, "comments")
    assert decode(b"P3\n# a\n# b\n1 1 255\n# c\n1 2 3\n").rgb.tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("side", [(20_000_000, 1), (1, 20_000_000)])
def test_a_side_that_takes_gigabytes_to_be_resized_is_refused_and_a_long_one_is_read(side) -> None:
    refused(saved(Image.new("1", side), "PNG"), "a side of 20,000,000 pixels is more than the limit")
    long = saved(Image.new("L", (max(1, side[0] // 20), max(1, side[1] // 20))), "PNG")
    assert EvaluationView(Preprocessing(crop_mode="squash"))(long, "").shape == (224, 224, 3)


class TestJpegXl:
    @pytest.mark.parametrize(
        "side",
        [(1, 1), (8, 8), (256, 256), (257, 256), (300, 200), (640, 480), (1920, 1080), (600, 500), (24, 12), (9, 600)],
    )
    @pytest.mark.parametrize("more", [{}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}])
    def test_its_size_is_read_from_its_header(self, side, more) -> None:
        pytest.importorskip("pillow_jxl")
        data = saved(Image.new("RGB", side, (9, 9, 9)), "JXL", effort=1, **more)
        assert jpeg_xl.size(io.BytesIO(data)) == side
        assert decode(data).size == side

    def test_a_giant_is_refused_before_it_is_decoded(self) -> None:
        pytest.importorskip("pillow_jxl")
        height, width = ((3 << 1) | ((side - 1) << 3) for side in (2**30, 2**30))  # not small, 30 bits
        bits = height | 0 << 33 | (width >> 1) << 36
        head = b"\xff\x0a" + bits.to_bytes(10, "little")
        assert jpeg_xl.size(io.BytesIO(head)) == (2**30, 2**30)
        refused(head, "more than the limit")
        boxed = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl " + b"\0\0\0\0jxlp\0\0\0\0" + head
        refused(boxed, "more than the limit")
        small = b"\xff\x0a\x41\x06" + bytes(12)
        parts = (head[:1], head[1:3], head[3:], small)  # decoders read them as one
        split = b"".join((12 + len(part)).to_bytes(4, "big") + b"jxlp" + bytes(4) + part for part in parts)
        refused(boxed[:32] + split, "more than the limit")

    @pytest.mark.parametrize("loop", [b"\0\0\0\0free", b"\0\0\0\1free" + bytes(8), b"\0\0\0\x08free" * 5_000])
    def test_boxes_without_a_picture_come_to_an_end(self, loop) -> None:
        refused(b"\0\0\0\x0cJXL \r\n\x87\n" + loop, "not a picture|extra package")


class TestDicom:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("pydicom")

    def written(self, syntax: str, pixels: bytes, **more) -> bytes:
        import pydicom
        from pydicom.dataset import FileDataset, FileMetaDataset

        meta = FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
        made = FileDataset("x", {}, file_meta=meta, preamble=bytes(128))
        made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
        facts = {"Rows": 8, "Columns": 8, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "SamplesPerPixel": 1}
        for name, value in (
            facts | {"PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2"} | more
        ).items():
            setattr(made, name, value)
        made.PixelData = pixels
        made["PixelData"].VR = "OB"
        file = io.BytesIO()
        made.save_as(file, enforce_file_format=True)
        return file.getvalue()

    def test_a_deflated_bomb_is_refused_and_a_deflated_picture_is_read(self, monkeypatch) -> None:
        monkeypatch.setattr("frostline.data.pictures.formats.dicom._LARGEST", 20 << 20)
        deflated = "1.2.840.10008.1.2.1.99"
        refused(self.written(deflated, bytes(30 << 20)), "unpacks to more than")
        values = bytes(range(64))
        plain = decode(self.written("1.2.840.10008.1.2.1", values)).rgb
        assert np.array_equal(decode(self.written(deflated, values)).rgb, plain)

    def test_a_frame_of_another_size_than_is_said_is_refused(self) -> None:
        from pydicom.encaps import encapsulate

        lossless = "1.2.840.10008.1.2.4.90"
        small = saved(Image.fromarray(scene(8, 8)).convert("L"), "JPEG2000")
        assert decode(self.written(lossless, encapsulate([small]))).size == (8, 8)
        large = saved(Image.new("L", (600, 400)), "JPEG2000")
        refused(self.written(lossless, encapsulate([large])), "its pixels are 600 x 400, and it says 8 x 8")
