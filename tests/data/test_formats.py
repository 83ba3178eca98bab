"""Formats that need a package: read as their own readers read them, and named where the package is not there."""

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from frostline.data.decode import decode
from frostline.data.header import header
from frostline.data.manifest import Manifest, Row
from frostline.data.pictures.formats import kinds
from frostline.data.pictures.reading import Reading
from frostline.data.places.tree import maybe_picture
from frostline.data.survey import survey
from frostline.errors import DataError, DecodeError
from tests.data.pictures import encoded, save, scene

HEIC_START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def dicom(values: np.ndarray, meaning: str = "MONOCHROME2", **tags: object) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 1 if values.ndim == 2 else 3
    dataset.PhotometricInterpretation = meaning
    dataset.BitsAllocated = dataset.BitsStored = values.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(values.dtype.kind == "i")
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_dicom_is_shown_as_its_window_says() -> None:
    values = np.linspace(0, 3000, 64 * 64).reshape(64, 64).astype(np.int16)
    ct = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    data = dicom(values, **ct)
    dataset = dcmread(io.BytesIO(data))
    expected = apply_windowing(apply_modality_lut(values, dataset), dataset)
    expected = (expected - expected.min()) * (255 / (expected.max() - expected.min()))
    assert np.abs(decode(data, reading=Reading()).rgb[..., 0] - expected).max() <= 1
    inverted = decode(dicom(values, "MONOCHROME1", **ct), reading=Reading()).rgb
    assert np.array_equal(inverted, 255 - decode(data, reading=Reading()).rgb)
    assert header(data).format == "DICOM"


def test_dicom_without_a_window_is_read_by_the_data_set_and_its_padding_is_no_value() -> None:
    values = np.linspace(0, 900, 64 * 64).reshape(64, 64).astype(np.int16)
    values[0] = -2000
    found = survey([Row(dicom(values, PixelPaddingValue=-2000), name="a")])
    assert found.reading.window == (0, 1023)
    colour = scene(40, 30)
    assert np.array_equal(decode(dicom(colour, "RGB")).rgb, colour)


def test_a_dicom_of_eight_bits_has_its_window_too_and_a_mask_is_black_and_white() -> None:
    values = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    seen = decode(dicom(values, WindowCenter=100.5, WindowWidth=101), reading=Reading()).rgb[..., 0]
    assert np.unique(seen[values <= 50]).tolist() == [0]
    assert np.unique(seen[values >= 150]).tolist() == [255]
    mask = (values > 128).astype(np.uint8)
    assert np.array_equal(decode(dicom(mask, BitsStored=1, HighBit=0)).rgb[..., 0], mask * 255)


def test_dicom_without_pixels_is_no_picture() -> None:
    report = dcmread(io.BytesIO(dicom(np.zeros((4, 4), np.uint8))))
    del report.PixelData
    out = io.BytesIO()
    report.save_as(out, enforce_file_format=True)
    with pytest.raises(DecodeError, match="without pixels"):
        decode(out.getvalue())


def test_heic_and_jpeg_xl_are_what_was_written(tmp_path: Path) -> None:
    import pillow_jxl as _registers  # noqa: F401

    smooth = Image.fromarray(scene(120, 80))
    heif = io.BytesIO()
    pillow_heif.from_pillow(smooth).save(heif, quality=95)
    jxl = io.BytesIO()
    smooth.save(jxl, "JXL", lossless=True)
    (tmp_path / "IMG.HEIC").write_bytes(heif.getvalue())
    assert np.abs(decode(tmp_path / "IMG.HEIC").rgb.astype(int) - np.asarray(smooth)).mean() < 4
    assert np.array_equal(decode(jxl.getvalue()).rgb, np.asarray(smooth))
    assert header(jxl.getvalue()).format == "JXL"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (HEIC_START, kinds.HEIC),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", None),
        (b"\xff\x0a", kinds.JPEG_XL),
        (b"\0" * 128 + b"DICM", kinds.DICOM),
        (b"II*\0\x10\0\0\0CR\x02\0", kinds.RAW),
        (b"FUJIFILMCCD-RAW 0201", kinds.RAW),
        (b"\0\0\0\x18ftypcrx ", kinds.RAW),
        (b"\xff\xd8\xff\xe1", None),
        (b"\x89PNG\r\n\x1a\n", None),
    ],
)
def test_kinds_are_told_by_their_first_bytes(start: bytes, kind: kinds.Kind | None) -> None:
    assert kinds.sniffed(io.BytesIO(start + bytes(200))) is kind


@pytest.mark.parametrize("data", [HEIC_START, b"\xff\x0a", b"\0" * 128 + b"DICM", b"FUJIFILMCCD-RAW 0201"])
def test_a_damaged_file_of_any_kind_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data + bytes(300))


@pytest.mark.parametrize("name", ["a.heic", "b.DCM", "c.jxl", "d.nef", "e.cr3"])
def test_names_of_these_formats_may_be_pictures(name: str) -> None:
    assert maybe_picture(name)


def test_what_is_not_installed_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    rows = [Row(save(tmp_path / f"a/{n}.png", n), ("a",), name=f"a/{n}") for n in range(3)]
    rows += [Row(HEIC_START + bytes([n] * 300), ("b",), name=f"b/{n}") for n in range(8)]
    manifest = Manifest.of(rows)
    reasons = []
    for row in rows[3:]:
        with pytest.raises(DecodeError, match="HEIC") as refused:
            decode(row.picture)
        reasons.append(refused.value.what)
    expected = "8 HEIC pictures were left out: pip install 'frostline[formats]'"
    assert kinds.left_out([*reasons, "the file is empty"]) == [expected]
    from frostline.data.manifest import Skipped

    left = manifest.without([Skipped(row.name, reason) for row, reason in zip(rows[3:], reasons, strict=True)])
    with pytest.raises(DataError, match="'b' has 0") as lost:
        left.require_usable()
    assert expected in str(lost.value.hint)
    assert decode(encoded(scene())).rgb.shape == (40, 60, 3)


def test_overviews_are_no_further_pages(tmp_path: Path) -> None:
    """A cloud-optimised GeoTIFF has smaller copies of itself behind it, as GDAL writes them (NewSubfileType 1)."""
    picture = scene(64, 64)
    for name, kinds_of in (("overviews", (1, 1)), ("pages", (1, 0))):
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as out:
            out.write(picture, photometric="rgb")
            for kind in kinds_of:
                out.write(picture[::2, ::2], photometric="rgb", subfiletype=kind)
    assert [header(tmp_path / f"{name}.tif").frames for name in ("overviews", "pages")] == [False, True]


def test_colours_of_twelve_bits_are_not_dark() -> None:
    colour = (scene(40, 30).astype(np.uint16) * 16).clip(0, 4095)
    seen = decode(dicom(colour, "RGB", BitsStored=12, HighBit=11)).rgb
    assert np.abs(seen.astype(int) - colour * (255 / 4095)).max() <= 0.5 + 1e-9


def test_what_pydicom_complains_of_is_not_printed() -> None:
    data = dicom(np.zeros((8, 8), np.uint8))
    dataset = dcmread(io.BytesIO(data))
    dataset.PixelData += bytes(64)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    with pytest.warns(UserWarning, match="bytes of pixel data"):
        dcmread(io.BytesIO(out.getvalue())).pixel_array  # noqa: B018
    assert decode(out.getvalue()).rgb.max() == 0  # warnings are errors here
