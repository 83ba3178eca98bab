"""Properties that hold for any input at all."""

import csv
import io
import string
import tarfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frostline.data.decode import decode
from frostline.data.manifest import Manifest
from frostline.data.pictures.picture import Slice, content_digest
from frostline.data.places.archives import tar_index
from frostline.data.tables.csv_table import csv_table
from frostline.data.webdataset import _expanded
from frostline.errors import DataError, DecodeError
from tests.data.pictures import encoded, scene

FILES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)


@given(content=st.binary(max_size=200))
@FILES
def test_any_bytes_are_a_picture_or_a_decode_error(content: bytes) -> None:
    for data in (content, encoded(scene(8, 8))[: len(content)] + content):
        try:
            assert decode(data).rgb.ndim == 3
        except DecodeError as error:
            assert error.what.isprintable()  # noqa: PT017


@given(rows=st.lists(st.lists(TEXT, max_size=5), max_size=6), header=st.permutations(["path", "label", "split", "x"]))
@FILES
def test_any_table_is_rows_or_one_error_of_three_parts(
    tmp_path: Path, rows: list[list[str]], header: list[str]
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    place = tmp_path / "t.csv"
    place.write_text(text.getvalue(), encoding="utf-8", newline="")
    try:
        Manifest.of(csv_table(place), classes=None)
    except DataError as error:
        assert error.what.isprintable()  # noqa: PT017
        assert error.hint  # noqa: PT017


@given(names=st.lists(TEXT.filter(bool), min_size=1, max_size=5, unique=True), sizes=st.data())
@FILES
def test_slices_of_a_tar_are_its_members(tmp_path: Path, names: list[str], sizes: st.DataObject) -> None:
    contents = [sizes.draw(st.binary(max_size=1500)) for _ in names]
    with tarfile.open(tmp_path / "t.tar", "w") as packed:
        for number, content in enumerate(contents):
            member = tarfile.TarInfo(f"{number}-{names[number]}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    found = list(tar_index(tmp_path / "t.tar"))
    assert len(found) == len(contents)
    for (_, offset, length), content in zip(found, contents, strict=True):
        assert length == len(content)
        if content:
            assert content_digest(Slice(tmp_path / "t.tar", offset, length)) == content_digest(content)


@given(
    parts=st.lists(st.lists(st.text(string.ascii_letters, min_size=1, max_size=3), min_size=2, max_size=3), max_size=3),
    first=st.integers(0, 20),
    count=st.integers(0, 12),
)
def test_braces_expand_to_the_product_in_order(parts: list[list[str]], first: int, count: int) -> None:
    import itertools

    pattern = "x" + "-".join("{" + ",".join(part) + "}" for part in parts) + f"{{{first:03d}..{first + count:03d}}}.tar"
    expected = [
        "x" + "-".join(chosen) + f"{number:03d}.tar"
        for chosen in itertools.product(*parts)
        for number in range(first, first + count + 1)
    ]
    assert list(_expanded(pattern)) == expected
