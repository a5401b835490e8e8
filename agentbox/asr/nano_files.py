"""Where the files of a Fun-ASR-Nano model lie, in each of the ways in which they are published."""

from __future__ import annotations

from pathlib import Path

from agentbox.asr import bpe
from agentbox.asr.graph_files import damaged, find_graph

NEEDED = "encoder_adaptor, embedding and llm (.onnx) and a tokenizer's vocab.json, merges.txt and tokenizer.json"

_LLM_FOLDERS = ("llm_int8_compat", "llm_int8", "llm_fp16", "llm_fp32")
"""Where the exporter's own repository keeps its graphs, the wanted one first: the first int8 export computed rubbish on
some processors (sherpa-onnx issue 3066)."""


def is_model_folder(folder: Path) -> bool:
    """Whether `folder` has a Fun-ASR-Nano model's files."""
    return find_graph(folder, "encoder_adaptor") is not None and find_graph(folder, "embedding") is not None


def graph_of(folder: Path, part: str) -> Path:
    """The file of `encoder_adaptor` or `embedding`. Raises `ModelError` `model_damaged`."""
    found = find_graph(folder, part)
    if found is None:
        raise damaged(folder, f"it has no {part}.onnx")
    return found


def llm_of(folder: Path) -> Path:
    """The file of the language model. Raises `ModelError` `model_damaged`."""
    found = next((file for sub in ("", *_LLM_FOLDERS) if (file := find_graph(folder / sub, "llm"))), None)
    if found is not None:
        return found
    older = "; llm_prefill and llm_decode are an older export" if find_graph(folder, "llm_prefill") else ""
    raise damaged(folder, f"it has no llm.onnx{older}")


def tokenizer_of(folder: Path) -> Path:
    """The folder itself, or one in it (Qwen3-0.6B). Raises `ModelError` `model_damaged`."""
    within = sorted(path for path in folder.iterdir() if path.is_dir())
    for one in (folder, *within):
        if all((one / file).is_file() for file in bpe.FILES):
            return one
    raise damaged(folder, f"it has no folder with {', '.join(bpe.FILES)}")
