"""OpenVINO, imported so that it tells nobody. torch-free, as `ship.runtime` needs it."""

import sys
from importlib.util import find_spec
from typing import Any

from frostline.errors import EngineError


def openvino() -> Any:
    """The module ``openvino``, its telemetry off.

    Merely importing it reports to its makers, unless a file in the user's home forbids it. With ``openvino_telemetry``
    out of reach it falls back to a stub of its own that sends nothing.

    Raises: EngineError: it is not installed, or its libraries cannot be loaded.
    """
    if find_spec("openvino") is None:
        raise EngineError("OpenVINO is not installed", hint="pip install openvino, or --engine torch")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # what import takes as "there is no such module"
    try:
        import openvino as module
    except ImportError as error:
        raise EngineError(f"OpenVINO cannot be imported: {error}", hint="reinstall it, or --engine torch") from None
    return module
