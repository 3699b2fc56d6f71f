"""Knows how one pass over a syntax tree becomes the facts of a module (`python_source`).

Every node of every Python file that is read in full passes here: compiled with mypyc, it takes half of the time. Runs unchanged without it.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from weighbridge.formats.python_source import (
    CALL_BACK,
    COMPUTED,
    MEDIA,
    MODULE,
    PARAMETER,
    SECRETS,
    VALUE,
    Call,
    Keyword,
    PythonModule,
    Text,
)
from weighbridge.schema import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NODES: Final = 2_000_000
_FOLDED: Final = 1 << 16
_ORIGINS: Final = 16
_DOTTED: Final = re.compile(r"[A-Za-z_][\w.]*\Z")
_Parts: TypeAlias = list[tuple[ast.AST, str]] | None
_SENSITIVE: Final = frozenset({"os", "builtins", "subprocess", "sys", "posix", "nt", "ctypes", "importlib", "pty"})
_SILENT: Final[frozenset[type]] = frozenset(
    {
        str,
        int,
        type(None),
        ast.Load,
        ast.Store,
        ast.Del,
        ast.Add,
        ast.Sub,
        ast.Mult,
        ast.Div,
        ast.And,
        ast.Or,
        ast.Not,
        ast.USub,
        ast.Eq,
    }
)
_UNTOLD: Final[frozenset[type]] = _SILENT | {ast.Name}
_ENVIRONMENT: Final = "os.environ"
_MEDIA_NAME: Final = re.compile(
    r"\.(?:png|jpe?g|gif|bmp|webp|ico|svg|wav|mp3|ogg|flac|mp4|ttf|otf|woff2?)\Z", re.IGNORECASE
)
_SECRET_PATH: Final = re.compile(
    r"\bid_(?:rsa|ed25519|ecdsa|dsa)\b(?!\.pub)|\.ssh[/\\]*\Z|wallet\.dat|[Ee]xodus[/\\.]|Login Data|\bkey4\.db|\blogins\.json"
    r"|cookies\.sqlite|Local Storage[/\\]+leveldb|/etc/shadow|\.gnupg\b|\.(?:bash|zsh)_history|solana[/\\]id\.json"
)
_IMPORTERS: Final = frozenset({"__import__", "builtins.__import__", "importlib.import_module"})


class Reader:
    """The pass: a stack of nodes to visit with the scope each of them runs in."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {"__builtins__": "builtins"}
        self._imported: set[str] = set()
        # (scope, name) of a variable, (class, attribute of self) of an object → what it was made of.
        self._instances: dict[tuple[str, str], str] = {}
        self._made: dict[tuple[str, str], tuple[str, ...]] = {}
        self._values: dict[tuple[str, str], object] = {}
        self._imports: list[str] = []
        self._calls: list[Call] = []
        self._functions: dict[str, list[str]] = {MODULE: []}
        self._classes: dict[str, tuple[str, ...]] = {}
        self._texts: list[Text] = []
        self._returns: dict[str, dict[str, None]] = {}
        # A visitor says which parts of a node run where; None for all of them, in the scope of the node.
        self._visitors: dict[type[ast.AST], Callable[[Any, str], _Parts]] = {
            ast.Import: self._import, ast.ImportFrom: self._import_from, ast.FunctionDef: self._function, ast.AsyncFunctionDef: self._function,
            ast.ClassDef: self._class, ast.Return: self._return, ast.Yield: self._return, ast.Lambda: self._lambda, ast.Assign: self._assigned,
            ast.AnnAssign: self._assigned, ast.NamedExpr: self._assigned, ast.AugAssign: self._assigned, ast.withitem: self._entered,
            ast.For: self._looped, ast.Call: self._called, ast.Constant: self._constant, ast.If: self._if,
        }  # fmt: skip

    def module(self, tree: ast.Module, lines: int) -> PythonModule:
        """The facts of a module of so many lines. Raises LimitExceeded beyond two million nodes."""
        waiting: list[tuple[ast.AST, str]] = [(tree, MODULE)]
        count = 0
        while waiting:
            node, scope = waiting.pop()
            count += 1
            if count > _NODES:
                raise LimitExceeded(f"more than {_NODES} nodes of Python", limit="members")
            # Looked up by type: this loop sees every node of every file.
            visit = self._visitors.get(type(node))
            parts = visit(node, scope) if visit is not None else None
            if parts is None:
                _descend(node, scope, waiting)
                continue
            parts.reverse()
            waiting += [part for part in parts if type(part[0]) is not ast.Name]
        return PythonModule(
            imports=tuple(dict.fromkeys(self._imports)),
            calls=tuple(self._calls),
            functions={name: tuple(dict.fromkeys(calls)) for name, calls in self._functions.items()},
            classes=self._classes,
            texts=tuple(self._texts),
            lines=lines,
            returns={name: tuple(origins) for name, origins in self._returns.items()},
        )

    def _function(self, node: Any, scope: str) -> _Parts:
        inner = f"{scope}.{node.name}" if scope else node.name
        self._functions.setdefault(inner, [])
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            if argument.arg not in {"self", "cls"}:
                self._made[inner, argument.arg] = (PARAMETER,)
        # Decorators, defaults and annotations run where the function is defined.
        self._decorated(node.decorator_list, scope)
        outside = [*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)]
        self._functions[scope] += [name for d in node.decorator_list if (name := self.dotted(d))]
        return [*((part, scope) for part in outside), *((part, inner) for part in node.body)]

    def _class(self, node: ast.ClassDef, scope: str) -> _Parts:
        name = f"{scope}.{node.name}" if scope else node.name
        self._classes[name] = tuple(filter(None, (self.dotted(base) for base in node.bases)))
        # A class body runs on definition; its methods are scopes of their own, under the class's name.
        self._functions.setdefault(name, [])
        self._functions[scope].append(f"{name}.<body>")
        self._functions.setdefault(f"{name}.<body>", [])
        parts: list[tuple[ast.AST, str]] = []
        for part in node.body:
            is_method = isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            parts.append((part, name if is_method else f"{name}.<body>"))
        self._decorated(node.decorator_list, scope)
        return [*parts, *((part, scope) for part in (*node.decorator_list, *node.bases))]

    def _return(self, node: Any, scope: str) -> _Parts:
        if node.value is None:
            return []
        self._returns.setdefault(scope, {}).update(dict.fromkeys(self._origins(node.value, scope)))
        return [(node.value, scope)]

    def _lambda(self, node: ast.Lambda, scope: str) -> _Parts:
        return [(node.body, f"{scope}.<lambda>" if scope else "<lambda>")]

    def _assigned(self, node: Any, scope: str) -> _Parts:
        self._assign(node, scope)
        return None

    def _entered(self, node: ast.withitem, scope: str) -> _Parts:
        if node.optional_vars is not None:
            self._instance(node.optional_vars, node.context_expr, scope)
        if isinstance(node.optional_vars, ast.Name):
            self._made[scope, node.optional_vars.id] = self._origins(node.context_expr, scope)
        return None

    def _looped(self, node: ast.For, scope: str) -> _Parts:
        if isinstance(node.target, ast.Name):
            self._made[scope, node.target.id] = self._origins(node.iter, scope)
        return None

    def _called(self, node: ast.Call, scope: str) -> _Parts:
        self._call(node, scope)
        return None

    def _constant(self, node: ast.Constant, scope: str) -> _Parts:
        del scope
        value = node.value
        if isinstance(value, str) and len(value) > 7:
            self._texts.append(Text(node.lineno, value))
        elif isinstance(value, bytes) and len(value) > 7:
            self._texts.append(Text(node.lineno, value.decode("latin-1")))
        return []

    def _if(self, node: ast.If, scope: str) -> _Parts:
        if not _main_guard(node.test):
            return None
        self._functions.setdefault("<main>", [])
        return [*((part, "<main>") for part in node.body), *((part, scope) for part in node.orelse)]

    def _decorated(self, decorators: list[ast.expr], scope: str) -> None:
        """A bare decorator is a call: the decorators below it make its argument."""
        names = [self.dotted(decorator) for decorator in decorators]
        for number, (decorator, name) in enumerate(zip(decorators, names, strict=True)):
            if name:
                below = tuple(filter(None, names[number + 1 :]))
                self._calls.append(
                    Call(name=name, line=decorator.lineno, scope=scope, arguments=(None,), keywords=(), origins=below)
                )

    def _import(self, node: ast.Import, scope: str) -> _Parts:
        del scope
        for alias in node.names:
            self._imports.append(alias.name)
            root = alias.name.partition(".")[0]
            self._names[alias.asname or root] = alias.name if alias.asname else root
            self._imported.add(alias.asname or root)
        return []

    def _import_from(self, node: ast.ImportFrom, scope: str) -> _Parts:
        del scope
        module = "." * node.level + (node.module or "")
        self._imports.append(module)
        joint = "" if module.endswith(".") else "."
        for alias in node.names:
            self._names[alias.asname or alias.name] = f"{module}{joint}{alias.name}"
            self._imported.add(alias.asname or alias.name)
        return []

    def _assign(self, node: Any, scope: str) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        value = node.value
        if value is None:
            return
        if isinstance(value, ast.Lambda):
            for target in targets:
                if isinstance(target, ast.Name):
                    inner = f"{scope}.<lambda>" if scope else "<lambda>"
                    self._returns.setdefault(target.id, {}).update(dict.fromkeys(self._origins(value.body, inner)))
                    self._functions.setdefault(target.id, []).extend(self._origins(value.body, inner))
        dotted, origins, constant = self.dotted(value), self._origins(value, scope), self.constant(value, scope)
        for target in targets:
            self._instance(target, value, scope)
            if not isinstance(target, ast.Name):
                continue
            if dotted and not isinstance(node, ast.AugAssign):
                self._names[target.id] = dotted
            else:
                self._names.pop(target.id, None)
            self._made[scope, target.id] = origins
            self._values[scope, target.id] = constant
            if not scope and origins:
                self._returns.setdefault(target.id, {}).update(dict.fromkeys(origins))

    def _instance(self, target: ast.AST, value: ast.AST, scope: str) -> None:
        """Remember what a variable, or an attribute of self, was made of."""
        key = _own_name(target)
        if key:
            made = self.dotted(value.func) if isinstance(value, ast.Call) else ""
            self._instances[_home(key, scope), key] = f"{made}()" if made else ""

    def _method(self, node: ast.AST, scope: str) -> str:
        """The name of a method by the class of its value, where that is known."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
            key = _own_name(node)
            if key:
                made = self._instances.get((_home(key, scope), key)) or self._instances.get((MODULE, key))
                if made:
                    return ".".join([made, *reversed(parts)])
        return ""

    def _call(self, node: ast.Call, scope: str) -> None:
        name = self.dotted(node.func) or self._described(node.func)
        self._functions.setdefault(scope, []).append(name)
        origins: dict[str, None] = {}
        for part in (*node.args, *(keyword.value for keyword in node.keywords)):
            origins.update(dict.fromkeys(self._origins(part, scope)))
            if name.rpartition(".")[2] in CALL_BACK and (given := self.dotted(part)):
                self._functions[scope].append(given)
        keywords = []
        for keyword in node.keywords:
            value = self.constant(keyword.value, scope)
            known = value is not None or _is_none(keyword.value)
            keywords.append(Keyword(keyword.arg or "**", value, known, self.dotted(keyword.value)))
        self._calls.append(
            Call(
                name=name,
                line=node.lineno,
                scope=scope,
                arguments=tuple(self.constant(argument, scope) for argument in node.args),
                keywords=tuple(keywords),
                origins=tuple([name for name in origins if not name.endswith(VALUE)][:_ORIGINS]),
                values=tuple([name for name in origins if name.endswith(VALUE)][:_ORIGINS]),
                refers=tuple(self._handed_over(node.args)),
                method=self._method(node.func, scope),
            )
        )

    def _handed_over(self, arguments: list[ast.expr]) -> Iterator[str]:
        for argument in arguments:
            for part in argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]:
                name = self.dotted(part)
                if name:
                    yield name

    def dotted(self, node: ast.AST) -> str:
        """The full name that an expression stands for; empty where it is none."""
        parts: list[str] = []
        while True:
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Name):
                parts.append(self._names.get(node.id, node.id))
                return ".".join(reversed(parts))
            elif (isinstance(node, ast.Call) and (root := self._reflected(node))) or (
                isinstance(node, ast.Subscript) and (root := self._looked_up(node))
            ):
                parts.append(root)
                return ".".join(reversed(parts))
            else:
                return ""

    def _reflected(self, node: ast.Call) -> str:
        """`getattr(a, "b")`, `__import__("a")` and the like, as the name they come to."""
        if not isinstance(node.func, ast.Name | ast.Attribute):
            return ""
        name = self.dotted(node.func)
        first = self.constant(node.args[0], MODULE) if node.args else None
        if name in _IMPORTERS and isinstance(first, str) and _DOTTED.match(first):
            return first
        if name in {"getattr", "builtins.getattr"} and len(node.args) > 1:
            base, attribute = self.dotted(node.args[0]), self.constant(node.args[1], MODULE)
            if base and isinstance(attribute, str) and _DOTTED.match(attribute):
                return f"{base}.{attribute}"
            if base in _SENSITIVE and attribute is None:
                return f"{base}.{COMPUTED}"
        return ""

    def _looked_up(self, node: ast.Subscript) -> str:
        """`os.__dict__["system"]`, `vars(os)["system"]`, `sys.modules["os"]`, `globals()["x"]` as the name they come to."""
        key = self.constant(node.slice, MODULE)
        table = node.value
        if isinstance(table, ast.Call) and isinstance(table.func, ast.Name):
            base = self.dotted(table.args[0]) if table.func.id == "vars" and table.args else ""
            plain = table.func.id in {"globals", "locals"}
        else:
            name = self.dotted(table)
            base, plain = name.removesuffix(".__dict__") if name.endswith(".__dict__") else "", name == "sys.modules"
            base = base or ("builtins" if name == "builtins" else "")
        if not isinstance(key, str) or not _DOTTED.match(key):
            return f"{base}.{COMPUTED}" if base in _SENSITIVE else ""
        if plain:
            return self._names.get(key, key)
        return f"{base}.{key}" if base else ""

    def _described(self, node: ast.AST) -> str:
        """A method of a value that a call made: `requests.get().json`."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Call):
            parts.append(f"{self.dotted(node.func) or '?'}()")
        elif isinstance(node, ast.Constant):
            parts.append(type(node.value).__name__)
        else:
            parts.append("?")
        return ".".join(reversed(parts))

    def _origins(self, node: ast.AST, scope: str) -> tuple[str, ...]:
        """Calls whose results an expression is made of, directly or through variables."""
        found: dict[str, None] = {}
        waiting: list[ast.AST] = [node]
        while waiting and len(found) < 2 * _ORIGINS:
            current = waiting.pop()
            if isinstance(current, ast.Call):
                name = self.dotted(current.func) or self._described(current.func)
                found[MEDIA if _opens_media(name, current) else name] = None
                method = self._method(current.func, scope)
                if method:
                    found[method] = None
                if isinstance(current.func, ast.Attribute) and not self._is_environment(current.func):
                    waiting.append(current.func.value)
                waiting += [*current.args, *(keyword.value for keyword in current.keywords)]
                continue
            if isinstance(current, ast.Name):
                made = self._made.get((scope, current.id)) or self._made.get((MODULE, current.id))
                found.update(dict.fromkeys(made or self._foreign(current)))
                continue
            if isinstance(current, ast.Constant):
                if isinstance(current.value, str) and len(current.value) > 3 and _SECRET_PATH.search(current.value):
                    found[SECRETS] = None
                continue
            if isinstance(current, ast.Subscript) and self.dotted(current.value) == _ENVIRONMENT:
                found[f"{_ENVIRONMENT}[]"] = None
                continue
            if isinstance(current, ast.Attribute) and self.dotted(current) == _ENVIRONMENT:
                found[_ENVIRONMENT] = None
                continue
            if isinstance(current, ast.Attribute) and isinstance(current.value, ast.Name):
                found.update(dict.fromkeys(self._foreign(current)))
            waiting += _children(current)
        return tuple(found)

    def _foreign(self, node: ast.Name | ast.Attribute) -> tuple[str, ...]:
        """The variable of another module that a name stands for, if it may be one."""
        root = node.value if isinstance(node, ast.Attribute) else node
        if not isinstance(root, ast.Name) or root.id not in self._imported:
            return ()
        name = self.dotted(node)
        return (f"{name}{VALUE}",) if "." in name.lstrip(".") or name.startswith(".") else ()

    def _is_environment(self, node: ast.Attribute) -> bool:
        """A method that takes one variable, or says nothing about any: the environment itself goes nowhere by it."""
        return node.attr not in {"copy", "items", "values"} and self.dotted(node.value) == _ENVIRONMENT

    def constant(self, node: ast.AST, scope: str) -> object:
        """The constant an expression comes to, strings joined; None where there is none."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self._values.get((scope, node.id), self._values.get((MODULE, node.id)))
        if isinstance(node, ast.List | ast.Tuple) and len(node.elts) < 64:
            return tuple(self.constant(part, scope) if not isinstance(part, ast.List) else None for part in node.elts)
        if isinstance(node, ast.JoinedStr):
            return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)[:_FOLDED]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._joined(node, scope)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Slice)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
            and _backwards(node.slice)
        ):
            return node.value.value[::-1]
        return None

    def _joined(self, node: ast.BinOp, scope: str) -> object:
        parts: list[str] = []
        waiting: list[ast.AST] = [node]
        while waiting:
            current = waiting.pop()
            if isinstance(current, ast.BinOp) and isinstance(current.op, ast.Add):
                waiting += [current.left, current.right]
                continue
            value = None if isinstance(current, ast.BinOp) else self.constant(current, scope)
            if not isinstance(value, str) or len(parts) > 256:
                return None
            parts.append(value)
        return "".join(reversed(parts))[:_FOLDED]


def _descend(node: ast.AST, scope: str, waiting: list[tuple[ast.AST, str]]) -> None:
    """Have the parts of a node visited in their order: `waiting` is a stack. Plain names say nothing by themselves."""
    fields = _PARTS.get(type(node)) or _parts(type(node))
    for number in range(len(fields) - 1, -1, -1):
        value = getattr(node, fields[number], None)
        if type(value) is list:
            for place in range(len(value) - 1, -1, -1):
                part = value[place]
                if type(part) not in _UNTOLD and isinstance(part, ast.AST):
                    waiting.append((part, scope))
        elif type(value) not in _UNTOLD and isinstance(value, ast.AST):
            waiting.append((value, scope))


def _children(node: ast.AST) -> list[ast.AST]:
    """The parts of a node, without the leaves that say nothing: contexts, operators."""
    found: list[ast.AST] = []
    for name in _PARTS.get(type(node)) or _parts(type(node)):
        value = getattr(node, name, None)
        if type(value) is list:
            for part in value:
                if type(part) not in _SILENT and isinstance(part, ast.AST):
                    found.append(part)
        elif type(value) not in _SILENT and isinstance(value, ast.AST):
            found.append(value)
    return found


_PARTS: Final[dict[type[ast.AST], tuple[str, ...]]] = {}
_PLAIN: Final = frozenset(
    {
        "ctx",
        "op",
        "ops",
        "id",
        "attr",
        "arg",
        "name",
        "asname",
        "kind",
        "type_comment",
        "lineno",
        "level",
        "is_async",
        "simple",
        "conversion",
    }
)


def _parts(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields of a kind of node that can hold nodes worth visiting."""
    _PARTS[kind] = tuple(name for name in kind._fields if name not in _PLAIN)
    return _PARTS[kind]


def _own_name(node: ast.AST) -> str:
    """The name of a variable, or of an attribute of self; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id if node.id != "self" else ""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return f"self.{node.attr}"
    return ""


def _home(key: str, scope: str) -> str:
    """Where a name is remembered: a variable in its function, an attribute in its class."""
    return scope.rpartition(".")[0] if key.startswith("self.") else scope


def _opens_media(name: str, node: ast.Call) -> bool:
    """Whether a call opens a picture, a sound or a font by a name that is written out, or put together from one."""
    if name.rpartition(".")[2] not in {"open", "Path", "read_bytes", "get_data"}:
        return False
    waiting: list[ast.AST] = list(node.args)
    for _ in range(16):
        if not waiting:
            return False
        current = waiting.pop()
        if isinstance(current, ast.Constant):
            if isinstance(current.value, str) and _MEDIA_NAME.search(current.value):
                return True
        else:
            waiting += _children(current)
    return False


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _backwards(part: ast.Slice) -> bool:
    step = part.step
    return part.lower is None and part.upper is None and isinstance(step, ast.UnaryOp) and isinstance(step.op, ast.USub)


def _main_guard(test: ast.AST) -> bool:
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and any(isinstance(c, ast.Constant) and c.value == "__main__" for c in test.comparators)
    )
