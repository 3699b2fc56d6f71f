"""Knows which calls a script makes under their real names, and what their arguments are made of. Nothing is executed.

Tokens are read in order with the brackets that are open; a syntax tree is not made, so that a bundle that no parser takes is read
all the same. Names are followed through `require`, `import`, assignments, destructuring, parameters of functions that are called
here, and what a call hands to the functions among its arguments. Two rounds carry what is assigned later to where it is read.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.formats.javascript_calls import ScriptCall, ScriptFlow
from weighbridge.formats.javascript_places import PLACES, tells, windows
from weighbridge.formats.javascript_scopes import Frame, Scope
from weighbridge.formats.javascript_tokens import MARK, MOST, NAME, STRING, Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

# Stands for what was decoded from a text.
DECODED: Final = "<decoded>"
# Stands for what somebody hands to a function of another module that was replaced.
PATCHED: Final = "<patched>"
# What a page asks a wallet with; an assignment to it is told as a call of `ethereum.request=`.
WALLET: Final = "ethereum.request"
_ROUNDS: Final = 2
_ORIGINS: Final = 24
_WHOLE: Final = 128 << 10
_CALLS: Final = 20_000
_CHAIN: Final = 24
_TEXTS: Final = 8  # of one call
_PLACE: Final = frozenset("/.\\ ")
_DEEPEST: Final = 200
_GLOBALS: Final = frozenset({"globalThis", "global", "window", "self"})
_SKIPPED: Final = frozenset(
    {"new", "async", "await", "typeof", "void", "delete", "yield", "else", "try", "finally", "do", "throw", "case", "default", "export", "static", "get",
     "set", "extends", "instanceof", "if", "while", "switch", "for", "with", "catch", "break", "continue", "debugger"}
)  # fmt: skip
_MODULES: Final = frozenset(
    {"ws", "got", "request", "axios", "needle", "superagent", "ky", "bent", "phin", "http", "https", "http2", "net", "tls", "dns", "fs", "os", "vm", "zlib",
     "crypto", "undici", "urllib", "child_process", "execa", "wretch", "centra", "fetch"}
)  # fmt: skip
_NEWLINE: Final = re.compile("\n")
_DECLARES: Final = frozenset({"const", "let", "var"})
_OBJECT_BEHIND: Final = frozenset(
    {"(", ",", "=", ":", "[", "?", "&&", "||", "??", "return", "+=", "+", "...", "default"}
)
# Before a line break, and behind one: a statement goes on.
_GOES_ON: Final = frozenset(
    {"=", "+", "-", "*", "/", ",", ".", "(", "[", "{", "&&", "||", "??", "?", ":", "=>", "+=", "<", ">", "==", "===", "!", "|", "&"}
)  # fmt: skip
_CONTINUES: Final = frozenset({".", "(", "[", "+", "?", ":", "&&", "||", ",", "=", "*", "/"})
# What stands for itself where it is assigned, beside modules that were asked for.
_THEMSELVES: Final = frozenset({"process", "eval", "Function", "require", "atob"})
_ASSIGNS: Final = frozenset({"=", "+=", "||=", "??=", "&&="})


def read_flow(text: str) -> ScriptFlow:
    """The calls of a script; of a large one, those around what could run or send something. Nothing where neither is named."""
    if not tells(text):
        return ScriptFlow(calls=())
    if len(text) <= _WHOLE:
        return _Reader(text).read()
    calls: list[ScriptCall] = []
    places = windows(text)
    unread = f"more than {PLACES} places could run or send something" if len(places) > PLACES else ""
    for start, end in places[:PLACES]:
        before = text.count("\n", 0, start)
        part = _Reader(text[start:end]).read()
        calls += [replace(one, line=one.line + before) for one in part.calls]
        unread = unread or part.unread
    return ScriptFlow(calls=tuple(calls), unread=unread)


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = [*tokens(text), Token(MARK, ";", len(text), True)]
        self._unread = f"more than {MOST} tokens" if len(self._tokens) > MOST else ""
        self._lines = [match.start() for match in _NEWLINE.finditer(text)]
        self._scopes: dict[int, Scope] = {-1: Scope(None)}
        self._given: dict[int, set[str]] = {}
        self._returned: dict[int, set[str]] = {}
        self._calls: list[ScriptCall] = []
        self._modules: set[str] = set()
        self._running: set[int] = set()
        self._named: dict[int, str] = {}
        self._names: set[str] = set()

    def read(self) -> ScriptFlow:
        for _ in range(_ROUNDS):
            self._calls = []
            self._frames = [Frame("body", -1, self._scopes[-1])]
            self._closed: tuple[str, int, int] = ("", 0, 0)
            self._declaring, self._base, self._beyond = False, "", 0
            at = 0
            while at < len(self._tokens):
                at = self._step(at)
        return ScriptFlow(calls=tuple(self._calls), unread=self._unread)

    @property
    def _top(self) -> Frame:
        return self._frames[-1]

    def _text(self, at: int) -> str:
        """The text of a token; empty for strings and beyond the ends."""
        if not 0 <= at < len(self._tokens):
            return ""
        token = self._tokens[at]
        return "" if token.kind == STRING else token.text

    def _step(self, at: int) -> int:
        token = self._tokens[at]
        if token.first and self._top.holds and self._top.targets is not None and self._ends(at):
            self._settle(self._top)
        if token.kind == NAME:
            return self._name(at)
        if token.kind == STRING:
            targets = self._top.targets
            if targets is not None and not self._top.assigned and self._text(at + 1) in {";", ","}:
                self._top.scope.texts.update({name: token.text for name, _ in targets})
            self._string(token.text)
            return at + 1
        if token.kind == MARK:
            return self._mark(at, token.text)
        return at + 1

    def _ends(self, at: int) -> bool:
        """Whether a statement ends before a token that begins a line."""
        return self._text(at - 1) not in _GOES_ON and self._text(at) not in _CONTINUES

    def _string(self, text: str) -> None:
        """A string: a call that it is handed to shows it; one that may be a place or a command is something that is read."""
        if not text:
            return
        for frame in reversed(self._frames):
            if frame.kind == "call" and len(frame.texts) < _TEXTS:
                frame.texts.append(text[:400])
            if frame.holds:
                break
        if not _PLACE.isdisjoint(text):
            self._record((f"'{text[:200]}",))

    def _record(self, origins: set[str] | dict[str, None] | tuple[str, ...]) -> None:
        """Something is read: it becomes part of every call and assignment around it, up to the function."""
        if not origins:
            return
        for frame in reversed(self._frames):
            if frame.targets is not None and len(frame.assigned) < _ORIGINS:
                frame.assigned.update(dict.fromkeys(origins))
            if frame.holds:
                return
            if len(frame.origins) < _ORIGINS:
                frame.origins.update(dict.fromkeys(origins))

    def _mark(self, at: int, text: str) -> int:
        if text == "(":
            self._open(Frame("group", at, self._top.scope))
        elif text == "[":
            self._indexed(at)
        elif text == "{":
            kind = "object" if self._text(at - 1) in _OBJECT_BEHIND else "block"
            self._open(Frame(kind, at, self._top.scope))
        elif text in {")", "]", "}"}:
            return self._close(at)
        elif text == "=>":
            return self._arrow(at, self._parameters(self._closed[1], at) if self._text(at - 1) == ")" else [])
        elif text in {";", ","}:
            self._leave_arrows()
            self._settle(self._top)
            self._declaring = self._declaring and text == ","
        elif text in _ASSIGNS and self._text(at - 1) in {"}", "]"} and self._closed[2] == at - 1:
            indexed = self._closed[0] == "index"
            self._assign([(self._base, "")] if indexed else self._taken_apart(self._closed[1], at - 1))
        return at + 1

    def _indexed(self, at: int) -> None:
        """A list, or a place in what stands before the bracket."""
        before = self._tokens[at - 1] if at else None
        indexes = before is not None and (
            (before.kind == NAME and before.text not in _SKIPPED) or self._text(at - 1) in {")", "]"}
        )
        frame = Frame("index" if indexes else "group", at, self._top.scope, self._base if indexes else "")
        if indexes:
            frame.origins.update(dict.fromkeys(sorted(frame.scope.holder(frame.name).made.get(frame.name, ()))))
        self._open(frame)

    def _open(self, frame: Frame) -> None:
        """A bracket opens. Below a depth that nobody writes they are only counted."""
        if len(self._frames) < _DEEPEST:
            self._frames.append(frame)
        else:
            self._unread = f"functions and brackets more than {_DEEPEST} deep"
            self._beyond += frame.kind != "arrow"

    def _leave_arrows(self) -> None:
        while self._top.kind == "arrow" and len(self._frames) > 1:
            frame = self._frames.pop()
            self._settle(frame)
            self._returned.setdefault(frame.function, set()).update(frame.origins)

    def _close(self, at: int) -> int:
        self._leave_arrows()
        if self._beyond or len(self._frames) == 1:
            self._beyond = max(0, self._beyond - 1)
            return at + 1
        frame = self._frames.pop()
        self._settle(frame)
        self._closed = (frame.kind, frame.start, at)
        if frame.kind == "index":
            self._base = frame.name
        if frame.kind == "call":
            self._called(frame)
        if frame.holds or frame.kind == "object":
            return at + 1
        last = self._text(at - 1) if frame.kind == "group" and self._tokens[at - 1].kind == NAME else ""
        before = f"{frame.name}()" if frame.kind == "call" else self._resolved([last], {})[0] if last else "?"
        if last == "constructor" and "Function" in frame.origins:
            before = "Function"
        return self._chain(
            at + 1, [before if frame.kind == "call" or _runs(before) else "?"], dict(frame.origins), bare=True
        )

    def _called(self, frame: Frame) -> None:
        if frame.name in {"Buffer.from", "Buffer"} and {"base64", "hex"} & set(frame.texts):
            self._record((DECODED,))
        self._names.add(frame.name.rpartition(".")[2])
        function = self._function(frame.name)
        if function >= 0:
            self._given.setdefault(function, set()).update(frame.origins)
            self._record(self._returned.get(function, set()))
        if frame.name.endswith("promisify") and frame.handed and self._top.targets is not None:
            self._top.scope.names.update({name: frame.handed[0] for name, _ in self._top.targets})
        for handed in frame.handed[:4]:
            self._tell(handed, frame.line, (frame.name, *frame.origins))
        self._tell(frame.name, frame.line, frame.origins, " ".join(frame.texts))

    def _tell(self, name: str, line: int, origins: Iterable[str], text: str = "") -> None:
        if len(self._calls) >= _CALLS:
            self._unread = f"more than {_CALLS} calls"
        else:
            made = tuple(islice(origins, _ORIGINS))
            self._calls.append(ScriptCall(name=name, line=line, origins=made, text=text[:800], within=self._within()))

    def _within(self) -> str:
        """The outermost function around this place that nothing is seen to call."""
        for frame in self._frames:
            function = frame.function
            name = self._named.get(function, "")
            if function >= 0 and function not in self._running and name not in self._names and name != "constructor":
                return name or "?"
        return ""

    def _function(self, name: str) -> int:
        here: Scope | None = self._top.scope
        while here is not None:
            if name in here.functions:
                return here.functions[name]
            here = here.outer
        return -1

    def _settle(self, frame: Frame) -> None:
        """An assignment is over: what it is assigned to is made of what was read."""
        if frame.targets is None:
            return
        for target, _ in frame.targets:
            if target == "<return>":
                body = next((one for one in reversed([*self._frames, frame]) if one.kind == "body"), None)
                if body is not None and body.function >= 0:
                    self._returned.setdefault(body.function, set()).update(frame.assigned)
                continue
            root = target.partition(".")[0]
            for name in {target, root}:
                self._bind(name, frame.assigned, frame.scope.holder(root))
        frame.targets, frame.assigned = None, {}

    @staticmethod
    def _bind(name: str, origins: dict[str, None] | set[str], scope: Scope) -> None:
        have = scope.made.setdefault(name, set())
        for one in origins:
            if len(have) >= 2 * _ORIGINS:
                break
            have.add(one)

    def _assign(self, targets: list[tuple[str, str]]) -> None:
        frame = self._top
        for target, _ in targets:
            if self._declaring:
                frame.scope.declare(target)
        frame.targets, frame.assigned = targets, {}

    def _taken_apart(self, start: int, end: int) -> list[tuple[str, str]]:
        """The names of a pattern, each with what it is called in the value: `{a, b: c}` gives a and c."""
        found = []
        for at in range(start + 1, end):
            if self._tokens[at].kind == NAME and self._text(at + 1) in {",", "}", "]", "="}:
                key = self._text(at - 2) if self._text(at - 1) == ":" else self._text(at)
                found.append((self._text(at), key))
        return found[:64]

    def _parameters(self, start: int, end: int) -> list[str]:
        return [
            self._text(at)
            for at in range(start + 1, end)
            if self._tokens[at].kind == NAME and self._text(at - 1) not in {"=", ".", "?"}
        ][:32]

    def _arrow(self, at: int, parameters: list[str]) -> int:
        braced = self._text(at + 1) == "{"
        self._enter("body" if braced else "arrow", at, parameters)
        return at + 2 if braced else at + 1

    def _enter(self, kind: str, at: int, parameters: list[str], name: str = "") -> None:
        """A function begins. What a call that it is handed to has, its parameters have."""
        around = self._top
        scope = self._scopes.setdefault(at, Scope(around.scope))
        target = around.targets[0][0] if around.targets and not around.assigned else ""
        if name:
            around.scope.functions[name] = at
        elif target and around.targets and len(around.targets) == 1:
            # The name that the function is assigned to is one to call it by.
            around.scope.holder(target).functions[target] = at
        self._named[at] = (name or target).rpartition(".")[2]
        # What is handed to a call is called; without any name it is called where it stands.
        if around.kind in {"call", "group"} or (not name and not target and around.kind != "object") or ".on" in target:
            self._running.add(at)
        handed = dict.fromkeys(self._given.get(at, ()))
        if around.kind == "call":
            handed |= {around.name: None, **around.origins}
        if self._patches(target):
            handed |= {PATCHED: None}
        for parameter in parameters:
            scope.declare(parameter)
            self._bind(parameter, handed, scope)
            if around.kind == "call" and around.name.endswith(".then") and around.name.count(".") == 1:
                scope.names[parameter] = around.name.removesuffix(".then")
        frame = Frame(kind, at, scope)
        frame.function = at
        self._open(frame)

    def _patches(self, target: str) -> bool:
        """Whether a function is put in the place of one of another module."""
        root = target.partition(".")[0]
        module = self._top.scope.holder(root).names.get(root, root)
        return "." in target and self._of_module(module)

    def _of_module(self, name: str) -> bool:
        """Whether a name is that of a module that was asked for, or of a part of one."""
        at = name.find(".")
        while at >= 0:
            if name[:at] in self._modules:
                return True
            at = name.find(".", at + 1)
        return name in self._modules

    def _name(self, at: int) -> int:
        word = self._text(at)
        if word == "function":
            return self._declared(at)
        if word in _DECLARES:
            self._declaring = True
            return at + 1
        if word == "return":
            self._assign([("<return>", "")])
            return at + 1
        if word in {"in", "of"} and self._top.kind == "group" and self._tokens[at - 1].kind == NAME:
            self._assign([(self._text(at - 1), "")])
            return at + 1
        if word == "import" and self._text(at + 1) not in {"(", "."}:
            return self._imported(at)
        if word in _SKIPPED and self._text(at - 1) != ".":
            return at + 1
        if self._text(at + 1) == "=>":
            return self._arrow(at + 1, [word])
        if self._text(at + 1) == ":" and self._top.kind == "object" and self._text(at - 1) in {"{", ","}:
            return at + 1
        if (
            self._text(at + 1) == "("
            and self._top.kind in {"object", "block"}
            and self._text(at - 1) in {"{", ",", "}", ";", "async", "static"}
        ):
            method = self._method(at)
            if method:
                return method
        asked = self._required(at)
        if asked:
            self._ask(asked, at)
            return self._chain(at + 4, [asked], {}, bare=False, module=True)
        return self._chain(at + 1, [word], {}, bare=False)

    def _ask(self, module: str, at: int) -> None:
        self._modules.add(module)
        if module.startswith("/"):
            self._tell("require", self._line(at), (f"'{module}",))

    def _required(self, at: int) -> str:
        """The module that `require('a')` or `import('a')` asks for."""
        return self._asked(at + 1) if self._text(at) in {"require", "import"} else ""

    def _asked(self, at: int) -> str:
        """The module between brackets: a string, or a variable that holds one."""
        if self._text(at) != "(" or self._text(at + 2) != ")":
            return ""
        token = self._tokens[at + 1]
        text = token.text if token.kind == STRING else self._top.scope.holder(token.text).texts.get(token.text, "")
        return text.removeprefix("node:")

    def _method(self, at: int) -> int:
        """A method of an object or class: `name(a, b) {`. 0 where it is a call."""
        end = self._matching(at + 1)
        if self._text(end + 1) != "{":
            return 0
        self._enter("body", end + 1, self._parameters(at + 1, end), self._text(at))
        return end + 2

    def _declared(self, at: int) -> int:
        """`function name(a, b) {`."""
        start = at + 1
        if self._text(start) == "*":
            start += 1
        name = self._text(start) if self._text(start) != "(" else ""
        start += bool(name)
        end = self._matching(start)
        if self._text(start) != "(" or self._text(end + 1) != "{":
            return at + 1
        self._enter("body", end + 1, self._parameters(start, end), name)
        return end + 2

    def _matching(self, start: int) -> int:
        """Where a bracket closes."""
        depth = 0
        for at in range(start, min(len(self._tokens), start + 400)):
            text = self._text(at)
            depth += (text in {"(", "[", "{"}) - (text in {")", "]", "}"})
            if depth == 0:
                return at
        return start

    def _imported(self, at: int) -> int:
        """`import a, {b as c}, * as d from 'm'`."""
        scope, end = self._scopes[-1], at + 1
        while (
            end < len(self._tokens) and self._tokens[end].kind != STRING and end < at + 200 and self._text(end) != ";"
        ):
            end += 1
        if end >= len(self._tokens) or self._tokens[end].kind != STRING:
            return at + 1
        module = self._tokens[end].text.removeprefix("node:")
        self._modules.add(module)
        braced = False
        for place in range(at + 1, end):
            word = self._text(place)
            braced = (braced or word == "{") and word != "}"
            if (
                self._tokens[place].kind == NAME
                and word not in {"as", "from", "default"}
                and self._text(place + 1) != "as"
            ):
                renamed = self._text(place - 1) == "as"
                original = (self._text(place - 2) if renamed else word) if braced else "*"
                scope.names[word] = module if original in {"*", "default"} else f"{module}.{original}"
        return end + 1

    def _chain(self, at: int, parts: list[str], origins: dict[str, None], *, bare: bool, module: bool = False) -> int:
        """A value with its attributes, up to what is done with it.

        `bare` is one that only counts where something follows; the first part of a `module` is its name.
        """
        begun = len(parts)
        while self._text(at) == "." and len(parts) < _CHAIN:
            if at + 1 < len(self._tokens) and self._tokens[at + 1].kind == NAME:
                parts.append(self._text(at + 1))
                at += 2
            else:
                at += 1  # `?.(` and `?.[`
                break
        if bare and len(parts) == begun and self._text(at) not in {"(", "["}:
            return at
        if not bare:
            self._base = parts[0]
        named = ".".join(part for part in parts if part != "default")
        name, origins = (named, origins) if module else self._resolved(parts, origins)
        following = self._text(at)
        # `module.constructor._load('a')`, `process.mainModule.require('a')`, `const r = require; r('a')`.
        asked = self._asked(at) if name.rpartition(".")[2] in {"require", "_load"} else ""
        if asked:
            self._ask(asked, at)
            return self._chain(at + 3, [asked], {}, bare=False, module=True)
        if self._top.kind == "call" and following in {")", ","}:
            self._names.add(parts[-1])
            if _runs(name):
                self._top.handed.append(name)
        if following in _ASSIGNS and not bare:
            self._assign([(".".join(parts), "")])
            if name == WALLET:
                said = [one.text for one in self._tokens if one.kind == STRING and one.text.startswith(("eth_", "0x"))]
                self._tell(f"{WALLET}=", self._line(at), (), " ".join(said))
            return at + 1
        # Among the arguments of a call nothing is declared.
        declares = self._declaring and self._top.kind not in {"call", "group", "index", "object"}
        if declares and following in {";", ","} and self._top.targets is None:
            self._top.scope.declare(name)
        self._stand_for(name, following)
        read = "." in name or "(" in name or following == "(" or name == "Function"
        self._record({**origins, name: None} if read else origins)
        if following == "(":
            frame = Frame("call", at, self._top.scope, name)
            frame.origins.update(origins)
            frame.line = self._line(at)
            self._open(frame)
            return at + 1
        return at

    def _line(self, at: int) -> int:
        return bisect_right(self._lines, self._tokens[at].at - 1) + 1

    def _stand_for(self, name: str, following: str) -> None:
        """An assignment of nothing but a module, or a part of one, is another name for it."""
        frame = self._top
        if (
            frame.targets is None
            or (frame.assigned and name != "Function")
            or following in {"(", "+", "?", "||", "&&", "["}
        ):
            return
        root = name.partition(".")[0]
        # Modules of an organisation have a stroke in their names, and some a dot.
        known = root.partition("/")[0] in self._modules or root in _THEMSELVES or name in self._modules
        if not known and not (name[:1] == "@" and self._of_module(name)):
            return
        for target, key in frame.targets:
            if target != "<return>" and "." not in target:
                frame.scope.holder(target).names[target] = f"{name}.{key}" if key else name

    def _resolved(self, parts: list[str], origins: dict[str, None]) -> tuple[str, dict[str, None]]:
        """The real name of a chain, and what its root, or the whole of it, is made of."""
        while len(parts) > 1 and parts[0] in _GLOBALS:
            parts = parts[1:]
        root = parts[0]
        scope = self._top.scope.holder(root)
        made = set(scope.made.get(root, ())) | scope.made.get(".".join(parts[:2]), set())
        # A variable that merely has the name of a module is none.
        own = root in _MODULES and root in scope.made
        full = scope.names.get(root, f"{root}_" if own else root)
        name = ".".join([full, *(part for part in parts[1:] if part != "default")])
        # The constructor of a function is what makes functions of texts.
        name = (
            "Function"
            if name in {"?.constructor", "Function.constructor", "Object.getPrototypeOf().constructor"}
            else name
        )
        return name, {**origins, **dict.fromkeys(sorted(made))}


def _runs(name: str) -> bool:
    """Whether a name is of something that runs what it is given."""
    return name in {"eval", "Function"} or name.startswith("child_process.")
