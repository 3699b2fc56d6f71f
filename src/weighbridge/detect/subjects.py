"""Knows what detectors are given: facts of one member, with the place they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from weighbridge.schema import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.detect.knowledge import Knowledge
    from weighbridge.detect.package_flow import Flow
    from weighbridge.formats.behaviour import Behaviour
    from weighbridge.formats.document import Document
    from weighbridge.formats.javascript import Script
    from weighbridge.formats.msgpack import MsgpackFacts
    from weighbridge.formats.native import Native
    from weighbridge.formats.notebook import Notebook
    from weighbridge.formats.numpy import NpyHeader
    from weighbridge.formats.pickle import PickleFile
    from weighbridge.formats.python_source import PythonModule
    from weighbridge.formats.safetensors import SafetensorsFacts
    from weighbridge.formats.skops import SkopsNode
    from weighbridge.formats.template import TemplateFacts
    from weighbridge.formats.tokenizer import TokenizerFacts
    from weighbridge.formats.torch import TorchFacts
    from weighbridge.identify import Identity
    from weighbridge.schema import MalformedInput
    from weighbridge.source import Anomaly, Entry


_WINDOW = 1 << 20
_OVERLAP = 4096


class Note(Struct, frozen=True, kw_only=True):
    """Something that one member leaves for the look at the artifact as a whole; `value` is plain data."""

    kind: str
    path: tuple[str, ...]
    value: object


class MemberSubject(Struct, frozen=True, kw_only=True):
    """Any member: what its name says and what it is."""

    location: Location
    identity: Identity
    size: int
    head: bytes
    carrier: str = ""


class PickleSubject(Struct, frozen=True, kw_only=True):
    """Pickles of one member. `carrier` is the format that holds them, `expected` whether one belongs here."""

    location: Location
    carrier: str
    pickles: PickleFile
    read: Callable[[int, int], bytes]
    size: int
    knowledge: Knowledge
    signature: bool = True
    expected: bool = True


class TreeSubject(Struct, frozen=True, kw_only=True):
    """A container or folder with its members and oddities."""

    location: Location
    format: str
    entries: tuple[Entry, ...]
    anomalies: tuple[Anomaly, ...]
    role: str = ""

    def place(self, name: str) -> Location:
        """Where a member lies: behind the container, or in the folder."""
        if self.format == "folder":
            return Location(path=(f"{self.location.path[0].rstrip('/')}/{name}",))
        return self.location.inside(name)


class TorchSubject(Struct, frozen=True, kw_only=True):
    """A torch container: its facts, the pickles of its members, and the size of each member."""

    location: Location
    facts: TorchFacts
    pickles: dict[str, PickleFile]
    sizes: dict[str, int]
    texts: dict[str, str]
    knowledge: Knowledge


class NpySubject(Struct, frozen=True, kw_only=True):
    """An npy file: its header, or what is wrong with it."""

    location: Location
    header: NpyHeader | None
    error: MalformedInput | None
    size: int


class SafetensorsSubject(Struct, frozen=True, kw_only=True):
    """A safetensors file: its header, or what is wrong with it."""

    location: Location
    facts: SafetensorsFacts | None
    error: str
    too_long: bool
    also: tuple[str, ...]


class MsgpackSubject(Struct, frozen=True, kw_only=True):
    """A msgpack file."""

    location: Location
    facts: MsgpackFacts
    size: int


class SkopsSubject(Struct, frozen=True, kw_only=True):
    """The schema of a skops archive."""

    location: Location
    nodes: tuple[SkopsNode, ...]
    error: str
    knowledge: Knowledge


class TextSubject(Struct, frozen=True, kw_only=True):
    """Bytes to be searched as text: `size` of them from `base` on, read by windows."""

    location: Location
    read: Callable[[int, int], bytes]
    size: int
    base: int = 0
    format: str = "text"

    def whole(self) -> bytes:
        """All of it; for text that is parsed."""
        return self.read(self.base, self.size)

    def windows(self) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of overlapping windows, so that no token is cut at an edge."""
        at, end = self.base, self.base + self.size
        while at < end:
            data = self.read(at, min(_WINDOW, end - at))
            yield at, data
            if len(data) < _WINDOW:
                return
            at += _WINDOW - _OVERLAP


class ProgramSubject(Struct, frozen=True, kw_only=True):
    """An ExecuTorch program: its head and size."""

    location: Location
    head: bytes
    size: int


class LimitSubject(Struct, frozen=True, kw_only=True):
    """A bound that was hit while a member was read."""

    location: Location
    limit: str
    detail: str


class DocumentSubject(Struct, frozen=True, kw_only=True):
    """A JSON, YAML or TOML document. `roles` say what it is for; `error` is set where it could not be parsed."""

    location: Location
    document: Document
    roles: tuple[str, ...]
    text: str
    error: str = ""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.location.path[-1].rsplit("/", 1)[-1]


class SourceSubject(Struct, frozen=True, kw_only=True):
    """Python source. `first` is the line of `text` that its line 1 stands in (cells of a notebook)."""

    location: Location
    module: PythonModule
    text: str
    notebook: bool = False


class NotebookSubject(Struct, frozen=True, kw_only=True):
    """A Jupyter notebook; its Python is a SourceSubject of its own."""

    location: Location
    notebook: Notebook
    metadata: dict[str, object]


class LinesSubject(Struct, frozen=True, kw_only=True):
    """Text that is read by lines or by a grammar of its own; `kind` is one of `identify.text`."""

    location: Location
    kind: str
    text: str

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.location.path[-1].rsplit("/", 1)[-1]


class TemplateSubject(Struct, frozen=True, kw_only=True):
    """A Jinja template; `origin` is the key it stands under, `error` why it could not be parsed."""

    location: Location
    origin: str
    text: str
    facts: TemplateFacts | None
    error: str = ""


class TokenizerSubject(Struct, frozen=True, kw_only=True):
    """A `tokenizer.json`."""

    location: Location
    facts: TokenizerFacts


class RepositorySubject(Struct, frozen=True, kw_only=True):
    """One folder of an artifact with what its members left: `notes` by kind, `names` of all files below it."""

    location: Location
    names: frozenset[str]
    notes: tuple[Note, ...]

    def of(self, kind: str) -> Iterator[tuple[str, Any]]:
        """(name inside the folder, value) of the notes of one kind."""
        prefix = len(self.location.path) - 1
        base = f"{self.location.path[-1]}/" if self.location.path[-1] else ""
        for note in self.notes:
            if note.kind == kind:
                yield " » ".join((note.path[prefix].removeprefix(base), *note.path[prefix + 1 :])), note.value

    def place(self, name: str) -> Location:
        """Where a file of the folder lies."""
        head, *rest = name.split(" » ")
        base = self.location.path[-1]
        return Location(path=(*self.location.path[:-1], f"{base}/{head}" if base else head, *rest))


class PackageSubject(Struct, frozen=True, kw_only=True):
    """A package, unpacked or not: its `kind` (wheel, sdist, npm, environment), and what its members left.

    `modules` maps dotted names (`package.__init__`) to the place and facts of a file, `flow` is those linked; `paths` are
    .pth files by place, `manifests` package.json files, `scripts` JavaScript files. `started` and `backends` name modules
    that .pth files and in-tree build backends run. `hooked` are scripts that npm runs. `programs`, `bytecode` (without source),
    `foreign` (bytecode of another source) and `pickles` are places; `natives` are the headers of native files.
    """

    location: Location
    kind: str
    modules: dict[str, tuple[tuple[str, ...], Behaviour]]
    flow: Flow
    paths: dict[tuple[str, ...], str] = {}
    manifests: dict[tuple[str, ...], dict[str, Any]] = {}
    scripts: dict[tuple[str, ...], Script] = {}
    started: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    hooked: tuple[tuple[str, ...], ...] = ()
    programs: tuple[tuple[str, ...], ...] = ()
    bytecode: tuple[tuple[str, ...], ...] = ()
    foreign: tuple[tuple[str, ...], ...] = ()
    pickles: tuple[tuple[str, ...], ...] = ()
    natives: dict[tuple[str, ...], Native] = {}
    pure: bool = False


class FactsSubject(Struct, frozen=True, kw_only=True):
    """Facts of a reader whose format needs nothing beside them. `kind` names the reader."""

    location: Location
    kind: str
    facts: Any
    size: int


Subject: TypeAlias = (
    MemberSubject
    | DocumentSubject
    | SourceSubject
    | NotebookSubject
    | LinesSubject
    | TemplateSubject
    | TokenizerSubject
    | RepositorySubject
    | PackageSubject
    | FactsSubject
    | PickleSubject
    | TreeSubject
    | TorchSubject
    | NpySubject
    | SafetensorsSubject
    | MsgpackSubject
    | SkopsSubject
    | TextSubject
    | ProgramSubject
    | LimitSubject
)
