"""Model folders to and from the Hugging Face hub: one commit, its own files only, private by default.

Who you are is the hub's own business (`hf auth login`, HF_TOKEN); nothing here reads or keeps a token.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.data.cache_folder import expanded
from frostline.errors import CheckpointError, first_line, one_line
from frostline.ship import atomic_folder
from frostline.ship import model_info as _about
from frostline.ship.file_names import ABOUT, ALL, CARD

_AGAIN = "copy the folder again from where it came, or fit the model again"
_NETWORK = "is there a network? behind a proxy, set HTTPS_PROXY; HF_ENDPOINT names a mirror of the hub"
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN; is the name OWNER/NAME right?"


@dataclass(frozen=True)
class File:
    """name: in the folder and in the repository. bytes: its size. sha256: its digest, in hex."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class HubUpload:
    """What a push sends, and where to.

    folder: the model folder. repo: OWNER/NAME. endpoint: the hub. private: what a new repository will be.
    """

    folder: Path
    repo: str
    endpoint: str
    private: bool
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(file.bytes for file in self.files)


def parcel(model: Path, repo: str, *, private: bool = True) -> HubUpload:
    """What would be sent. Every file is compared with the digest that the folder states; nothing is asked of anybody.

    Raises: CheckpointError: the model folder is damaged, or the repository's name is none.
    """
    folder = _about.located(model)
    about = _about.read(folder)
    card = (CARD,) if (folder / CARD).exists() else ()
    names = tuple(name for name in (*about.files, ABOUT, *card) if _plain(folder, name))
    _about.check_files(folder, about, tuple(about.files))
    files = tuple(File(name, (folder / name).stat().st_size, _about.digest(folder / name)) for name in names)
    hub = _hub()
    with _hubs_errors(repo):
        hub.utils.validate_repo_id(repo)
    return HubUpload(folder, repo, hub.constants.ENDPOINT, private, files)


def push(sending: HubUpload) -> str:
    """Send a parcel as one commit, making the repository if there is none. Returns the commit's address.

    Raises: CheckpointError: the hub refuses it or cannot be reached, or the repository is public and a private one was
        asked for (nothing is sent then).
    """
    hub = _hub()
    with _hubs_errors(sending.repo):
        api = hub.HfApi()
        api.create_repo(sending.repo, private=sending.private, exist_ok=True)
        if sending.private and not api.model_info(sending.repo).private:
            raise CheckpointError(
                "the repository is public, and everybody could read the model",
                where=sending.repo,
                hint="--public if that is meant; else name another repository",
            )
        operations = [
            hub.CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=sending.folder / file.name)
            for file in sending.files
        ]
        commit = api.create_commit(sending.repo, operations, commit_message="A model folder of frostline")
    return str(commit.commit_url)


def pull(repo: str, *, out: Path | None = None, revision: str | None = None) -> Path:
    """Fetch a model folder and compare every file with the digest that it states, before it gets its place.

    out: where; None is the repository's name. revision: a branch, tag or commit.

    Raises: CheckpointError: the hub cannot be reached or has no such repository, what is there is no model folder, or a
        digest differs.
    """
    hub = _hub()
    out = expanded(out or repo.rsplit("/", 1)[-1]).resolve()
    atomic_folder.check(out, ALL)
    with _hubs_errors(repo):
        hub.utils.validate_repo_id(repo)
        fetched = Path(hub.snapshot_download(repo, revision=revision, allow_patterns=list(ALL)))
    with atomic_folder.whole(out) as made:
        for name in ALL:
            if (fetched / name).is_file():
                shutil.copyfile(fetched / name, made / name)
        try:
            about = _about.read(made)
            strange = sorted(set(about.files) - set(ALL))
            if strange:
                raise CheckpointError(f"it states files that this version does not know: {one_line(strange[0])[:80]}")
            _about.check_files(made, about, tuple(about.files))
        except CheckpointError as error:
            raise CheckpointError(
                error.what, where=repo, hint="it was not pushed by frostline, or is damaged"
            ) from None
    return out


def _plain(folder: Path, name: str) -> bool:
    """Whether a name is a model folder's file, and lies in this one: a description may be anybody's, and a link in it
    may lead to what was never to be sent.

    Raises: CheckpointError: it is not.
    """
    path = folder / name
    if name not in ALL or path.is_symlink() or not path.is_file():
        raise CheckpointError(f"{one_line(name)[:80]!r} is no file in the folder", where=folder, hint=_AGAIN)
    return True


def _hub() -> Any:
    import huggingface_hub
    from huggingface_hub import constants, utils  # noqa: F401

    constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


@contextmanager
def _hubs_errors(repo: str) -> Iterator[None]:
    """Errors of the hub and of the network below it, as ours."""
    from huggingface_hub import errors

    try:
        yield
    except CheckpointError:
        raise
    except errors.HFValidationError:
        raise CheckpointError(f"{one_line(repo)[:100]!r} names no repository", hint="write OWNER/NAME") from None
    except errors.OfflineModeIsEnabled:
        raise CheckpointError(
            "HF_HUB_OFFLINE is set, so nothing is sent or fetched", where=repo, hint="unset it; --dry-run works without"
        ) from None
    except Exception as error:  # HTTP, TLS, sockets, tokens: each library below has its own kinds
        said = first_line(error, 300)
        answered = getattr(error, "response", None) is not None or isinstance(error, errors.LocalTokenNotFoundError)
        hint = _LOGIN if answered else _NETWORK
        raise CheckpointError(f"the hub does not do it: {said}", where=one_line(repo), hint=hint) from None
