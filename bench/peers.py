"""The peers' own environment, and the one trunk that everybody starts from.

The environment also sees what is installed beside frostline, so that torch (gigabytes) lies on the disk once and all
contestants run on the same one. Nothing is installed into frostline's own environment.
"""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".bench-peers"
WANTED = Path(__file__).with_name("peers.txt")
TRUNK = "tf_efficientnet_lite0"
_SAVE_TRUNK = """
import sys
from pathlib import Path

from frostline.net import zoo
from frostline.ship.model_info import ModelInfo
from frostline.ship.folder import save

name, folder = sys.argv[1:]
classes = tuple(f"class {number}" for number in range(1000))
backbone = zoo.build(name, classes=len(classes))
about = ModelInfo(name=name, classes=classes, preprocessing=backbone.preprocessing)
save(Path(folder), backbone.net, about, graph=False)
"""
PACKAGES = ("torch", "torchvision", "timm", "fastai", "transformers", "scikit-learn", "openvino", "numpy", "pillow")


def python() -> Path:
    """The interpreter of the peers' environment, which is made if it is not there or wants other packages."""
    found = PLACE / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = PLACE / "ready"
    if ready.exists() and ready.read_text() == WANTED.read_text():
        return found
    subprocess.check_call([sys.executable, "-m", "venv", PLACE])
    site = subprocess.check_output(
        [found, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True
    )
    (Path(site.strip()) / "beside.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    subprocess.check_call([found, "-m", "pip", "install", "--quiet", "-r", WANTED], stdout=sys.stderr)
    ready.write_text(WANTED.read_text())
    return found


def trunk(work: Path, name: str = TRUNK) -> Path:
    """A pretrained backbone as a folder that timm and transformers open (``local-dir:``), by frostline's loader."""
    folder = work / ("trunk" if name == TRUNK else f"trunk-{name}")
    if not (folder / "model.safetensors").is_file():
        # In a process of its own: what this one has in memory would be counted as every contestant's (see `runner`).
        subprocess.check_call([sys.executable, "-c", _SAVE_TRUNK, name, folder])
    return folder


def versions(interpreter: Path) -> dict[str, str]:
    """Versions of what takes part, as the peers' environment sees them."""
    asks = (
        "import importlib.metadata as m, json, sys\n"
        "found = {}\n"
        "for name in sys.argv[1:]:\n"
        "    try: found[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    found: dict[str, str] = json.loads(subprocess.check_output([interpreter, "-c", asks, *PACKAGES], text=True))
    return found


def known_versions() -> dict[str, str]:
    """``versions`` if the environment has been made, else none."""
    found = PLACE / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    return versions(found) if found.exists() else {}
