import io
import os
import tarfile
import time
import zipfile

import pytest

from frostline.data.places.archives import _zip_names, is_archive, unpacked
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import encoded, scene


def _zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members:
            out.writestr(name, data)
    return path


def _tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as out:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def _pack(path, members):
    return _zip(path, members) if path.suffix == ".zip" else _tar(path, members)


def _names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _entries(cache):
    return [path.name for path in (cache / "archives").iterdir()]


PICTURES = [(f"{label}/{n}.png", encoded(scene(9, 9, n))) for n, label in enumerate("aabb")]


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "X.TGZ", "x.tar.bz2", "x.tar.xz"])
@pytest.mark.parametrize("top", ["", "top/", "top/nested folder/"])
def test_archives_are_read_as_the_folder_they_hold(tmp_path, name, top):
    place = tmp_path / name
    members = [(top + member, data) for member, data in PICTURES]
    members += [("__MACOSX/top/._x", b"junk"), (f"{top}.DS_Store", b"junk")]
    if name.endswith("zip"):
        _zip(place, members)
    else:
        kind = {"x.tar": "", "x.tar.bz2": "bz2", "x.tar.xz": "xz"}.get(name, "gz")
        _tar(place, members, f"w:{kind}")
    assert is_archive(place)
    found = read(place, cache=tmp_path / "cache")
    within = top.partition("/")[2]
    assert [row.name for row in found.rows] == [within + name for name, _ in PICTURES]
    assert found.source == str(place)


def test_it_is_unpacked_once(tmp_path):
    place = _zip(tmp_path / "x.zip", PICTURES)
    first = unpacked(place, "digest", tmp_path)
    place.write_bytes(b"never read again")
    assert unpacked(place, "digest", tmp_path) == first
    assert sorted(_entries(tmp_path)) == ["digest", "digest.json"]


EVIL = ["../evil.png", "a/../../evil.png", "/evil.png", "..\\evil.png", "C:\\evil.png", "\\\\host\\evil.png"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("name", EVIL)
def test_members_outside_their_folder_are_refused_and_nothing_is_left(tmp_path, kind, name):
    place = _pack(tmp_path / f"x.{kind}", [*PICTURES, (name, b"evil")])
    with pytest.raises(DataError, match="outside") as caught:
        unpacked(place, "d", tmp_path / "cache")
    assert "\n" not in caught.value.what
    assert _names(tmp_path) == [place.name]
    assert not _entries(tmp_path / "cache")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("a/link.png")
    info.type, info.linkname = kind, "/etc/passwd"
    place = _tar(tmp_path / "x.tar.gz", [*PICTURES, (info, b"")])
    with pytest.raises(DataError, match="link, device"):
        unpacked(place, "d", tmp_path)


def test_links_and_encrypted_members_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = 0o120777 << 16
    with pytest.raises(DataError, match="link"):
        unpacked(_zip(tmp_path / "l.zip", [(link, b"/etc/passwd")]), "d", tmp_path)
    locked = _zip(tmp_path / "e.zip", [("a/1.png", b"x")])
    data = bytearray(locked.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    locked.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        unpacked(locked, "d", tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused_by_what_they_write_not_by_what_they_say(tmp_path, kind):
    place = _pack(tmp_path / f"x.{kind}", [("a/zeros.png", bytes(30_000_000))])
    with pytest.raises(DataError, match="would unpack to more than"):
        unpacked(place, "d", tmp_path / "cache", max_bytes=5_000_000)
    assert not _entries(tmp_path / "cache")


def test_a_ratio_beyond_belief_is_refused_below_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("frostline.data.places.archives._FREE", 1_000_000)
    place = _zip(tmp_path / "x.zip", [("a/zeros.png", bytes(30_000_000))])
    with pytest.raises(DataError, match="would unpack to more than"):
        unpacked(place, "d", tmp_path)


def test_a_giant_tar_header_is_refused(tmp_path):
    info = tarfile.TarInfo("a/1.png")
    info.pax_headers = {"comment": "x" * 20_000_000}
    place = tmp_path / "x.tar.gz"
    with tarfile.open(place, "w:gz", format=tarfile.PAX_FORMAT) as out:
        out.addfile(info, io.BytesIO())
    with pytest.raises(DataError, match="header of"):
        unpacked(place, "d", tmp_path)


@pytest.mark.parametrize("names", [("a/1.png", "a/1.png"), ("a", "a/1.png")])
def test_names_that_collide_are_refused(tmp_path, names):
    place = _tar(tmp_path / "x.tar", [(name, b"x") for name in names], "w")
    with pytest.raises(DataError):
        unpacked(place, "d", tmp_path)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz"])
def test_damaged_archives_are_refused(tmp_path, name):
    place = tmp_path / name
    kind = {"x.tar": "", "x.tar.bz2": "bz2", "x.tar.xz": "xz"}.get(name, "gz")
    if kind == "gz" and name.endswith("zip"):
        _zip(place, PICTURES)
    else:
        _tar(place, PICTURES, f"w:{kind}")
    whole = place.read_bytes()
    for damaged in (whole[: len(whole) // 8], b"not an archive at all" * 50, b""):
        place.write_bytes(damaged)
        with pytest.raises(DataError) as caught:
            unpacked(place, "d", tmp_path / "cache")
        assert caught.value.hint


def test_a_header_damaged_in_the_middle_is_not_the_end(tmp_path):
    place = _tar(tmp_path / "x.tar", PICTURES, "w")
    data = bytearray(place.read_bytes())
    data[1024:1100] = b"\xff" * 76
    place.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        unpacked(place, "d", tmp_path)


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    import errno

    place = _zip(tmp_path / "x.zip", PICTURES)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("frostline.data.places.archives._write", full)
    with pytest.raises(DataError, match="No space left"):
        unpacked(place, "d", tmp_path / "cache")
    assert not _entries(tmp_path / "cache")


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match="nothing can be unpacked there") as caught:
        read(_zip(tmp_path / "x.zip", PICTURES), cache=tmp_path / "cache")
    assert "cache" in str(caught.value.where)


def test_a_faster_process_wins_and_its_folder_is_taken(tmp_path, monkeypatch):
    place = _zip(tmp_path / "x.zip", PICTURES)

    def meanwhile(archive, building, max_bytes):
        (building / "ours").touch()
        (building.parent / "digest").mkdir()
        (building.parent / "digest" / "theirs").touch()
        return {"ours": ""}

    monkeypatch.setattr("frostline.data.places.archives._write", meanwhile)
    assert _names(unpacked(place, "digest", tmp_path)) == ["theirs"]
    assert sorted(_entries(tmp_path)) == ["digest", "digest.json"]


def test_what_a_dead_process_left_is_swept_after_a_day(tmp_path):
    for name, age in (("old", 2e5), ("young", 10)):
        left = tmp_path / "archives" / f".{name}-x"
        left.mkdir(parents=True)
        os.utime(left, (time.time() - age, time.time() - age))
    gone = tmp_path / "archives" / ".gone-x"  # as if another process had removed it in this moment
    gone.symlink_to("nowhere")
    unpacked(_zip(tmp_path / "x.zip", PICTURES), "digest", tmp_path)
    gone.unlink()
    assert sorted(_entries(tmp_path)) == [".young-x", "digest", "digest.json"]


def changes(folder):
    """Ways in which what was unpacked may be changed afterwards."""
    one = sorted(path for path in folder.rglob("*.png"))[0]
    flipped = bytearray(one.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    yield lambda: one.write_bytes(flipped)
    yield lambda: os.truncate(one, 5)
    yield one.unlink
    yield lambda: (one.parent / "another.png").write_bytes(one.read_bytes())
    yield lambda: (one.unlink(), one.symlink_to("/etc/hostname"))
    yield lambda: folder.with_name(f"{folder.name}.json").unlink()
    yield lambda: folder.with_name(f"{folder.name}.json").write_bytes(b"{}")


@pytest.mark.parametrize("number", range(7))
def test_what_was_changed_after_unpacking_is_unpacked_again(tmp_path, number):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("a/1.png", "b/2.png"):
            packed.writestr(name, f"the bytes of {name}".encode() * 10)
    folder = unpacked(archive, "d", tmp_path / "cache")
    inode = (folder / "a/1.png").stat().st_ino
    assert (
        unpacked(archive, "d", tmp_path / "cache") / "a/1.png"
    ).stat().st_ino == inode  # believed, and not made again
    list(changes(folder))[number]()
    again = unpacked(archive, "d", tmp_path / "cache")
    assert {path.relative_to(again).as_posix(): path.read_bytes()[:20] for path in again.rglob("*.png")} == {
        "a/1.png": b"the bytes of a/1.pngthe"[:20],
        "b/2.png": b"the bytes of b/2.pngthe"[:20],
    }
    assert not (again / "a/1.png").is_symlink()
    assert not list((tmp_path / "cache/archives").glob(".*"))


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("content", [b"", b"x"])
def test_an_archive_of_nothing_but_names_is_refused(tmp_path, monkeypatch, kind, content):
    monkeypatch.setattr("frostline.data.places.archives._FEW", 50)
    archive = tmp_path / f"many.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for number in range(400):
                packed.writestr(f"a/{number}.txt", content)
    else:
        with tarfile.open(archive, "w:gz" if kind == "tar.gz" else "w") as packed:
            for number in range(400):
                info = tarfile.TarInfo(f"a/{number}.txt")
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
    if content and kind != "tar.gz":  # 400 files of a byte that take what they take: no bomb
        assert len(list(unpacked(archive, "d", tmp_path / "cache").rglob("*.txt"))) == 400
        return
    with pytest.raises(DataError, match=r"more than [\d,]+ (members|of its members are empty)"):
        unpacked(archive, "d", tmp_path / "cache")
    assert not list((tmp_path / "cache/archives").iterdir())


def _unflagged(path, members, code):
    """A zip whose names are bytes of a code page, without the flag that says UTF-8: as 7-Zip and Windows write it."""
    names = [name.encode(code) for name, _ in members]
    fillers = [chr(ord("A") + number) * len(name) for number, name in enumerate(names)]
    _zip(path, [(filler, data) for filler, (_, data) in zip(fillers, members, strict=True)])
    raw = path.read_bytes()
    for filler, name in zip(fillers, names, strict=True):
        raw = raw.replace(filler.encode(), name)
    path.write_bytes(raw)
    return path


CHINESE = [("蚂蚁/图一.png", encoded(scene(9, 9, 0))), ("蜜蜂类/图二二.png", encoded(scene(9, 9, 1)))]


def test_names_in_utf_8_are_read_without_their_flag(tmp_path):
    found = read(_unflagged(tmp_path / "x.zip", CHINESE, "utf-8"), cache=tmp_path / "cache")
    assert found.classes == ("蚂蚁", "蜜蜂类")
    flagged = read(_zip(tmp_path / "y.zip", CHINESE), cache=tmp_path / "cache")
    assert [row.name for row in flagged.rows] == [row.name for row in found.rows]


@pytest.mark.parametrize(
    ("code", "names"), [("big5", ["螞蟻/圖一.png", "蜜蜂類/圖二二.png"]), ("cp850", ["Käfer/1.png", "Bär/22.png"])]
)
def test_names_in_an_unknown_code_page_are_refused_with_a_hint(tmp_path, code, names):
    place = _unflagged(tmp_path / "x.zip", [(name, encoded(scene(9, 9, 0))) for name in names], code)
    with pytest.raises(DataError, match="code page the names of its 2 members") as caught:
        read(place, cache=tmp_path / "cache")
    assert "unzip -O GBK" in caught.value.hint
    assert not list((tmp_path / "cache").rglob("*.png"))


def test_a_name_that_zipfile_took_from_the_unicode_field_stays(tmp_path):
    info = zipfile.ZipInfo("Σ╜á.png")  # what code page 437 makes of it
    info.filename = "蚂蚁.png"  # as Python 3.12 and newer set it
    assert _zip_names(tmp_path / "x.zip", [info]) == ["蚂蚁.png"]
