"""Knows what a file name promises, and which contents keep the promise."""

from __future__ import annotations

_PICKLES = {
    "pickle",
    "text",
    "json",
    "script",
    "zip",
    "tar",
    "gzip",
    "bz2",
    "xz",
    "lzma",
    "zlib",
    "lz4",
    "zstd",
    "unknown",
    "7z",
    "npy",
}
_TORCH = {"zip", "pickle", "tar"}
EXPECTED: dict[str, frozenset[str]] = {
    ending: frozenset(formats)
    for endings, formats in (
        ((".safetensors",), {"safetensors", "lfs-pointer"}),
        ((".npy",), {"npy"}),
        ((".npz", ".zip", ".keras", ".skops", ".whl", ".jar", ".mlpackage"), {"zip"}),
        ((".pt", ".pth", ".ckpt", ".pt2", ".mar"), {*_TORCH, "lfs-pointer", "safetensors", "hdf5"}),
        ((".pkl", ".pickle", ".joblib", ".dill", ".p"), {*_PICKLES, "lfs-pointer"}),
        ((".json", ".jsonl", ".ipynb"), {"json", "text", "empty"}),
        (
            (".txt", ".md", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".py", ".csv", ".tsv", ".rst", ".jinja"),
            {"text", "json", "script", "empty"},
        ),
        ((".h5", ".hdf5"), {"hdf5"}),
        ((".gguf",), {"gguf"}),
        ((".tar",), {"tar"}),
        ((".tar.gz", ".tgz", ".gz"), {"gzip"}),
        ((".bz2",), {"bz2"}),
        ((".xz",), {"xz"}),
        ((".zst",), {"zstd"}),
        ((".lz4",), {"lz4"}),
        ((".7z",), {"7z"}),
        ((".msgpack",), {"unknown", "msgpack"}),
        ((".pte",), {"executorch"}),
        ((".png", ".jpg", ".jpeg", ".gif", ".webp", ".wav", ".mp3", ".mp4"), {"media", "unknown"}),
    )
    for ending in endings
}


def contradicts(name: str, found: str) -> str:
    """The ending whose promise `found` breaks, or an empty string.

    A `.bin` promises nothing: raw floats, pickles and torch archives are all called that.
    """
    lowered = name.lower().rstrip(". ")
    for ending, formats in EXPECTED.items():
        if lowered.endswith(ending):
            return "" if found in formats else ending
    return ""
