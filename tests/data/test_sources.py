import csv
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest

from frostline.data.loose_pictures import pictures
from frostline.data.manifest import Manifest, Row, Skipped
from frostline.data.pairs import pairs
from frostline.data.sources import read, source, sources
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import DataError, DecodeError, MissingExtra
from tests.data.pictures import encoded, scene, tree


@pytest.fixture
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def facts(manifest):
    return {(row.name, row.labels, row.split, row.digest) for row in manifest.rows}


def test_a_flat_folder(tmp_path, cache):
    tree(tmp_path, "class 10/x.png", "class 9/deep/er/y.JPG", "class 9/z.jpg", "人/ü b.png")
    found = read(tmp_path, cache=cache)
    assert found.classes == ("class 9", "class 10", "人")
    assert [row.name for row in found.rows] == [
        "class 9/z.jpg",
        "class 9/deep/er/y.JPG",
        "class 10/x.png",
        "人/ü b.png",
    ]
    assert found.splits == ()
    assert found.source == str(tmp_path)
    assert not found.skipped


@pytest.mark.parametrize("val", ["val", "Valid", "validation"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_a_folder_with_splits(tmp_path, cache, train, val):
    tree(tmp_path, *(f"{split}/{name}/{n}.png" for split in (train, val, "test") for name in "ab" for n in (1, 2)))
    found = read(tmp_path, cache=cache)
    assert found.splits == ("train", "val", "test")
    assert found.part("val").counts() == {"a": 2, "b": 2}
    assert {row.name.split("/")[0] for row in found.part("train").rows} == {train}


def test_split_names_may_be_classes_too(tmp_path, cache):
    tree(tmp_path, "train/1.png", "bus/1.png")
    assert read(tmp_path, cache=cache).classes == ("bus", "train")


def test_only_a_test_split_can_be_read(tmp_path, cache):
    tree(tmp_path, "test/a/1.png", "test/b/1.png")
    assert read(tmp_path, cache=cache).splits == ("test",)


def test_junk_is_ignored_and_what_is_no_picture_is_counted(tmp_path, cache):
    tree(tmp_path, "train/a/1.png", "train/b/2.png")
    for junk in (
        ".DS_Store",
        "a/Thumbs.db",
        "a/._1.jpg",
        "a/desktop.ini",
        "a/~$x.docx",
        "__MACOSX/a/1.jpg",
        ".git/HEAD",
    ):
        (tmp_path / "train" / junk).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / junk).write_bytes(b"junk")
    for other in (
        "README.md",
        "train/labels.csv",
        "train/a/notes.txt",
        "train/a/1.png_original",
        "train/loose.jpg",
        "extra/x.png",
        "train/b/0.jpg",
    ):
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).touch()
    found = read(tmp_path, cache=cache)
    assert len(found) == 2
    assert {(item.name, item.reason) for item in found.skipped} == {
        ("README.md", "not a picture"),
        ("train/labels.csv", "not a picture"),
        ("train/a/notes.txt", "not a picture"),
        ("train/a/1.png_original", "not a picture"),
        ("train/loose.jpg", "in no class folder"),
        ("extra/", "beside the split folders, but none itself"),
        ("train/b/0.jpg", "the file is empty"),
    }


def test_an_image_not_found_gif_is_a_file_like_any_other(tmp_path, cache):
    tree(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "imageNotFound.gif").write_bytes(b"GIF89a-not-really")
    found = read(tmp_path, cache=cache)
    assert len(found) == 3
    row = next(row for row in found.rows if row.name.endswith("gif"))
    with pytest.raises(DecodeError):
        EvaluationView(Preprocessing())(row.picture)


def test_loose_pictures_show_the_layouts(tmp_path, cache):
    tree(tmp_path, "1.png", "2.png")
    with pytest.raises(DataError, match="no class folders, but 2 loose files") as caught:
        read(tmp_path, cache=cache)
    assert "DIR/train/<class>" in str(caught.value)
    tree(tmp_path / "s", "train/1.png", "val/2.png")
    with pytest.raises(DataError, match="no class folders"):
        read(tmp_path / "s", cache=cache)


def test_rival_split_folders_are_refused(tmp_path, cache):
    tree(tmp_path, "train/a/1.png", "val/a/1.png", "validation/a/2.png")
    with pytest.raises(DataError, match="two folders for the split 'val'"):
        read(tmp_path, cache=cache)


def test_links_are_followed_and_loops_end(tmp_path, cache):
    tree(tmp_path, "data/a/1.png", "data/b/2.png", "elsewhere/3.png")
    (tmp_path / "data/a/loop").symlink_to(tmp_path / "data")
    (tmp_path / "data/a/self").symlink_to(tmp_path / "data/a")
    (tmp_path / "data/b/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/b/broken.png").symlink_to(tmp_path / "nowhere.png")
    found = read(tmp_path / "data", cache=cache)
    assert "b/more/3.png" in {row.name for row in found.rows}
    assert Skipped("b/broken.png", "there is no such file") in found.skipped
    assert len(found) < 10


def test_names_that_are_no_text_become_text(tmp_path, cache):
    tree(tmp_path, "a/1.png", "b/2.png")
    odd = os.fsencode(tmp_path) + b"/a/\xff\n.png"
    Path(os.fsdecode(odd)).write_bytes(encoded(scene(9, 9)))
    names = [row.name for row in read(tmp_path, cache=cache).rows]
    assert "a/\\xff\n.png" in names
    "".join(names).encode()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_skipped(tmp_path, cache):
    tree(tmp_path, "a/1.png", "b/2.png", "b/closed/3.png")
    (tmp_path / "b/closed").chmod(0)
    try:
        found = read(tmp_path, cache=cache)
    finally:
        (tmp_path / "b/closed").chmod(0o700)
    assert [item.name for item in found.skipped] == ["b/closed/"]


def test_a_place_that_is_not_there_suggests_its_neighbour(tmp_path, cache):
    tree(tmp_path, "pictures/a/1.png")
    with pytest.raises(DataError, match=r"did you mean .*pictures"):
        read(tmp_path / "picture", cache=cache)
    (tmp_path / "x.docx").touch()
    with pytest.raises(DataError, match="no source reads"):
        read(tmp_path / "x.docx", cache=cache)


def _table(path, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8-sig") as out:
        csv.writer(out, delimiter=delimiter).writerows(rows)
    return path


ROWS = [
    ("Image", "Class", "split", "group", "more"),
    ("p/1.png", "a", "train", "x", ""),
    ('p/2,"3.png', "b", "train", "", ""),
]


@pytest.mark.parametrize(("name", "delimiter"), [("t.csv", ","), ("t.csv", ";"), ("t.tsv", "\t")])
def test_tables(tmp_path, cache, name, delimiter):
    tree(tmp_path, "p/1.png", 'p/2,"3.png')
    found = read(_table(tmp_path / name, ROWS, delimiter), cache=cache)
    assert [(row.name, row.labels, row.split, row.group) for row in found.rows] == [
        ("p/1.png", ("a",), "train", "x"),
        ('p/2,"3.png', ("b",), "train", None),
    ]


def test_a_table_with_several_labels(tmp_path, cache):
    tree(tmp_path, "1.png", "2.png")
    found = read(_table(tmp_path / "t.csv", [("path", "label"), ("1.png", "a| b|a"), ("2.png", "b")]), cache=cache)
    assert [row.labels for row in found.rows] == [("a", "b"), ("b",)]
    assert found.multilabel


def test_a_table_without_a_column_says_which_there_are(tmp_path, cache):
    with pytest.raises(DataError, match="no column 'label'") as caught:
        read(_table(tmp_path / "t.csv", [("path", "kind"), ("1.png", "a")]), cache=cache)
    assert "path, kind" in str(caught.value)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match="no column 'path'"):
        read(tmp_path / "empty.csv", cache=cache)


def test_faults_of_a_table_come_together_with_their_rows(tmp_path, cache):
    rows = [
        ("path", "label", "split"),
        ("1.png", "a", "train"),
        ("", "a", ""),
        ("2.png", "", ""),
        ("3.png", "b", "later"),
        ("4",),
    ]
    with pytest.raises(DataError, match="4 rows are wrong") as caught:
        read(_table(tmp_path / "t.csv", rows), cache=cache)
    for part in ("row 3: no path", "row 4: no label", "row 5: 'later' is no split", "row 6 has 1 of 3 columns"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"path,label\n\xff\xfe,a\n", "not in UTF-8"),
        (b"path,label\n" + b"x" * 200_000 + b",a\n", "not one of its 1 pictures is there"),
        (b"path,label\n" + b"x" * (5 << 20) + b",a\n", "a line of more than"),
    ],
)
def test_a_table_that_is_none(tmp_path, cache, content, says):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "t.csv", cache=cache)
    assert says in str(caught.value)[:200]
    assert len(str(caught.value)) < 2000


def test_parquet_with_paths_and_with_bytes(tmp_path, cache):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    tree(tmp_path, "1.png", "2.png")
    data = [(tmp_path / name).read_bytes() for name in ("1.png", "2.png")]
    labels = {"label": [3, 10], "extra": [0, 0]}
    columns = [
        {"path": ["1.png", "2.png"]},
        {"image": data},
        {"image": [{"bytes": data[0], "path": "one"}, {"bytes": None, "path": "2.png"}]},
    ]
    found = []
    for n, column in enumerate(columns):
        pq.write_table(pa.table({**column, **labels}), tmp_path / f"{n}.parquet")
        found.append(read(tmp_path / f"{n}.parquet", cache=cache))
    assert found[0].digests == found[1].digests == found[2].digests
    assert all(manifest.classes == ("3", "10") for manifest in found)
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="not a Parquet file"):
        read(tmp_path / "junk.parquet", cache=cache)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, cache, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").touch()
    with pytest.raises(MissingExtra, match=r"frostline\[parquet\]"):
        read(tmp_path / "t.parquet", cache=cache)


def test_every_source_gives_the_same_pictures(tmp_path, cache):
    import shutil

    names = [f"{split}/{label}/{n}.png" for split in ("train", "val") for label in "ab" for n in (1, 2)]
    tree(tmp_path / "data", *names)
    rows = [("path", "label", "split"), *((name, name.split("/")[1], name.split("/")[0]) for name in names)]
    table = _table(tmp_path / "data" / "t.csv", rows)
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "data")
    shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path, "data")
    expected = facts(read(tmp_path / "data", cache=cache))
    assert len(expected) == 8
    for place in (table, tmp_path / "packed.zip", tmp_path / "packed.tar.gz"):
        assert facts(read(place, cache=cache)) == expected


def test_a_strangers_source_is_asked_before_ours(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(sources, "_things", dict(sources._things))
    tree(tmp_path, "a/1.png", "b/2.png", "list.json")

    @source("listed", claims=lambda place: (place / "list.json").is_file())
    def listed(place):
        yield Row(place / "a/1.png", ("theirs",), name="1")
        yield Row(place / "b/2.png", ("too",), name="2")

    assert read(tmp_path, cache=cache).classes == ("theirs", "too")


def test_the_second_read_knows_the_digests(tmp_path, cache, monkeypatch):
    tree(tmp_path, "a/1.png", "b/2.png")
    for path in tmp_path.rglob("*.png"):
        os.utime(path, (1e9, 1e9))
    monkeypatch.setattr("frostline.data.digests.time.time_ns", lambda: int((time.time() + 60) * 1e9))
    first = read(tmp_path, cache=cache)
    reads = []
    monkeypatch.setattr("hashlib.blake2b", lambda **_: reads.append(1))
    assert read(tmp_path, cache=cache).digests == first.digests
    assert not reads


def test_pictures_from_files_folders_globs_and_stdin(tmp_path, monkeypatch):
    monkeypatch.chdir(tree(tmp_path, "f/2.png", "f/10.png", "f/deep/3.jpg", "one.png", "g/[x].png", "in put.png"))
    (tmp_path / "f/notes.txt").touch()
    given = ["one.png", "f", "g/[[]x*", "g/[x].png", "missing.png", "-"]
    names = [row.name for row in pictures(given, stdin=io.StringIO("in put.png\n\nf/2.png\r\n"))]
    assert names == [
        "one.png",
        *("f/2.png", "f/10.png", "f/deep/3.jpg"),
        *("g/[x].png", "g/[x].png", "missing.png", "in put.png", "f/2.png"),
    ]
    for place, says in (("*.gif", "no file matches"), (str(tmp_path / "f" / "deep2"), "no picture")):
        (tmp_path / "f" / "deep2").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=says):
            pictures(["one.png", place])


def test_stdin_is_read_as_it_comes():
    def lines():
        yield "a.png\n"
        raise AssertionError("read ahead")

    assert next(pictures(["-"], stdin=lines())).name == "a.png"


def test_pairs():
    found = Manifest.of(pairs([scene(4, 4), encoded(scene(5, 5))], [3, "x"]))
    assert [(row.name, row.labels) for row in found.rows] == [("#0", ("3",)), ("#1", ("x",))]
    assert next(pairs(["a/b.png"])).picture == Path("a/b.png")
    with pytest.raises(DataError, match="not as many labels"):
        list(pairs([b"1", b"2"], [1]))


def _real():
    place = os.environ.get("FROSTLINE_TEST_DATA") or Path(__file__).parents[2].parent / "shared" / "data"
    return Path(place) / "hymenoptera_data"


@pytest.mark.skipif(not _real().is_dir(), reason="the ants and bees are not here")
def test_the_ants_and_bees(cache):
    found = read(_real(), cache=cache)
    assert found.classes == ("ants", "bees")
    assert found.splits == ("train", "val")
    assert len(found) >= 390
    found.require_usable()
    view = EvaluationView(Preprocessing())
    shown = [view(row.picture) for row in found.part("val").rows]
    assert all(pixels.shape == (224, 224, 3) for pixels in shown)
    assert 90 < np.mean(shown) < 150
