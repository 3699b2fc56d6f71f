"""Knows how one pass over a syntax tree becomes the facts of a module (`python_source`).

Every node of every Python file that is read in full passes here: compiled with mypyc, it takes half of the time. Runs unchanged without it.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from weighbridge.formats.python_bindings import Bindings
from weighbridge.formats.python_nodes import (
    backwards,
    children,
    descend,
    inside,
    is_none,
    is_numbers,
    is_spelled,
    joins_single,
    main_guard,
    opens_media,
    under,
)
from weighbridge.formats.python_secrets import is_key, may_give_secrets, of_call, of_path, of_variable
from weighbridge.formats.python_source import (
    CALL_BACK,
    COMPUTED,
    KEY,
    MEDIA,
    MESSAGE,
    MODULE,
    NUMBERS,
    PARAMETER,
    PATCHED,
    PROPERTIES,
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
_ENVIRONMENT: Final = "os.environ"
_REQUESTS: Final = ("request.", "flask.request.", "self.request.")
_LISTENERS: Final = frozenset({"on_message", "message_handler", "on_data", "on_command"})
_EVENTS: Final = frozenset({"on_message", "on_raw_message_edit", "on_message_edit"})
_WRAPPERS: Final = ("tarfile.open", "zipfile.ZipFile", "gzip.GzipFile", "tarfile.TarFile")
_HOLES: Final = re.compile(r"%[-#0 +]*+[\d*]*+(?:\.\d++)?[sdrxif]|\{[^{}\n]{0,40}\}")
_TEXT_RUNNERS: Final = frozenset({"exec", "eval", "builtins.exec", "builtins.eval"})
_RUNNERS: Final = _TEXT_RUNNERS | {"os.system", "os.popen"}
_PUT_TOGETHER: Final = (ast.BinOp, ast.GeneratorExp, ast.ListComp)
_ADDERS: Final = frozenset({"append", "appendleft", "extend", "insert", "add", "update", "setdefault"})
_CHOSEN_FROM: Final = 32
_IMPORTERS: Final = frozenset({"__import__", "builtins.__import__", "importlib.import_module"})


class Reader:
    """The pass: a stack of nodes to visit with the scope each of them runs in."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {"__builtins__": "builtins"}
        self._imported: dict[str, None] = {}
        self._bindings = Bindings()
        self._values: dict[tuple[str, str], object] = {}
        # Archives that are written into a buffer, by their names.
        self._laid_over: dict[str, ast.Name] = {}
        self._imports: list[str] = []
        self._calls: list[Call] = []
        self._functions: dict[str, list[str]] = {MODULE: []}
        self._classes: dict[str, tuple[str, ...]] = {}
        self._texts: list[Text] = []
        self._returns: dict[str, dict[str, None]] = {}
        # A visitor says which parts of a node run where; None for all of them, in the scope of the node.
        self._visitors: dict[type[ast.AST], Callable[[Any, str], _Parts]] = {
            ast.Import: self._import, ast.ImportFrom: self._import_from, ast.FunctionDef: self._function, ast.AsyncFunctionDef: self._function,
            ast.ClassDef: self._class, ast.Return: self._return, ast.Yield: self._return, ast.Lambda: self._lambda, ast.Assign: self._assign,
            ast.AnnAssign: self._assign, ast.NamedExpr: self._assign, ast.AugAssign: self._assign, ast.withitem: self._entered,
            ast.For: self._looped, ast.AsyncFor: self._looped, ast.ListComp: self._comprehended, ast.SetComp: self._comprehended,
            ast.GeneratorExp: self._comprehended, ast.DictComp: self._comprehended, ast.Match: self._matched, ast.Global: self._shared,
            ast.Call: self._call, ast.Constant: self._constant, ast.If: self._if,
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
                descend(node, scope, waiting)
                continue
            parts.reverse()
            waiting += [part for part in parts if type(part[0]) is not ast.Name]
        return PythonModule(
            names={name: self._names[name] for name in self._imported if name in self._names},
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
        self._parameters(node.args, inner)
        # Decorators, defaults and annotations run where the function is defined.
        names = self._decorated(node.decorator_list, scope)
        outside = [
            *node.decorator_list,
            *node.args.defaults,
            *(d for d in node.args.kw_defaults if d),
            *_annotated(node),
        ]
        self._functions[scope] += names
        for name in names:
            self._listens(name.rpartition(".")[2], inner, node.lineno, scope)
        if any(name.endswith("property") for name in names):
            self._functions.setdefault(f"{scope}.{PROPERTIES}", []).append(inner)
        return [*((part, scope) for part in outside), *((part, inner) for part in node.body)]

    def _class(self, node: ast.ClassDef, scope: str) -> _Parts:
        name = f"{scope}.{node.name}" if scope else node.name
        self._classes[name] = tuple(filter(None, (self.dotted(base) for base in node.bases)))
        # A class body runs on definition; its methods are scopes of their own, under the class's name.
        self._functions.setdefault(name, [])
        self._functions[scope].append(f"{name}.<body>")
        self._functions.setdefault(f"{name}.<body>", [])
        # What bases and metaclasses do when a class is made of them.
        for base in self._classes[name]:
            self._functions[scope].append(f"{base}.__init_subclass__")
        for keyword in node.keywords:
            meta = self.dotted(keyword.value) if keyword.arg == "metaclass" else ""
            self._functions[scope] += [f"{meta}.{method}" for method in ("__new__", "__init__", "__prepare__") if meta]
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
        return [(node.body, inside(scope))]

    def _parameters(self, arguments: ast.arguments, inner: str) -> None:
        more = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *more):
            if argument.arg not in {"self", "cls"}:
                given = (PARAMETER, KEY) if is_key(argument.arg) else (PARAMETER,)
                # Bots are told what to do by what is written to them.
                told = inner.rpartition(".")[2] in _EVENTS
                self._bindings.bind_name(argument.arg, (*given, MESSAGE) if told else given, inner)

    def _entered(self, node: ast.withitem, scope: str) -> _Parts:
        if node.optional_vars is not None:
            self._object(node.optional_vars, node.context_expr, scope)
            self._bindings.bind(node.optional_vars, self._origins(node.context_expr, scope), scope)
        return None

    def _looped(self, node: ast.For | ast.AsyncFor, scope: str) -> _Parts:
        self._bindings.bind(node.target, self._origins(node.iter, scope), scope)
        return None

    def _comprehended(self, node: Any, scope: str) -> _Parts:
        for part in node.generators:
            self._bindings.bind(part.target, self._origins(part.iter, scope), scope)
        return None

    def _matched(self, node: ast.Match, scope: str) -> _Parts:
        origins = self._origins(node.subject, scope)
        for case in node.cases:
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) or getattr(part, "rest", None)
                if isinstance(name, str):
                    self._bindings.bind_name(name, origins, scope)
        return None

    def _shared(self, node: ast.Global, scope: str) -> _Parts:
        for name in node.names:
            self._bindings.share(name, scope)
        return []

    def _constant(self, node: ast.Constant, scope: str) -> _Parts:
        del scope
        value = node.value
        if isinstance(value, str) and len(value) > 6:
            self._texts.append(Text(node.lineno, value))
        elif isinstance(value, bytes) and len(value) > 7:
            self._texts.append(Text(node.lineno, value.decode("latin-1")))
        return []

    def _if(self, node: ast.If, scope: str) -> _Parts:
        if not main_guard(node.test):
            return None
        self._functions.setdefault("<main>", [])
        return [*((part, "<main>") for part in node.body), *((part, scope) for part in node.orelse)]

    def _decorated(self, decorators: list[ast.expr], scope: str) -> list[str]:
        """The names of bare decorators. Each is a call: the decorators below it make its argument."""
        names = [self.dotted(decorator) for decorator in decorators]
        for number, (decorator, name) in enumerate(zip(decorators, names, strict=True)):
            if name:
                below = tuple(filter(None, names[number + 1 :]))
                self._calls.append(
                    Call(name=name, line=decorator.lineno, scope=scope, arguments=(None,), keywords=(), origins=below)
                )
        return [name for name in names if name]

    def _import(self, node: ast.Import, scope: str) -> _Parts:
        del scope
        for alias in node.names:
            self._imports.append(alias.name)
            root = alias.name.partition(".")[0]
            self._names[alias.asname or root] = alias.name if alias.asname else root
            self._imported[alias.asname or root] = None
        return []

    def _import_from(self, node: ast.ImportFrom, scope: str) -> _Parts:
        del scope
        module = "." * node.level + (node.module or "")
        self._imports.append(module)
        joint = "" if module.endswith(".") else "."
        if node.names[0].name == "*":
            self._imports.append(f"{module}{joint}*")
            return []
        for alias in node.names:
            self._names[alias.asname or alias.name] = f"{module}{joint}{alias.name}"
            self._imported[alias.asname or alias.name] = None
        return []

    def _assign(self, node: Any, scope: str) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        value = node.value
        if value is None:
            return
        if isinstance(value, ast.Lambda):
            given = self._origins(value.body, inside(scope))
            for target in targets:
                if isinstance(target, ast.Name):
                    self._returns.setdefault(target.id, {}).update(dict.fromkeys(given))
                    self._functions.setdefault(target.id, []).extend((*given, inside(scope)))
        dotted, origins = self.dotted(value) or self._runner(value), self._origins(value, scope)
        if isinstance(node, ast.AugAssign) and is_spelled(value, 1):
            origins = (*origins, "chr")
        constant = self.constant(value, scope)
        for target in targets:
            self._replaced(target, value, node.lineno, scope)
            self._object(target, value, scope)
            self._bindings.bind(target, origins, scope, more=isinstance(node, ast.AugAssign))
            if not isinstance(target, ast.Name):
                continue
            if dotted and not isinstance(node, ast.AugAssign):
                self._names[target.id] = dotted
            else:
                self._names.pop(target.id, None)
            self._values[scope, target.id] = constant
            if not scope and origins:
                self._returns.setdefault(target.id, {}).update(dict.fromkeys(origins))

    def _replaced(self, target: ast.AST, value: ast.AST, line: int, scope: str) -> None:
        """A function of another module that one of this module takes the place of: it is called with what is handed to that one."""
        if type(target) is not ast.Attribute or type(value) is not ast.Name:
            return
        self._listens(target.attr, self.dotted(value), line, scope)
        root: ast.AST = target
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in self._imported:
            made = (f"{PATCHED}{self.dotted(target)}",)
            self._calls.append(
                Call(name=self.dotted(value), line=line, scope=scope, arguments=(None,), keywords=(), origins=made)
            )

    def _object(self, target: ast.AST, value: ast.AST, scope: str) -> None:
        made = self.dotted(value.func) if isinstance(value, ast.Call) else ""
        if made in _WRAPPERS and isinstance(value, ast.Call) and isinstance(target, ast.Name):
            given = [*value.args[:1], *(one.value for one in value.keywords if one.arg in {"fileobj", "file"})]
            below = next((one for one in given if isinstance(one, ast.Name)), None)
            if below is not None:
                self._laid_over[target.id] = below
        self._bindings.is_object(target, f"{made}()" if made else "", scope)

    def _runner(self, value: ast.AST) -> str:
        """What runs text, where an expression chooses it from a list, a table or a condition."""
        if not isinstance(value, ast.List | ast.Tuple | ast.Dict | ast.Subscript | ast.IfExp | ast.BoolOp):
            return ""
        named = (self.dotted(one) for one in under([value], _CHOSEN_FROM) if isinstance(one, ast.Name | ast.Attribute))
        return next((name for name in named if name in _RUNNERS), "")

    def _call(self, node: ast.Call, scope: str) -> None:
        name = self.dotted(node.func) or self._described(node.func)
        self._functions.setdefault(scope, []).append(name)
        origins: dict[str, None] = {}
        called: list[str] = []
        # Only the first argument of exec is run; the names that it is run with are not.
        given_text = node.args[:1] if name in _TEXT_RUNNERS else node.args
        for part in (*given_text, *(keyword.value for keyword in node.keywords)):
            origins.update(dict.fromkeys(self._origins(part, scope)))
            if name.rpartition(".")[2] in CALL_BACK:
                given = inside(scope) if type(part) is ast.Lambda else self.dotted(part)
                if given:
                    called.append(given)
        self._functions[scope] += called
        if isinstance(node.func, ast.Attribute) and node.func.attr == "extractall":
            origins.update(dict.fromkeys(self._origins(node.func.value, scope)))
        if name == "os.path.join" and (path := self._path(node, scope)):
            self._texts.append(Text(node.lineno, path))
        self._take(node, origins, scope)
        keywords = []
        for keyword in node.keywords:
            value = self.constant(keyword.value, scope)
            known = value is not None or is_none(keyword.value)
            keywords.append(Keyword(keyword.arg or "**", value, known, self.dotted(keyword.value)))
        made = tuple([one for one in origins if not one.endswith(VALUE)][:_ORIGINS])
        self._calls.append(
            Call(
                name=name,
                line=node.lineno,
                scope=scope,
                arguments=tuple(self.constant(argument, scope) for argument in node.args),
                keywords=tuple(keywords),
                origins=made,
                values=tuple([one for one in origins if one.endswith(VALUE)][:_ORIGINS]),
                refers=tuple(self._handed_over(node.args)),
                method=self._bindings.method(node.func, scope),
            )
        )
        for one in keywords:
            self._listens(one.name, one.refers, node.lineno, scope)
            if one.refers in _TEXT_RUNNERS:
                called.append(one.refers)
        # Who is called back gets what else was handed over.
        for given in called if origins else ():
            self._calls.append(
                Call(name=given, line=node.lineno, scope=scope, arguments=(None,), keywords=(), origins=made)
            )

    def _path(self, node: ast.Call, scope: str) -> str:
        """The written parts of a path that is put together; empty where there are fewer than two."""
        known = [one for one in (self.constant(part, scope) for part in node.args) if isinstance(one, str)]
        return "/".join(known) if len(known) > 1 else ""

    def _listens(self, what: str, function: str, line: int, scope: str) -> None:
        """A function that is called with what a machine far away says."""
        if function and what in _LISTENERS:
            self._calls.append(
                Call(name=function, line=line, scope=scope, arguments=(None,), keywords=(), origins=(MESSAGE,))
            )

    def _take(self, node: ast.Call, origins: dict[str, None], scope: str) -> None:
        """What a call changes: a list that is added to, the parameters of a function that is called where it is written."""
        function = node.func
        if isinstance(function, ast.Lambda):
            self._functions[scope].append(inside(scope))
            self._functions.setdefault(inside(scope), [])
            for parameter, argument in zip(function.args.args, node.args, strict=False):
                self._bindings.bind_name(parameter.arg, self._origins(argument, scope), inside(scope))
        elif isinstance(function, ast.Attribute) and function.attr in _ADDERS:
            spelled = ("chr",) if any(is_spelled(argument, 1) for argument in node.args) else ()
            if origins or spelled:
                self._bindings.bind(function.value, (*origins, *spelled), scope, more=True)
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and origins:
            below = self._laid_over.get(function.value.id)
            if below is not None and function.attr in {"add", "write", "writestr", "addfile"}:
                self._bindings.bind(below, tuple(origins), scope, more=True)

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
                found.update(self._given(current, scope))
                if isinstance(current.func, ast.Attribute) and not self._is_environment(current.func):
                    waiting.append(current.func.value)
                waiting += [*current.args, *(keyword.value for keyword in current.keywords)]
                continue
            if isinstance(current, ast.Name):
                made = self._bindings.origins(current, scope)
                if not made and current.id == "chr":
                    made = ("chr",)
                found.update(dict.fromkeys(made or self._foreign(current)))
                continue
            if isinstance(current, ast.Constant):
                if isinstance(current.value, str) and len(current.value) > 3 and (secret := of_path(current.value)):
                    found[secret] = None
                continue
            if isinstance(current, ast.Subscript) and self.dotted(current.value) == _ENVIRONMENT:
                found[f"{_ENVIRONMENT}[]"] = None
                if secret := of_variable(self.constant(current.slice, scope)):
                    found[secret] = None
                waiting.append(current.slice)
                continue
            if isinstance(current, ast.Attribute) and self.dotted(current) == _ENVIRONMENT:
                found[_ENVIRONMENT] = None
                continue
            if isinstance(current, _PUT_TOGETHER) and is_spelled(current, 2 if isinstance(current, ast.BinOp) else 1):
                found["chr"] = None
            if isinstance(current, ast.Attribute):
                dotted = self.dotted(current)
                if dotted.startswith(_REQUESTS):
                    found[dotted] = None
                found.update(dict.fromkeys(self._bindings.origins(current, scope) or self._foreign(current)))
            waiting += children(current)
        return tuple(found)

    def _given(self, node: ast.Call, scope: str) -> dict[str, None]:
        """What a call gives: its name, that by the class of its value, and what neither tells."""
        name = self.dotted(node.func) or self._described(node.func)
        found: dict[str, None] = {}
        # One character is no text; characters that are put together are.
        if joins_single(node):
            found["chr"] = None
        if name != "chr":
            found[NUMBERS if is_numbers(name, node) else MEDIA if opens_media(name, node) else name] = None
        method = self._bindings.method(node.func, scope)
        if method:
            found[method] = None
        if name == "os.path.join" and (secret := of_path(self._path(node, scope))):
            found[secret] = None
        if node.args and may_give_secrets(name) and (secret := of_call(name, self.constant(node.args[0], scope))):
            found[secret] = None
        return found

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
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            return _filled(node.left)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "format":
                return _filled(node.func.value)
            if node.func.attr == "split" and node.args and self.dotted(node.func) == "shlex.split":
                return self.constant(node.args[0], scope)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Slice)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
            and backwards(node.slice)
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


def _filled(template: ast.AST) -> str | None:
    """A text that something is put into, with {} for what that is."""
    if isinstance(template, ast.Constant) and isinstance(template.value, str):
        return f"{_HOLES.sub('{}', template.value)[:_FOLDED]}{{}}"
    return None


def _annotated(node: Any) -> list[ast.AST]:
    """Annotations that call something: they run where the function is defined."""
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return [one for one in (*[each.annotation for each in arguments], node.returns) if type(one) is ast.Call]
