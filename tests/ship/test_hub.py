"""To the hub and back, against a hub of our own that keeps its repositories in a folder."""

import json
import socket
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import ModelCard

from frostline.errors import CheckpointError
from frostline.judge.intervals import wilson
from frostline.ship import hub
from frostline.ship.model_info import digest, read
from tests.ship.conftest import saved


@pytest.fixture
def model(tmp_path):
    value = {"value": wilson(9, 10).value, "low": wilson(9, 10).low, "high": wilson(9, 10).high, "n": 10}
    place, _ = saved(tmp_path / "run" / "model", metrics={"val": {"n": 10, "accuracy": value, "macro_f1": value}})
    return place


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The fake hub's folder; `kept.commits` counts."""
    top = tmp_path / "hub"
    state = SimpleNamespace(top=top, private={}, commits=0)

    class Api:
        def create_repo(self, repo, *, private, exist_ok):
            assert exist_ok
            (top / repo).mkdir(parents=True, exist_ok=True)
            state.private.setdefault(repo, private)

        def model_info(self, repo):
            return SimpleNamespace(private=state.private[repo])

        def create_commit(self, repo, operations, *, commit_message):
            for operation in operations:
                (top / repo / operation.path_in_repo).write_bytes(operation.path_or_fileobj.read_bytes())
            state.commits += 1
            return SimpleNamespace(commit_url=f"https://hub.example/{repo}/commit/{state.commits}")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(
        huggingface_hub, "CommitOperationAdd", lambda path_in_repo, path_or_fileobj: SimpleNamespace(**locals())
    )
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, *, revision, allow_patterns: str(top / repo))
    return state


def test_a_parcel_is_exactly_the_folders_own_files_and_needs_no_network(model, monkeypatch):
    def refuse(*_):
        raise AssertionError("a dry run asks nobody")

    monkeypatch.setattr(socket, "socket", refuse)
    (model / "secrets.txt").write_text("not the model's")
    sending = hub.parcel(model.parent, "me/leaves")
    assert sending.private
    assert {file.name for file in sending.files} == {
        "model.safetensors", "config.json", "graph.xml", "graph.bin", "frostline.json", "README.md",
    }  # fmt: skip
    for file in sending.files:
        assert (file.bytes, file.sha256) == ((model / file.name).stat().st_size, digest(model / file.name))
    assert sending.bytes == sum(file.bytes for file in sending.files)


def test_push_then_pull_gives_the_same_folder(model, kept, tmp_path):
    url = hub.push(hub.parcel(model, "me/leaves"))
    assert url == "https://hub.example/me/leaves/commit/1"
    assert kept.private == {"me/leaves": True}
    found = hub.pull("me/leaves", out=tmp_path / "pulled")
    assert {p.name: p.read_bytes() for p in found.iterdir()} == {p.name: p.read_bytes() for p in model.iterdir()}


def test_a_public_repository_takes_no_private_model(model, kept):
    hub.push(hub.parcel(model, "me/leaves", private=False))
    assert kept.private == {"me/leaves": False}
    with pytest.raises(CheckpointError, match="public") as caught:
        hub.push(hub.parcel(model, "me/leaves"))
    assert "--public" in caught.value.hint
    assert kept.commits == 1


@pytest.mark.parametrize("name", ["model.safetensors", "graph.bin", "config.json"])
def test_what_was_changed_on_the_way_is_refused_and_leaves_nothing(model, kept, tmp_path, name):
    hub.push(hub.parcel(model, "me/leaves"))
    path = kept.top / "me/leaves" / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match="SHA-256 differs") as caught:
        hub.pull("me/leaves", out=tmp_path / "pulled")
    assert caught.value.where == "me/leaves"
    assert not (tmp_path / "pulled").exists()


def test_files_outside_the_folder_are_never_sent_or_fetched(model, kept, tmp_path):
    stated = json.loads((model / "frostline.json").read_text())
    (tmp_path / "run" / "diary.txt").write_text("mine")
    stated["files"]["../diary.txt"] = {"sha256": digest(tmp_path / "run" / "diary.txt"), "bytes": 4}
    (model / "frostline.json").write_text(json.dumps(stated))
    with pytest.raises(CheckpointError, match="is no file in the folder"):
        hub.parcel(model, "me/leaves")
    (kept.top / "me/leaves").mkdir(parents=True)
    for path in model.iterdir():
        (kept.top / "me/leaves" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(CheckpointError, match="files that this version does not know"):
        hub.pull("me/leaves", out=tmp_path / "pulled")


@pytest.mark.parametrize("name", ["README.md", "frostline.json", "config.json", "model.safetensors"])
def test_a_link_in_a_folder_sends_nothing_from_elsewhere(model, tmp_path, name):
    (tmp_path / "secret").write_bytes((model / name).read_bytes())
    (model / name).unlink()
    (model / name).symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointError, match="is no file in the folder") as caught:
        hub.parcel(model, "me/leaves")
    assert caught.value.hint


def test_a_repository_without_a_model_of_ours_says_so(kept, tmp_path):
    (kept.top / "me/other").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"no frostline\.json") as caught:
        hub.pull("me/other", out=tmp_path / "pulled")
    assert caught.value.where == "me/other"


def _unreachable(*_, **__):
    raise OSError(-2, "Name or service not known")


def test_the_hubs_own_errors_become_ours(model, monkeypatch):
    class Api:
        def create_repo(self, *_, **__):
            raise huggingface_hub.errors.LocalTokenNotFoundError("Token is required, but no token found.")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    with pytest.raises(CheckpointError, match="no token found") as caught:
        hub.push(hub.parcel(model, "me/leaves"))
    assert "hf auth login" in caught.value.hint
    monkeypatch.setattr(Api, "create_repo", _unreachable)
    with pytest.raises(CheckpointError, match="Name or service not known") as caught:
        hub.push(hub.parcel(model, "me/leaves"))
    assert "is there a network?" in caught.value.hint  # and not whether the name is right
    with pytest.raises(CheckpointError, match="names no repository"):
        hub.parcel(model, "me/leaves/too/deep")


def test_the_card_is_read_by_the_hub_as_measured_results(model):
    card = ModelCard((model / "README.md").read_text())
    results = {(result.metric_type, result.dataset_split): result for result in card.data.eval_results}
    assert results["accuracy", "val"].metric_value == pytest.approx(0.9)
    assert set(results) == {("accuracy", "val"), ("f1", "val")}
    assert card.data.model_name == read(model).name
    assert card.data.pipeline_tag == "image-classification"
