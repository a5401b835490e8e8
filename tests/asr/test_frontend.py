"""Rows of features as a model's metadata, or the files beside it, want them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.frontend import Frontend, read_mvn
from agentbox.asr.graph_files import GraphFile, Port
from agentbox.asr.onnx_writer import Graph
from agentbox.errors import ModelError
from tests.asr.tiny_models import rows_by_kaldi, sound, told


def front(folder: Path, normalised: bool, metadata: dict[str, str] | None = None, width: int = 560) -> Frontend:
    graph = Graph()
    graph.node("Identity", [graph.input("x", "float32", (1, "T", width))], ["y"])
    graph.output("y", "float32", (1, "T", width))
    (folder / "model.onnx").write_bytes(graph.model(metadata))
    return Frontend.of(GraphFile(folder / "model.onnx", 1, [Port("x")], [Port("y")]), normalised=normalised)


def test_plain_rows_are_kaldis(tmp_path: Path) -> None:
    made = front(tmp_path, normalised=False)
    assert (made.width, made.row_ms) == (560, 60)
    for length in (399, 400, 5_000, 16_000):
        rows = made(sound(length))
        expected = rows_by_kaldi(sound(length)) if length >= 400 else np.zeros((0, 560))
        np.testing.assert_allclose(rows, expected, atol=3e-3)
        assert rows.dtype == np.float32


def test_normalised_and_otherwise_scaled(tmp_path: Path) -> None:
    mean, scale = np.linspace(-13, -12, 560), np.linspace(0.2, 0.3, 560)
    made = front(tmp_path, True, {"neg_mean": told(mean), "inv_stddev": told(scale)})
    np.testing.assert_allclose(made(sound(8_000)), (rows_by_kaldi(sound(8_000)) + mean) * scale, atol=2e-3)
    quiet = front(tmp_path, False, {"normalize_samples": "1"})(sound(8_000))
    loud = front(tmp_path, False)(sound(8_000))
    # A factor of the sound is a constant in the logarithms of its energies, where they are above the floor.
    np.testing.assert_allclose(np.median(loud - quiet), 2 * np.log(32_768), atol=1e-3)
    other = {"lfr_window_size": "5", "lfr_window_shift": "4", "neg_mean": "1," * 400, "inv_stddev": "2," * 400}
    assert front(tmp_path, True, other, 400)(sound(8_000)).shape == (12, 400)
    with pytest.raises(ModelError, match="rows of 560 numbers, and its metadata make 400"):
        front(tmp_path, True, other)


def written(folder: Path, text: str) -> Path:
    (folder / "am.mvn").write_text(text, encoding="utf-8")
    return folder / "am.mvn"


def test_vectors_of_am_mvn(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "<Nnet> \n<Splice> 3 3\n[ 0 ]\n<AddShift> 3 3 \n<LearnRateCoef> 0 [ -8.3 -8.6e0\n 1 ]\n"
        "<Rescale> 3 3\n<LearnRateCoef> 0 [ 0.1 0.2 0.3 ]\n</Nnet>\n",
    )
    mean, scale = read_mvn(file, 3)
    assert mean.tolist() == pytest.approx([-8.3, -8.6, 1.0])
    assert scale.tolist() == pytest.approx([0.1, 0.2, 0.3])
    with pytest.raises(ModelError, match="not 4 numbers"):
        read_mvn(file, 4)


@pytest.mark.parametrize(
    "text", ["", "<AddShift> [ 1 ]", "<AddShift> [ 1 ] <Rescale> [ x ]", "<AddShift> [ 1 ] <Rescale>"]
)
def test_what_is_no_normalisation(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelError) as refused:
        read_mvn(written(tmp_path, text), 1)
    assert refused.value.code == "model_damaged"
    with pytest.raises(ModelError):
        read_mvn(tmp_path / "nothing.mvn", 1)


@given(text=st.text(alphabet="<>[]AddShiftRescale 0123456789.-eE\n", max_size=200))
def test_any_text_is_vectors_or_a_model_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        mean, scale = read_mvn(written(folder, text), 2)
    except ModelError:
        return
    assert mean.shape == scale.shape == (2,)
