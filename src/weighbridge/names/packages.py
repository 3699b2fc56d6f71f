"""Knows popular packages and which other names could be taken for one of them: typing errors, look-alikes, added words.

Sources: Unicode TR39 (confusables), Kintis et al. CCS 2017 (combosquats), "SpellBound" arXiv 2003.03471 (classes of typing
errors), Spracklen et al. USENIX Security 2025 (names that language models invent). A name with one or two edits shares a
piece with its original: names are looked up by piece, and only those that share one are compared.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Final

from weighbridge.names.lookalike import Likeness, are_versions, distance, skeleton

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPLIT: Final = re.compile(r"[-_./]+")
_SHORT: Final = 5
_WELL_KNOWN: Final = 8000
_BEST_KNOWN: Final = 3000
_LONG: Final = 10
# Names that carry weight for machine learning: words around one of them promise what only its owner can.
BRANDS: Final = frozenset(
    [
        "openai",
        "anthropic",
        "claude",
        "chatgpt",
        "gpt4",
        "deepseek",
        "mistral",
        "mistralai",
        "gemini",
        "huggingface",
        "langchain",
        "llamaindex",
        "ollama",
        "vllm",
        "pytorch",
        "torch",
        "tensorflow",
        "keras",
        "transformers",
        "diffusers",
        "ultralytics",
        "yolo",
        "litellm",
        "gradio",
        "streamlit",
        "wandb",
        "mlflow",
        "llama",
        "qwen",
        "cohere",
        "perplexity",
        "xai",
        "grok",
        "copilot",
        "crewai",
        "autogen",
        "chromadb",
        "pinecone",
        "weaviate",
        "qdrant",
    ]
)
_CLAIMS: Final = frozenset(
    [
        "ai",
        "api",
        "sdk",
        "client",
        "python",
        "py",
        "py3",
        "python3",
        "lib",
        "library",
        "official",
        "pro",
        "plus",
        "free",
        "latest",
        "stable",
        "new",
        "real",
        "core",
        "dev",
        "toolkit",
        "helper",
        "helpers",
        "util",
        "utils",
        "tools",
        "cracked",
        "unofficial",
        "wrapper",
        "easy",
        "fast",
        "simple",
        "installer",
        "install",
        "setup",
        "js",
        "node",
        "cli",
        "v2",
        "v3",
        "v4",
        "beta",
    ]
)
# What is imported, and what the distribution is called: whoever installs the one for the other gets a stranger's package.
IMPORTED: Final = {
    "cv2": "opencv-python", "sklearn": "scikit-learn", "skimage": "scikit-image", "yaml": "pyyaml", "bs4": "beautifulsoup4",
    "pil": "pillow", "crypto": "pycryptodome", "dateutil": "python-dateutil", "dotenv": "python-dotenv", "jwt": "pyjwt",
    "serial": "pyserial", "usb": "pyusb", "magic": "python-magic", "docx": "python-docx", "pptx": "python-pptx", "fitz": "pymupdf",
    "faiss": "faiss-cpu", "umap": "umap-learn", "mpl-toolkits": "matplotlib", "openssl": "pyopenssl", "github": "pygithub",
    "telegram": "python-telegram-bot", "discord": "discord-py", "mysqldb": "mysqlclient", "psycopg2cffi": "psycopg2", "kafka": "kafka-python",
    "attr": "attrs", "win32api": "pywin32", "zmq": "pyzmq", "git": "gitpython", "ldap": "python-ldap", "socks": "pysocks",
    "google-protobuf": "protobuf", "tensorflow-cpu-aws": "tensorflow", "pytorch": "torch", "torch-vision": "torchvision",
    "whisper": "openai-whisper", "clip": "openai-clip", "llama-cpp": "llama-cpp-python", "sentence-transformer": "sentence-transformers",
    "huggingface": "huggingface-hub", "huggingface-cli": "huggingface-hub", "hf-transformers": "transformers", "flash-attention": "flash-attn",
    "community-detection": "python-louvain", "ruamel": "ruamel-yaml", "nacl": "pynacl", "markdown2pdf": "md2pdf",
}  # fmt: skip
# Names that mean something inside a well-known index of its own, and nothing on the public one.
ELSEWHERE: Final = {
    "torchtriton": "the nightly index of PyTorch",
    "pytorch-triton": "the index of PyTorch",
    "triton-nightly": "the index of Triton",
}


class Packages:
    """The popular packages of one ecosystem, most used first."""

    def __init__(self, ecosystem: str, names: Iterable[str], *, of: str = "") -> None:
        self.ecosystem, self.of = ecosystem, of
        self._rank = {name: at for at, name in enumerate(dict.fromkeys(names))}
        self._pieces: dict[tuple[int, int, str], list[str]] | None = None
        self._skeletons: dict[str, str] = {}
        self._bags: dict[tuple[str, ...], str] = {}
        self._masks: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The popular names, most used first."""
        return tuple(self._rank)

    def knows(self, name: str) -> bool:
        """Whether a normalised name is popular itself."""
        return name in self._rank

    def like(self, name: str) -> Likeness | None:
        """The popular package that a normalised name could be taken for; None for a popular name and one of its own."""
        if name in self._rank:
            return None
        if self.ecosystem == "pypi" and name in ELSEWHERE:
            return Likeness("a name that belongs to another index", ELSEWHERE[name], sure=True)
        if self.ecosystem == "pypi" and name in IMPORTED:
            return Likeness("the name of an import, not of a package", IMPORTED[name])
        if self._pieces is None:
            self._index()
        bare = name.rpartition("/")[2] if name.startswith("@") else name
        return self._same(bare) or self._typed(bare) or self._claimed(bare)

    def _index(self) -> None:
        self._pieces = defaultdict(list)
        for name in self._rank:
            if len(name) < _SHORT or name.startswith("@"):
                continue
            self._masks[name] = _mask(name)
            # Two edits leave one of three pieces whole, one edit leaves one of two: three pieces serve for both.
            for number, (start, stop) in enumerate(_cuts(len(name))):
                self._pieces[len(name), number, name[start:stop]].append(name)
            self._skeletons.setdefault(skeleton(name), name)
            self._bags.setdefault(_bag(name), name)

    def _same(self, name: str) -> Likeness | None:
        alike = self._skeletons.get(skeleton(name)) if len(name) >= _SHORT else None
        if alike and not are_versions(alike, name):
            plain = _SPLIT.sub("", name) == _SPLIT.sub("", alike)
            return Likeness("other delimiters" if plain else "characters that look alike", alike, sure=not plain)
        if alike and _SPLIT.sub("", name) == _SPLIT.sub("", alike):
            return Likeness("other delimiters", alike)
        bag = _bag(name)
        alike = self._bags.get(bag) if len(bag) > 1 else None
        return Likeness("order of words", alike) if alike else None

    def _typed(self, name: str) -> Likeness | None:
        if len(name) < _SHORT:
            return None
        most = 2 if len(name) >= _LONG else 1
        found: list[tuple[int, int, str]] = []
        mask = _mask(name)
        for known in self._near(name, most):
            if abs(len(known) - len(name)) > most or (self._masks[known] ^ mask).bit_count() > 2 * most:
                continue
            edits = distance(name, known, most=most)
            if edits <= most and not are_versions(name, known):
                found.append((edits, self._rank[known], known))
        if not found:
            return None
        edits, rank, known = min(found)
        # The less a package is used, the less there is to gain from standing beside it.
        if rank > (_WELL_KNOWN if edits == 1 else _BEST_KNOWN):
            return None
        return Likeness(_kind(name, known) if edits == 1 else "two letters", known)

    def _near(self, name: str, most: int) -> set[str]:
        pieces = self._pieces or {}
        found: set[str] = set()
        for size in range(len(name) - most, len(name) + most + 1):
            for number, (start, stop) in enumerate(_cuts(size)):
                for shift in range(-most, most + 1):
                    if start + shift >= 0 and (
                        listed := pieces.get((size, number, name[start + shift : stop + shift]))
                    ):
                        found.update(listed)
        # A swap of neighbours can touch two pieces at once.
        for at in range(len(name) - 1):
            swapped = f"{name[:at]}{name[at + 1]}{name[at]}{name[at + 2 :]}"
            if swapped in self._masks:
                found.add(swapped)
        return found

    def _claimed(self, name: str) -> Likeness | None:
        words = [word for word in _SPLIT.split(name) if word]
        brands = [word for word in words if word in BRANDS]
        rest = [word for word in words if word not in BRANDS]
        if len(brands) == 1 and rest and all(word in _CLAIMS for word in rest):
            return Likeness("a brand with words that claim to be it", brands[0])
        if len(words) == 1:
            for brand in sorted(BRANDS, key=len, reverse=True):
                rest_ = name.removeprefix(brand) if name.startswith(brand) else name.removesuffix(brand)
                if rest_ != name and rest_ in _CLAIMS and len(brand) >= _SHORT:
                    return Likeness("a brand with words that claim to be it", brand)
                if (
                    len(brand) >= 7
                    and 0 < abs(len(name) - len(brand)) <= 2
                    and re.sub(r"(.)\1+", r"\1", name) == re.sub(r"(.)\1+", r"\1", brand)
                ):
                    return Likeness("repeated letters", brand, sure=True)
        return None


def _cuts(size: int) -> tuple[tuple[int, int], ...]:
    third = size // 3
    return ((0, third), (third, 2 * third), (2 * third, size))


def _mask(name: str) -> int:
    """Two bits for each letter: whether it stands there once, and whether more than once. An edit changes at most two letters."""
    mask = 0
    for letter in name:
        bit = 1 << (2 * (ord(letter) & 63))
        mask |= bit << 1 if mask & bit else bit
    return mask


def _bag(name: str) -> tuple[str, ...]:
    """The words of a name in no order, with plurals made singular."""
    return tuple(sorted(word.removesuffix("s") or word for word in _SPLIT.split(name) if word))


def _kind(name: str, known: str) -> str:
    if len(name) == len(known) and sorted(name) == sorted(known):
        return "two letters swapped"
    if abs(len(name) - len(known)) == 1 and {name, known} & {f"{name}s", f"{known}s"}:
        return "a plural"
    return "one letter"


@cache
def popular(ecosystem: str) -> Packages:
    """The table that is shipped; an empty one for an ecosystem without."""
    path = os.path.join(os.path.dirname(__file__), f"popular_{ecosystem}.txt")
    if not os.path.isfile(path):
        return Packages(ecosystem, ())
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    date = re.search(r"\d{4}-\d\d-\d\d", lines[0])
    return Packages(ecosystem, (line for line in lines if line and line[0] != "#"), of=date[0] if date else "")
