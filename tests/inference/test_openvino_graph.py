"""A graph that somebody else made is refused before it is compiled if it could take memory or time without bound."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from frostline.errors import CheckpointError, FrostlineError
from frostline.inference.openvino_graph import bounded

SIZE = (8, 8)


def stored(tmp_path, make):
    """A graph of pictures (N, 8, 8, 3) whose answer is what `make` gives of their channels' means and themselves."""
    x = op.parameter([-1, *SIZE, 3], ov.Type.u8, name="pictures")
    floats = op.convert(x, "f32")
    mean = op.reduce_mean(floats, op.constant(np.array([1, 2])), False)
    ov.save_model(ov.Model([make(mean, floats)], [x]), tmp_path / "graph.xml", compress_to_fp16=False)
    return tmp_path / "graph.xml"


def grown(mean, shape):
    large = op.broadcast(op.constant(np.float32(1)), op.constant(np.array(shape)))
    return op.add(mean, op.reduce_mean(large, op.constant(np.arange(len(shape))), False))


def counted(mean, end):
    numbers = op.range(op.constant(np.int64(0)), op.constant(np.int64(end)), op.constant(np.int64(1)), ov.Type.f32)
    return op.add(mean, op.reduce_mean(numbers, op.constant(np.array([0])), False))


def many(mean, each, times):
    for _ in range(times):
        mean = grown(mean, [each])
    return mean


def of_its_pixels(mean, floats):
    total = op.convert(op.reduce_sum(floats, op.constant(np.arange(4)), False), "i64")
    large = op.broadcast(op.constant(np.float32(1)), op.unsqueeze(total, 0))
    return op.add(mean, op.reduce_mean(large, op.constant(np.array([0])), False))


def without_end(mean, _):
    count, held = op.parameter([], ov.Type.i32), op.parameter([-1, 3], ov.Type.f32)
    again, more = op.result(op.constant(np.array(True))), op.result(op.add(held, op.constant(np.float32(1))))
    loop = op.loop(op.constant(np.int64(10**12)), op.constant(np.array(True)))
    loop.set_function(ov.Model([again, more], [count, held], "body"))
    loop.set_special_body_ports([0, 0])
    loop.set_merged_input(held, mean.output(0), more.output(0))
    return loop.get_iter_value(more.output(0), -1)


def remembering(mean, _):
    before = op.read_value(op.constant(np.zeros((1, 3), np.float32)), "before", np.float32, ov.PartialShape([1, 3]))
    op.assign(mean, "before")  # a graph of functions finds no sink that nobody reads: reading is refused alone
    return op.add(before, mean)


def drawn(mean, _):
    bounds = op.constant(np.float32(0)), op.constant(np.float32(9))
    return op.add(mean, op.random_uniform(op.constant(np.array([1, 3])), *bounds, "f32", 0, 0))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda mean, _: grown(mean, [10**6, 10**6]), "asks for a tensor of 4,000,000,000,000 bytes"),
        (lambda mean, _: grown(mean, [10**5, 10**4]), "asks for a tensor of 4,000,000,000 bytes"),
        (lambda mean, _: many(mean, 60 * 10**6, 3), "constants that grow"),
        (lambda mean, _: counted(mean, 10**11), "asks for a tensor"),
        (lambda _, x: op.reduce_mean(op.tile(x, op.constant(np.array([1, 4000, 4000, 1]))), [1, 2]), "asks for"),
        (of_its_pixels, "size depends on a picture"),
        (without_end, "has a loop"),
        (remembering, "remembers earlier pictures"),
        (drawn, "draws random numbers"),
    ],
    ids=["terabytes", "gigabytes", "many", "range", "when it runs", "of its pixels", "loop", "memory", "chance"],
)
def test_what_takes_all_memory_never_ends_or_is_no_function_of_a_picture_is_refused(tmp_path, make, said):
    with pytest.raises(CheckpointError, match=said):
        bounded(stored(tmp_path, make), SIZE, 3)


def test_what_is_harmless_answers_as_it_would_have(tmp_path):
    path = stored(tmp_path, lambda mean, _: grown(mean, [100, 100]))
    ask = ov.Core().compile_model(bounded(path, SIZE, 3), "CPU")
    pictures = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)
    np.testing.assert_allclose(ask(pictures)[0], pictures.mean((1, 2)) + 1, rtol=1e-5)


def test_a_graph_of_other_pictures_is_refused(tmp_path):
    path = stored(tmp_path, lambda mean, _: mean)
    for size, channels in (((9, 8), 3), (SIZE, 4)):
        with pytest.raises(CheckpointError, match="does not take pictures"):
            bounded(path, size, channels)


@pytest.mark.parametrize("content", [b"", b"<" * 1000, b"\x08\x03 onnx", b'node { name: "x" op: "ReadFile" }'])
def test_only_openvinos_own_form_is_read(tmp_path, content, capfd):
    (tmp_path / "graph.xml").write_bytes(content)
    (tmp_path / "graph.bin").write_bytes(b"")
    with pytest.raises((RuntimeError, FrostlineError)):
        bounded(tmp_path / "graph.xml", SIZE, 3)
    assert capfd.readouterr().err == ""  # the readers of other formats, which say what they tried, were not asked


def test_a_graph_that_is_too_long_is_not_parsed(tmp_path):
    with (tmp_path / "graph.xml").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "graph.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="more than 256 MB"):
        bounded(tmp_path / "graph.xml", SIZE, 3)
