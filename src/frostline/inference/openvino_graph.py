"""The graph of a model folder, which somebody else may have made: read as OpenVINO's own form and as nothing else, and
refused before it is compiled if it could take memory or time without bound.

A graph is a program. Its constants may grow when they are folded, its tensors when it runs, a loop need not end, and
its answer to a picture may be drawn at random or tell of the one before; what OpenVINO makes of a network that was
traced has sizes that follow from those of its input, no loops, no memory and no chance.
"""

from math import prod
from pathlib import Path
from typing import Any

from frostline.errors import CheckpointError, one_line
from frostline.inference.openvino_import import openvino

_LONGEST = 256 << 20
_MOST_OPERATIONS = 200_000
_REFUSED = {
    **dict.fromkeys(("Loop", "TensorIterator", "If", "While"), "has a loop"),
    **dict.fromkeys(("ReadValue", "Assign"), "remembers earlier pictures"),
    **dict.fromkeys(("RandomUniform", "Multinomial"), "draws random numbers"),
}
_SMALL, _LARGEST = 256 << 20, 4 << 30
_A_PIXEL = 4096  # bytes of a tensor: VGG's and RegNet's largest have 250 and 1,500
_GROWTH = 4  # of constants, against the file that holds them
_SAFE = "use a folder that you trust, --engine torch, or fit the model again"


def bounded(path: Path, size: tuple[int, int], channels: int) -> Any:
    """The ``openvino.Model`` of a graph (.xml) and its weights (.bin beside it).

    size, channels: of the pictures (H, W, C) that it will be given.

    Raises: CheckpointError: it could take memory or time without bound, takes other pictures, or its answer is no
        function of the picture alone. RuntimeError: it is no graph.
    """
    weights = path.with_suffix(".bin")
    if path.stat().st_size > _LONGEST:
        raise CheckpointError(f"a graph of more than {_LONGEST >> 20} MB", where=path, hint=_SAFE)
    openvino()
    from openvino.frontend import FrontEndManager

    # By its name: `read_model` would try the readers of every other format on a file that is not of this one.
    reader: Any = FrontEndManager().load_by_framework("ir")
    graph = reader.convert(reader.load(str(path)))
    if (fault := _fault(graph, (1, *size, channels), weights.stat().st_size)) is not None:
        raise CheckpointError(f"the graph {fault}", where=path, hint=_SAFE)
    return graph


def _fault(graph: Any, picture: tuple[int, int, int, int], stored: int) -> str | None:
    """Why a graph is not to be compiled; None if it may. stored: bytes of its weights file."""
    if len(graph.inputs) != 1 or not graph.input(0).partial_shape.compatible(openvino().PartialShape(list(picture))):
        return f"does not take pictures of {picture[1]} x {picture[2]} pixels"
    whole = graph.clone()
    whole.reshape(list(picture))  # of one picture: every size is known then, but those that depend on its pixels
    operations = whole.get_ordered_ops()
    if len(operations) > _MOST_OPERATIONS:
        return f"has {len(operations):,} operations"
    most = max(_SMALL, min(_LARGEST, _A_PIXEL * picture[1] * picture[2]))
    fixed: set[str] = set()
    folded = 0
    for operation in operations:
        kind, name = operation.get_type_name(), operation.get_friendly_name()
        if kind in _REFUSED:
            return f"{_REFUSED[kind]} ({kind})"
        sizes = _sizes(operation)
        if sizes is None:
            return f"has tensors whose size depends on a picture ({kind} {one_line(name)[:60]})"
        if (large := max(sizes, default=0)) > most:
            return f"asks for a tensor of {large:,} bytes ({kind} {one_line(name)[:60]})"
        sources = [operation.input_value(place).get_node().get_name() for place in range(operation.get_input_size())]
        if kind == "Constant" or (sources and fixed.issuperset(sources)):
            fixed.add(operation.get_name())
            folded += sum(sizes) if kind != "Constant" else 0
            if folded > _SMALL + _GROWTH * stored:
                return f"has constants that grow to more than {folded:,} bytes"
    return None


def _sizes(operation: Any) -> list[int] | None:
    """Bytes of each output; None where one is not known."""
    found = []
    for place in range(operation.get_output_size()):
        shape = operation.get_output_partial_shape(place)
        if not shape.is_static:
            return None
        found.append(prod(side.get_length() for side in shape) * operation.get_output_element_type(place).size)
    return found
