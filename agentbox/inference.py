"""onnxruntime as the models of the house use it: sessions that are small, and memory that is given back.

The choices are measured (docs/models.md, "Speed and memory"): one arena for all sessions that grows by
what is asked for instead of by powers of two, no memory patterns (they keep a plan per input length, and every
utterance has its own length), pre-packed weights (without them a step takes half as long again), and the arena cut
back after each encoder run, which is what needs much. Otherwise one long utterance would keep 100 MB for good.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

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

Content: TypeAlias = bytes | Sequence[bytes | memoryview]
"""A model, whole or in pieces."""

GIVE_BACK = onnxruntime.RunOptions()
"""For a run after which the arena returns what it no longer needs."""
GIVE_BACK.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""mallopt(3)."""

_LARGE_BYTES = 2 << 20


@functools.cache
def _tame_heap() -> None:
    """Have the C library give large arrays back at once, and all threads take from one heap.

    By itself glibc takes even blocks of 32 MB from the heap once one was freed; small things that stay then settle in
    the holes, and the next large array lies at the end: the first start took 390 MB for a while instead of 205 (above 4
    MB alone: 243, and in one run of eight 312, since the figures of 16 contexts after one another are 2 MB). A
    thread's own heap comes in pieces of 64 MB and is given back badly: 50 MB more under talk without end. What a step
    of decoding needs (1.5 MB of logits) stays below the limit, and takes no longer.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for name, value in (
            (_M_MMAP_THRESHOLD, _LARGE_BYTES),
            (_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES),
            (_M_ARENA_MAX, 1),
        ):
            libc.mallopt(name, value)


@functools.cache
def _share_arena() -> None:
    """Register the arena for sessions that ask for it; onnxruntime keeps one per process."""
    where = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = {"arena_extend_strategy": 1, "initial_chunk_size_bytes": 1 << 20}
    onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg(as_requested))


def open_session(path: Path, threads: int, content: Content | None = None) -> onnxruntime.InferenceSession:
    """Load an `.onnx` or `.ort` file, or `content`, which was made of it. Raises `ModelError` `model_damaged` when
    onnxruntime cannot."""
    _tame_heap()
    _share_arena()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that wait by spinning cost the box a core for nothing between two steps.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not has_vnni():
        # There sums of products with signed bytes may overflow, and what comes out is rubbish: this has onnxruntime
        # turn the bytes into unsigned ones, which is exact, and slower. (With VNNI it would do so for nothing.)
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        if content is None:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # onnxruntime would keep the bytes for as long as the session lives; of a file it keeps the name.
        with os.fdopen(os.memfd_create("model"), "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            name = f"/proc/self/fd/{file.fileno()}"
            return onnxruntime.InferenceSession(name, options, providers=["CPUExecutionProvider"])
    except OnnxError as error:
        raise ModelError(
            "model_damaged",
            f"onnxruntime cannot load the model file {path}.",
            "Run: agentbox models verify",
        ) from error


@functools.cache
def has_vnni() -> bool:
    """Whether the processor multiplies unsigned by signed bytes exactly and fast (x86 with VNNI). Older ones do it fast
    and, where the sums are large, wrongly."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    return "avx_vnni" in flags or flags >= {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}


def return_free_memory() -> None:
    """Give freed heap back to the system: glibc keeps it for later. Another libc has no such function and needs
    none."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
