from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.nano_graphs import FEATURES, FULL, write_full_encoder
from benchmarks.nano_speed import beside_sherpa, measure
from tests.asr.nano_models import small_model


def test_what_is_measured(tmp_path: Path) -> None:
    folder = small_model(tmp_path, 300, ending=-99.0)
    found = measure(folder)
    assert found["3 s, 10 hotwords"]["prompt_rows"] > found["3 s"]["prompt_rows"]
    assert found["10 s"]["prompt_rows"] - found["3 s"]["prompt_rows"] == 21 - 7
    assert all(min(found["25 s"][name]) > 0 for name in ("encoder_ms", "first_token_ms", "token_ms"))
    assert 0 < found["python_mb"] <= found["peak_rss_mb"]
    assert 0 < found["resting_mb"] <= found["peak_rss_mb"]
    assert {"loaded_mb", "busy_mb"} <= found.keys()
    assert min(beside_sherpa(folder)["ratio"]) > 0


def test_the_encoder_is_put_together_like_the_real_one() -> None:
    graph = write_full_encoder(1, width=16, inner=24, layers=2, out=32)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.ones((1, 5, FEATURES), dtype=np.float32)})
    assert found.shape == (1, 5, 32)
    assert np.isfinite(found).all()
    assert (FULL.width, FULL.layers, FULL.vocabulary) == (1024, 28, 151936)
