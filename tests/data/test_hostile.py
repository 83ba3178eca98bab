"""What a disk, a person or another program can do to us: an error of three parts, or a picture left out by name."""

import errno
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frostline import ImageClassifier
from frostline.data.digests import DigestCache
from frostline.data.loose_pictures import pictures
from frostline.data.manifest import Manifest, Row, Skipped
from frostline.data.sources import read
from frostline.data.split import with_validation
from frostline.errors import CheckpointError, DataError, FrostlineError, StoreError
from frostline.events import Note
from frostline.features.store import Address, Store
from frostline.net.checkpoint_file import read_checkpoint
from frostline.run.run_folder import RunFolder
from tests.data.pictures import encoded, save, scene, tree
from tests.waiting import pipe, pipes, without_waiting

NOBODY = 65534
SMALL: dict[str, Any] = {"model": "test_resnet", "weights": "none", "image_size": 64, "engine": "torch"}


def three_parts(error: FrostlineError) -> bool:
    """A fact on one printable line, a place, and a way out."""
    return bool(error.what.isprintable() and error.what and error.where and error.hint)


def as_nobody(act: Callable[[], str]) -> str:
    """What a function answers to somebody who is not root; root would be let in everywhere."""
    if os.geteuid() != 0:
        return act()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest's may run here, whatever happens
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            try:
                said = act()
            except BaseException as error:
                said = f"raised {type(error).__name__}: {error}"
            os.write(write_end, said.encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(child, 0)
    return said


def refusal(act: Callable[[], object]) -> Callable[[], str]:
    def said() -> str:
        try:
            act()
        except FrostlineError as error:
            return f"{'three parts' if three_parts(error) else 'NOT three parts'}: {error.what}"
        return "no error"

    return said


@pytest.fixture
def open_tmp(tmp_path: Path) -> Path:
    """A folder that nobody may look into, too."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() != "root" or folder in (Path("/"), Path("/tmp")):
            continue
        folder.chmod(0o755)
    return tmp_path


def test_read_only_data_is_read_and_nothing_is_written_beside_it(open_tmp: Path) -> None:
    data = tree(open_tmp / "data", "a/1.png", "a/2.png", "b/3.png", "b/4.png")
    before = sorted(data.rglob("*"))
    for path in [data, *before]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    cache = open_tmp / "cache"
    read(data, cache=cache)
    try:
        said = as_nobody(lambda: f"{len(read(data, cache=data / 'cache'))} pictures")
        assert said == "4 pictures"  # a cache that cannot be written costs time only
    finally:
        for path in [data, *before]:
            path.chmod(0o755)
    assert sorted(data.rglob("*")) == before


@pytest.mark.parametrize("what", ["picture", "class folder", "folder", "above", "table", "parquet", "zip", "shard"])
def test_no_permission_is_said_with_the_place(open_tmp: Path, what: str) -> None:
    data = tree(open_tmp / "data", "a/1.png", "a/2.png", "b/3.png", "b/4.png", "b/closed/5.png")
    (open_tmp / "t.csv").write_text("path,label\ndata/a/1.png,a\ndata/b/3.png,b\n")
    (open_tmp / "t.parquet").write_bytes(b"PAR1")
    with zipfile.ZipFile(open_tmp / "t.zip", "w") as packed:
        packed.writestr("a/1.png", encoded(scene()))
    with tarfile.open(open_tmp / "t.tar", "w") as packed:
        packed.add(data / "a/1.png", "1.png")
    closed, asked = {
        "picture": (data / "a/1.png", data),
        "class folder": (data / "b/closed", data),
        "folder": (data, data),
        "above": (data, data / "a"),
        "table": (open_tmp / "t.csv",) * 2,
        "parquet": (open_tmp / "t.parquet",) * 2,
        "zip": (open_tmp / "t.zip",) * 2,
        "shard": (open_tmp / "t.tar",) * 2,
    }[what]

    def act() -> str:
        if what not in ("picture", "class folder"):
            return refusal(lambda: read(asked, cache=open_tmp / "cache"))()
        return " ".join(f"{item.name}: {item.reason}" for item in read(asked, cache=open_tmp / "cache").skipped)

    act()  # what is imported late is imported now
    closed.chmod(0)
    try:
        said = as_nobody(act)
    finally:
        closed.chmod(0o755)
    if what in ("picture", "class folder"):
        assert (
            said == {"picture": "a/1.png: ", "class folder": "b/closed/: "}[what] + "cannot be read: Permission denied"
        )
    else:
        assert said.startswith("three parts: ")
        assert "Permission denied" in said


def test_weights_without_permission(open_tmp: Path) -> None:
    path = open_tmp / "w.pth"
    path.write_bytes(b"PK\x03\x04")
    path.chmod(0)
    said = as_nobody(refusal(lambda: read_checkpoint(path)))
    assert said == "three parts: the weights file cannot be read: Permission denied"


def test_a_picture_that_goes_away_while_the_folder_is_read_is_named(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", "a/1.png", "a/2.png", "b/3.png", "b/4.png")

    class Racing(DigestCache):
        def __call__(self, picture: Any) -> str:
            (data / "a/2.png").unlink(missing_ok=True)
            return super().__call__(picture)

    with Racing(tmp_path / "d.sqlite") as digest:
        found = read(data, digest=digest)
    assert found.skipped == (Skipped("a/2.png", "there is no such file"),)
    assert len(found) == 3


def test_a_folder_that_goes_away_while_it_is_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tree(tmp_path / "data", "a/1.png", "b/3.png", "b/in/4.png")
    scandir = os.scandir

    def racing(place: Any) -> Any:
        if str(place).endswith("in"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", racing)
    found = read(data, cache=tmp_path / "cache")
    assert found.skipped == (Skipped("b/in/", "cannot be read: No such file or directory", 0),)


def test_pictures_that_change_or_go_between_reading_and_learning(leaves: Path, tmp_path: Path) -> None:
    import shutil

    data = Path(shutil.copytree(leaves, tmp_path / "leaves"))
    gone, cut = sorted((data / "train").rglob("*.png"))[:2]

    def listen(event: object) -> None:
        if isinstance(event, Note) and gone.exists():  # the first thing that is said, before any picture is decoded
            gone.unlink()
            cut.write_bytes(cut.read_bytes()[:40])

    found = ImageClassifier(**SMALL, strategy="probe", out=tmp_path / "run", store_limit="1GB").fit(data, listen=listen)
    names = {Path(item.name).name: item.reason for item in found.result_.skipped}
    assert set(names) == {gone.name, cut.name} or found.result_.counts["train"] == 46
    assert found.result_.counts["train"] == 46


def test_names_with_newlines_and_control_characters_stay_on_one_line(tmp_path: Path) -> None:
    tree(tmp_path / "data", "a\n\x1b[31mred/1.png", "b/2\r\n.png", "b/3.png")
    (tmp_path / "data/b/4\n\x1b]0;x\x07.png").touch()
    found = read(tmp_path / "data", cache=tmp_path / "cache")
    assert len(found) == 3
    with pytest.raises(DataError) as caught:
        found.require_usable(5)
    assert caught.value.what.isprintable()
    with pytest.raises(DataError) as caught:
        read(tmp_path / "data\n\x1b[2J", cache=tmp_path / "cache")
    assert three_parts(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.isprintable()


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["y" * 200] * 30), "nul\0byte"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / name, cache=tmp_path / "cache")
    assert three_parts(caught.value)
    tree(tmp_path, "1.png", "2.png")
    if "\0" not in name:
        (tmp_path / "t.csv").write_text(f"path,label\n1.png,a\n2.png,b\n{name}.png,b\n")
        found = read(tmp_path / "t.csv", cache=tmp_path / "cache")
        assert [item.reason for item in found.skipped] == ["cannot be read: File name too long"]
    (row,) = pictures([name])
    assert Manifest.of([row, Row(tmp_path / "1.png", name="1")], classes=()).skipped


def test_a_path_of_300_characters_is_read(tmp_path: Path) -> None:
    inner = "/".join(["deep" * 15] * 5)
    place = tree(tmp_path / "data", f"a/{inner}/1.png", "b/2.png")
    found = read(place, cache=tmp_path / "cache")
    assert max(len(row.name) for row in found.rows) > 300
    assert len(found) == 2


def test_classes_and_files_that_differ_only_by_case_stay_apart_on_disk(tmp_path: Path) -> None:
    tree(tmp_path / "data", "Ant/1.png", "ant/1.png", "ant/1.PNG")
    if len(list((tmp_path / "data").iterdir())) == 1:
        pytest.skip("this file system knows no case")
    found = read(tmp_path / "data", cache=tmp_path / "cache")
    assert found.classes == ("Ant", "ant")
    assert len(found) == 3


def test_loops_of_links_end_and_a_link_to_itself_is_named(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", "a/1.png", "b/2.png")
    (data / "a/up").symlink_to(data)
    (data / "b/self.png").symlink_to(data / "b/self.png")
    (data / "b/one").symlink_to(data / "b/two")
    (data / "b/two").symlink_to(data / "b/one")
    found = read(data, cache=tmp_path / "cache")
    reasons = {item.name: item.reason for item in found.skipped}
    assert reasons["b/self.png"] == "cannot be read: Too many levels of symbolic links"
    assert "b/2.png" in {row.name for row in found.rows}
    assert len({row.digest for row in found.rows}) == 2


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_the_store_with_a_way_out_and_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Store(tmp_path, limit=10**9).shelf(Address("p", "v", "torch", "fp32"))
    shelf.write(["1"], np.ones((1, 4), np.float32))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="the disk is full") as caught:
        shelf.write(["2"], np.ones((1, 4), np.float32))
    assert three_parts(caught.value)
    monkeypatch.undo()
    assert list(Store(tmp_path, limit=10**9).shelf(Address("p", "v", "torch", "fp32")).missing(["1", "2"])) == ["2"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_stops_a_run_at_its_log(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    record = RunFolder(tmp_path)
    record.open(resume=False, overwrite=True)
    with pytest.raises(CheckpointError, match="the disk is full") as caught:
        record.log(Note("something"))
    assert three_parts(caught.value)
    record.close()


def test_a_run_is_refused_where_nothing_can_be_written(leaves: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written: Not a directory") as caught:
        ImageClassifier(**SMALL, strategy="probe", out=tmp_path / "file" / "run").fit(leaves)
    assert three_parts(caught.value)


def test_a_full_disk_costs_remembered_digests_only(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    (tmp_path / "cache").touch()  # no folder can be made there
    with DigestCache(tmp_path / "cache" / "d.sqlite") as digest:
        assert len(digest(tmp_path / "1.png")) == 32


def test_duplicates_of_one_picture_under_many_names_stay_together(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", *(f"{name}/{n}.png" for name in "ab" for n in range(10)))
    for n in range(5):
        (data / f"a/copy{n}.png").hardlink_to(data / "a/0.png")
    found = with_validation(read(data, cache=tmp_path / "cache"), share=0.4)
    same = next(row.digest for row in found.rows if row.name == "a/0.png")
    assert len({row.split for row in found.rows if row.digest == same}) == 1


@pytest.mark.parametrize("name", ["a/x.jpg", "table.csv", "data.zip"])
def test_a_sparse_giant_is_refused_before_it_is_read(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    with place.open("wb") as file:
        file.truncate(1 << 40)
    asked = place if name != "a/x.jpg" else tree(tmp_path, "a/1.png", "b/2.png")
    if name == "a/x.jpg":
        skipped = read(asked, cache=tmp_path / "cache").skipped
        assert [item.name.endswith("x.jpg") and "sparse" in item.reason for item in skipped] == [True]
    else:
        with pytest.raises(DataError, match="sparse"):
            read(asked, cache=tmp_path / "cache")


def test_a_table_of_one_endless_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"path,label\n" + b"x" * (5 << 20))
    with pytest.raises(DataError, match=r"a line of more than|field larger than"):
        read(tmp_path / "t.csv", cache=tmp_path / "cache")


TABLES = ("labels.csv", "train.tsv", "train.txt", "metadata.jsonl", "a.parquet", "a.npz", "a.json", "a.tar", "a.zip")


@pipes
@pytest.mark.parametrize("link", [False, True], ids=["pipe", "device"])
def test_a_pipe_or_device_in_place_of_a_table_is_not_waited_for(tmp_path, link):
    top = tree(tmp_path / "data", "a/0.png", "a/1.png", "b/0.png", "b/1.png")
    for name in TABLES:
        if link:
            (top / name).symlink_to("/dev/zero")
        else:
            pipe(top / name)
    with without_waiting():
        found = read(top, cache=tmp_path / "cache")
        assert len(found) == 4
        left = {skipped.name: skipped.reason for skipped in found.skipped}
        assert left == dict.fromkeys(TABLES, "not an ordinary file")
        for name in TABLES:
            with pytest.raises(DataError, match="not an ordinary file") as caught:
                read(top / name, cache=tmp_path / "cache")
            assert three_parts(caught.value)
        for name in ("a.tar", "a.parquet"):
            with pytest.raises(DataError, match="not an ordinary file"):
                list(pictures([str(top / name)]))


@pipes
def test_a_pipe_in_a_data_set_of_hugging_face_is_not_waited_for(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"label": [0, 1]}).save_to_disk(tmp_path / "set")
    pipe(next((tmp_path / "set").glob("*.arrow")))
    with without_waiting(), pytest.raises(DataError, match="not an ordinary file"):
        read(tmp_path / "set", cache=tmp_path / "cache")
