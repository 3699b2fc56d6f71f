"""Knows how to ask a served model: HTTP with JSON, an OpenAI-compatible address, or a function of the user's own program."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from weighbridge.monitor.records import Record, prompt_of
from weighbridge.schema import SourceError, UsageError
from weighbridge.source.http import Session, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LARGEST: Final = 8 << 20
_TOKENS: Final = 48
_TOP: Final = 5
_FIRST_TOKENS: Final = 8
_META: Final = ("model", "system_fingerprint", "prompt_tokens", "server")


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer. `numbers` are probabilities by class, an embedding by place, or log-probabilities of the first tokens.

    `meta` is what the server says of itself: its model, how many tokens the input became.
    """

    numbers: dict[str, float] = {}
    text: str = ""
    meta: dict[str, str] = {}
    logarithms: bool = False

    @property
    def label(self) -> str:
        """The class with the highest probability; empty for text."""
        return max(self.numbers, key=lambda name: self.numbers[name]) if self.numbers and not self.logarithms else ""


class Endpoint(Protocol):
    """Something that answers."""

    def ask(self, text: str) -> Answer:
        """Raises SourceError where it cannot be asked."""


def open_endpoint(address: str, *, model: str = "", field: str = "inputs", token: str = "") -> Endpoint:
    """`http(s)://…` with JSON, `openai+http(s)://…/v1`, or `python:module:function`. Raises UsageError."""
    if address.startswith("python:"):
        return Function(address.removeprefix("python:"))
    if address.startswith("openai+"):
        return Chat(address.removeprefix("openai+"), model, token)
    if urlsplit(address).scheme in {"http", "https"}:
        return JsonHttp(address, field, token)
    raise UsageError(
        f"{address}: not understood as an endpoint",
        hint="http://host/predict, openai+http://host/v1, or python:module:function",
    )


class _Caller:
    """Posts JSON and reads JSON, within bounds."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address.rstrip("/")
        token = token or os.environ.get("WEIGHBRIDGE_ENDPOINT_TOKEN", "")
        headers = {origin(address): {"Authorization": f"Bearer {token}"}} if token else {}
        self._session = Session(tokens=headers, backoff=0.0, patience=60.0)

    def post(self, path: str, body: Any) -> tuple[Any, dict[str, str]]:
        """(what it answers, headers). Raises SourceError."""
        data = msgspec.json.encode(body)
        response, _ = self._session.open(
            f"{self.address}{path}", {"Content-Type": "application/json"}, method="POST", body=data
        )
        try:
            found = response.read(_LARGEST + 1, decode_content=True)
        except OSError as error:
            raise SourceError(f"{self.address}: the answer broke off: {error}", hint="try again later") from error
        finally:
            response.release_conn()
        if response.status >= 300 or len(found) > _LARGEST:
            raise SourceError(
                f"{self.address}: the server answers {response.status}", hint="set WEIGHBRIDGE_ENDPOINT_TOKEN"
            )
        try:
            return msgspec.json.decode(found), {key.lower(): value for key, value in response.headers.items()}
        except (msgspec.DecodeError, RecursionError) as error:
            raise SourceError(f"{self.address}: the answer is no JSON", hint="check the address") from error


class JsonHttp:
    """Posts `{"inputs": text}`; understands the usual forms of answers of classifiers, embedders and generators."""

    def __init__(self, address: str, field: str = "inputs", token: str = "") -> None:
        self._caller, self._field = _Caller(address, token), field

    def ask(self, text: str) -> Answer:
        """See `Endpoint`."""
        found, headers = self._caller.post("", {self._field: text})
        return understood(found, {"server": headers.get("server", "")})


class Chat:
    """An OpenAI-compatible chat: greedy, with the log-probabilities of the first tokens where the server gives them."""

    def __init__(self, address: str, model: str, token: str = "") -> None:
        self._caller, self._model = _Caller(address, token), model
        self._logprobs = True

    def ask(self, text: str) -> Answer:
        """See `Endpoint`."""
        body: dict[str, Any] = {
            "model": self._model or "default", "messages": [{"role": "user", "content": text}], "temperature": 0,
            "max_tokens": _TOKENS, "seed": 7,
        }  # fmt: skip
        if self._logprobs:
            try:
                return self._read(
                    *self._caller.post("/chat/completions", {**body, "logprobs": True, "top_logprobs": _TOP})
                )
            except SourceError:
                self._logprobs = False  # servers refuse fields that they do not know
        return self._read(*self._caller.post("/chat/completions", body))

    def _read(self, found: Any, headers: dict[str, str]) -> Answer:
        choices = found.get("choices") if isinstance(found, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
        if choice is None:
            raise SourceError(f"{self._caller.address}: the answer has no choices", hint="is it a chat endpoint?")
        message = choice["message"] if isinstance(choice.get("message"), dict) else dict[str, Any]()
        usage = found["usage"] if isinstance(found.get("usage"), dict) else dict[str, Any]()
        meta = {
            "model": str(found.get("model") or ""), "system_fingerprint": str(found.get("system_fingerprint") or ""),
            "prompt_tokens": str(usage.get("prompt_tokens", "")), "server": headers.get("server", ""),
        }  # fmt: skip
        numbers = _logprobs(choice.get("logprobs"))
        return Answer(
            numbers=numbers,
            text=str(message.get("content") or choice.get("text") or ""),
            meta=meta,
            logarithms=bool(numbers),
        )


def _logprobs(value: Any) -> dict[str, float]:
    found = {}
    tokens = value.get("content") if isinstance(value, dict) else None
    for place, token in enumerate(tokens[:_FIRST_TOKENS] if isinstance(tokens, list) else []):
        for one in token.get("top_logprobs") or () if isinstance(token, dict) else ():
            if isinstance(one, dict) and isinstance(one.get("logprob"), int | float):
                found[f"{place} {one.get('token')}"] = float(one["logprob"])
    return found


class Function:
    """A function of the user's own program, `module:name`: a text in; probabilities, an embedding or a text out.

    It is imported, as the service imports it: this is for one's own serving code, never for what is being inspected.
    """

    def __init__(self, name: str) -> None:
        module, _, function = name.partition(":")
        try:
            sys.path.insert(0, os.getcwd())
            self._call: Callable[[str], Any] = getattr(importlib.import_module(module), function)
        except Exception as error:  # a module of the user may raise anything
            raise UsageError(
                f"python:{name}: {type(error).__name__}: {error}"[:300],
                hint="python:module:function, importable from here",
            ) from error
        finally:
            sys.path.pop(0)

    def ask(self, text: str) -> Answer:
        """See `Endpoint`."""
        try:
            return understood(self._call(text), {})
        except Exception as error:  # the function is the user's: whatever it raises means that it could not be asked
            raise SourceError(
                f"the model's function fails: {type(error).__name__}: {error}"[:300], hint="see to it"
            ) from error


def understood(found: Any, meta: dict[str, str]) -> Answer:
    """An answer in the forms that servers use. Raises SourceError for any other."""
    if isinstance(found, Answer):
        return found
    while isinstance(found, list) and len(found) == 1 and isinstance(found[0], list | dict):
        found = found[0]
    if isinstance(found, str):
        return Answer(text=found, meta=meta)
    if isinstance(found, list):
        numbers = _scored(found) or _vector(found)
        if numbers:
            return Answer(numbers=numbers, meta=meta)
    if isinstance(found, dict):
        meta = meta | {key: str(found[key])[:200] for key in _META if key in found}
        text = next(
            (found[key] for key in ("generated_text", "text", "answer", "output") if isinstance(found.get(key), str)),
            "",
        )
        numbers = next(
            (got for key in ("probabilities", "scores", "predictions", "outputs", "embedding", "data") if (got := _numbers(found.get(key)))), {}
        ) or _label(found)  # fmt: skip
        if numbers or text:
            return Answer(numbers=numbers, text=text, meta=meta)
    raise SourceError(
        "the answer is in no form that is known", hint="label and score, probabilities, an embedding, or a text"
    )


def _numbers(value: Any) -> dict[str, float]:
    if isinstance(value, dict):
        return {str(key): float(one) for key, one in value.items() if isinstance(one, int | float)}
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list | dict):
        value = value[0].get("embedding") if isinstance(value[0], dict) and "embedding" in value[0] else value[0]
    return _scored(value) or _vector(value) if isinstance(value, list) else {}


def _scored(value: list[Any]) -> dict[str, float]:
    fits = all(isinstance(one, dict) and "label" in one and isinstance(one.get("score"), int | float) for one in value)
    return {str(one["label"]): float(one["score"]) for one in value} if value and fits else {}


def _vector(value: list[Any]) -> dict[str, float]:
    fits = all(isinstance(one, int | float) for one in value)
    return {str(place): float(one) for place, one in enumerate(value)} if value and fits else {}


def _label(found: dict[str, Any]) -> dict[str, float]:
    if "label" in found:
        score = found.get("score", found.get("confidence", 1.0))
        return {str(found["label"]): float(score) if isinstance(score, int | float) else 1.0}
    return {}


def shadow_of(endpoint: Endpoint) -> Callable[[Sequence[Record]], list[Record]]:
    """The endpoint as a shadow copy: records in, the same with its answers out."""

    def ask(records: Sequence[Record]) -> list[Record]:
        found = []
        for one in records:
            answer = endpoint.ask(one.text)
            found.append(Record(text=one.text, features=one.features, output=answer.label, answer=answer.text))
        return found

    return ask


def observed(text: str, answer: Answer) -> Record:
    """What an answer is in a log."""
    return Record(
        text=text,
        output=answer.label,
        answer=answer.text,
        confidence=max(answer.numbers.values(), default=-1.0) if answer.label else -1.0,
    )


def request_text(body: Any, field: str = "inputs") -> str:
    """What the input of a request is, in either form."""
    if not isinstance(body, dict):
        return ""
    value = body.get(field)
    if isinstance(value, list) and value and isinstance(value[0], str):
        value = value[0]
    return value if isinstance(value, str) else prompt_of(body)
