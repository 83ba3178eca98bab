"""Data elsewhere: fsspec's memory, and a server on this machine that fails as servers do."""

import http.server
import sys
import threading
from collections import Counter

import numpy as np
import pytest

from frostline.data.decode import decode
from frostline.data.loose_pictures import pictures
from frostline.data.places import reach, remote
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError, MissingExtra
from tests.data.pictures import encoded, scene

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def put(system, *paths):
    for seed, path in enumerate(paths):
        system.pipe(path, encoded(scene(24, 16, seed)))


class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.failing, self.moved = {}, Counter(), {}, {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked[path] += 1
        if self.server.failing.get(path, 0) > 0:
            self.server.failing[path] -= 1
            return self.send_error(503)
        if path in self.server.moved:
            self.send_response(302)
            self.send_header("Location", self.server.moved[path])
            return self.end_headers()
        content = self.server.files.get(path)
        if content is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return self.wfile.write(content)

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote, "_WAIT", 0.01)
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket/a", "s3://bucket/a"),
        ("s3:/bucket/a", "s3://bucket/a"),
        ("HTTPS://host/a.zip", "https://host/a.zip"),
        ("C:/data", None),
        ("file:///etc/passwd", None),
        ("github://a/b", None),
        ("memory://a::s3://b", "memory://a::s3://b"),
        ("photos", None),
    ],
)
def test_which_texts_are_urls(text, url):
    assert remote.url_of(text) == url


def test_a_folder_elsewhere_is_read_as_one_here(memory, tmp_path):
    put(memory, "/d/train/ants/0.png", "/d/train/bees/1.png", "/d/val/ants/2.png", "/d/val/bees/3.png")
    found = read("memory://d", cache=tmp_path)
    assert [(row.split, row.labels[0]) for row in found.rows] == [
        ("train", "ants"), ("train", "bees"), ("val", "ants"), ("val", "bees"),
    ]  # fmt: skip
    assert np.array_equal(decode(found.rows[2].picture).rgb, scene(24, 16, 2))
    memory.store.clear()
    assert len(list((tmp_path / "remote" / "files").iterdir())) == 4


def test_a_table_elsewhere_fetches_the_pictures_that_it_names(memory, tmp_path):
    put(memory, "/d/img/0.png", "/d/img/1.png")
    memory.pipe("/d/t.csv", b"path,label\nimg/0.png,a\nimg/1.png,b\nimg/gone.png,b\n")
    found = read("memory://d/t.csv", cache=tmp_path)
    assert [row.labels for row in found.rows] == [("a",), ("b",)]
    assert [np.array_equal(decode(row.picture).rgb, scene(24, 16, n)) for n, row in enumerate(found.rows)] == [True] * 2
    assert "at memory://" in found.summary()
    (lost,) = found.skipped
    assert lost.reason == "there is no such file"


def test_a_table_of_urls_is_fetched_once_and_kept_by_content(server, tmp_path):
    server.files = {f"/{n}.png": encoded(scene(24, 16, n % 2)) for n in range(4)}  # two contents, four addresses
    rows = "".join(f"{server.url}/{n}.png?size=full,{'ab'[n % 2]}\n" for n in range(4))
    (tmp_path / "t.csv").write_text("image_url,label\n" + rows)
    found = read(tmp_path / "t.csv", cache=tmp_path / "cache")
    assert found.counts() == {"a": 2, "b": 2}
    assert np.array_equal(decode(found.rows[3].picture).rgb, scene(24, 16, 1))
    assert len(list((tmp_path / "cache" / "remote" / "files").iterdir())) == 2
    asked = sum(server.asked.values())
    server.files.clear()
    assert len(read(tmp_path / "t.csv", cache=tmp_path / "cache")) == 4
    assert sum(server.asked.values()) == asked


def test_what_fails_for_a_moment_is_tried_again_and_what_is_gone_is_not(server, tmp_path):
    server.files = {"/0.png": encoded(scene(24, 16))}
    server.failing = {"/0.png": 4}  # each try asks up to three times: twice for the size, and for the file
    assert remote.fetch(f"{server.url}/0.png", tmp_path).read_bytes() == server.files["/0.png"]
    assert server.asked["/0.png"] > 4
    with pytest.raises(DataError, match="there is no such file"):
        remote.fetch(f"{server.url}/gone.png", tmp_path)
    assert server.asked["/gone.png"] <= 3
    server.files["/1.png"], server.failing["/1.png"] = b"x", 99
    with pytest.raises(DataError, match="cannot be fetched after 3 tries"):
        remote.fetch(f"{server.url}/1.png", tmp_path)


def test_what_is_too_large_is_refused_and_leaves_nothing(memory, tmp_path):
    memory.pipe("/big.png", b"x" * 3_000_000)
    with pytest.raises(DataError, match="more than the limit of 2,000,000 bytes"):
        remote.fetch("memory://big.png", tmp_path, largest=2_000_000)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_archive_elsewhere(server, tmp_path):
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for seed, name in enumerate(("ants/0.png", "ants/1.png", "bees/0.png", "bees/1.png")):
            archive.writestr(name, encoded(scene(24, 16, seed)))
    server.files = {"/d.zip": packed.getvalue()}
    assert read(f"{server.url}/d.zip", cache=tmp_path).counts() == {"ants": 2, "bees": 2}


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    (tmp_path / "t.csv").write_text("image,label\ns3://bucket/0.png,a\ns3://bucket/1.png,b\n")
    with pytest.raises(MissingExtra, match="s3fs") as caught:
        read(tmp_path / "t.csv", cache=tmp_path / "cache")
    assert "frostline[remote]" in str(caught.value)


def test_a_page_of_the_web_is_no_folder(server, tmp_path):
    with pytest.raises(DataError, match="no folder") as caught:
        read(f"{server.url}/photos/", cache=tmp_path)
    assert ".zip" in str(caught.value)


def test_urls_of_other_kinds_and_mixtures_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("image,label\ngithub://a/0.png,a\nhttp://host/1.png,b\n")
    with pytest.raises(DataError, match="not fetched"):
        read(tmp_path / "t.csv", cache=tmp_path / "cache")
    (tmp_path / "t.csv").write_text("image,label\n0.png,a\nhttp://host/1.png,b\n")
    with pytest.raises(DataError, match="some pictures are URLs"):
        read(tmp_path / "t.csv", cache=tmp_path / "cache")


def test_images_may_be_elsewhere(memory, tmp_path):
    put(memory, "/img/0.png", "/img/1.png")
    (tmp_path / "t.csv").write_text("id,label\n0,a\n1,b\n")
    how = PlaceOptions(images="memory://img", suffix=".png")
    assert read(tmp_path / "t.csv", how=how, cache=tmp_path / "cache").counts() == {"a": 1, "b": 1}


def test_a_path_that_leaves_its_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no path within the folder"):
        remote._within("/d/../../etc/passwd", "/d", "memory://d")


def test_pictures_to_predict_may_be_elsewhere(memory, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    put(memory, "/0.png")
    (row,) = pictures(["memory://0.png"])
    assert row.name == "memory://0.png"
    assert np.array_equal(decode(row.picture).rgb, scene(24, 16, 0))


@pytest.mark.parametrize(
    ("host", "inner"),
    [
        ("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("10.1.2.3", True), ("192.168.1.1", True),
        ("169.254.169.254", True), ("[fe80::1]", True), ("[fd00:ec2::254]", True), ("[::ffff:127.0.0.1]", True),
        ("0.0.0.0", True), ("2130706433", True), ("0x7f.1", True), ("127.1", True), ("[2002:7f00:1::]", True),
        ("8.8.8.8", False), ("[2606:4700::1111]", False), ("no.such.host.invalid", False),
    ],
)  # fmt: skip
def test_which_hosts_are_of_this_network(host, inner):
    assert reach.inward(f"http://user:pass@{host}:80/x.png") == inner
    assert not reach.inward(f"s3://{host}/x.png")


@pytest.fixture
def outside(server, monkeypatch):
    """The server again, by a name that passes for a public host's, which is asked by its true address."""
    monkeypatch.setattr(reach, "_inner", lambda host: host != "localhost")
    return f"http://localhost:{server.server_address[1]}"


def test_a_public_host_leads_nowhere_into_this_network(server, outside, tmp_path):
    """Whether by a redirect or by what a name server says: the address of each connection counts."""
    server.files = {"/0.png": encoded(scene(24, 16))}
    with pytest.raises(DataError, match="address of this network"):
        remote.fetch(f"{outside}/0.png", tmp_path)
    assert not server.asked


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest", "http://[fe80::1]/x", "file:///etc/passwd", "ftp://h/x"]
)
def test_redirects_to_link_local_addresses_and_files_are_not_followed(server, tmp_path, to):
    server.moved = {"/0.png": to}
    with pytest.raises(DataError, match="address of this network" if to.startswith("http") else "cannot be fetched"):
        remote.fetch(f"{server.url}/0.png", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_row_of_this_network_among_public_ones_is_left_out(server, memory, tmp_path, monkeypatch):
    put(memory, "/0.png", "/1.png")
    server.files = {"/own.png": encoded(scene(24, 16))}
    rows = f"memory://0.png,a\nmemory://1.png,b\n{server.url}/own.png,a\n"
    (tmp_path / "t.csv").write_text("image,label\n" + rows)
    found = read(tmp_path / "t.csv", cache=tmp_path / "cache")
    assert found.counts() == {"a": 1, "b": 1}
    assert "of this network" in found.skipped[0].reason
    assert not server.asked


@pytest.mark.parametrize(
    "name",
    ["/etc/hosts", "file:///etc/hosts", "simplecache::file:///etc/hosts", "memory://x::file:///etc/hosts", "~/x"],
)
def test_what_stands_for_a_local_file_among_urls_is_no_url(memory, tmp_path, name):
    with pytest.raises(DataError):
        remote.fetch(remote.joined("", name), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
