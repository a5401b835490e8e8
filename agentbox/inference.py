"""onnxruntime as the models of the house use it: sessions that are small, and memory that is given back.

The choices are measured (docs/models.md, "Speed and memory"): one arena for all sessions that grows by
what is asked for instead of by powers of two, no memory patterns (they keep a plan per input length, and every
utterance has its own length), pre-packed weights (without them a step takes half as long again), and the arena cut
back after each encoder run, which is what needs much. Otherwise one long utterance would keep 100 MB for good.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from agentbox.errors import ModelError

OnnxError = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NoSuchFile,
    state.NotFound,
    state.NotImplemented,
    state.RuntimeException,
)
"""What onnxruntime raises; its exceptions have no base of their own."""

GIVE_BACK = onnxruntime.RunOptions()
"""For a run after which the arena returns what it no longer needs."""
GIVE_BACK.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")


_M_ARENA_MAX = -8
"""mallopt(3)."""


@functools.cache
def _share_arena() -> None:
    """Register the arena for sessions that ask for it; onnxruntime keeps one per process.

    All threads then take from one heap: a thread's own (glibc gives each one in pieces of 64 MB) is given back badly,
    and under talk without end that was 50 MB more.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)
    where = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = {"arena_extend_strategy": 1, "initial_chunk_size_bytes": 1 << 20}
    onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg(as_requested))


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load an `.onnx` or `.ort` file. Raises `ModelError` `model_damaged` when onnxruntime cannot."""
    _share_arena()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that wait by spinning cost the box a core for nothing between two steps.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except OnnxError as error:
        raise ModelError(
            "model_damaged",
            f"onnxruntime cannot load the model file {path}.",
            "Run: agentbox models verify",
        ) from error


def return_free_memory() -> None:
    """Give freed heap back to the system. Loading a model leaves as much of it as the model is large, because
    glibc keeps blocks under 32 MB for later; another libc has no such function and needs none."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
