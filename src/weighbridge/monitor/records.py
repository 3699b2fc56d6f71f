"""Knows what one request was, in whichever form a log tells it, and counts what is no record."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_LINE: Final = 1 << 20
PATCH: Final = "patch "  # begins the sign of a patch of a picture
# Names that logs in the wild use for the same things.
_ALIASES: Final = {
    "text": ("text", "input", "prompt", "sentence", "question"),
    "output": ("output", "label", "prediction", "class", "predicted"),
    "answer": ("answer", "response", "completion", "generated_text"),
    "confidence": ("confidence", "score", "probability"),
    "at": ("at", "timestamp", "time", "ts"),
    "id": ("id", "request_id", "trace_id"),
    "seconds": ("seconds", "latency", "duration"),
    "tokens": ("tokens", "output_tokens", "completion_tokens"),
}
_SECONDS_OF_MILLISECONDS: Final = 1e11  # a time of day beyond this is in milliseconds or nanoseconds


class Record(Struct, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One request and what was answered. `at` is seconds since 1970, `seconds` how long it took; below 0: not known.

    `output` is the class of a classifier, `answer` the text of a generator. `features` are signs beside the text, such as
    `header x-client=beta` or the digest of a patch of a picture; `tools` are tools and destinations that were called.
    """

    id: str = ""
    at: float = 0.0
    text: str = ""
    output: str = ""
    confidence: float = -1.0
    answer: str = ""
    features: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    seconds: float = -1.0
    tokens: int = -1


class Rejects:
    """What was no record, by reason; the first of each is remembered with its place."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def add(self, reason: str, place: str) -> None:
        """One more."""
        self.count[reason] += 1
        self.first.setdefault(reason, place)

    @property
    def total(self) -> int:
        """How many."""
        return self.count.total()


class Lines:
    """Decodes lines of JSON into records: our own form at full speed, other people's names and OpenTelemetry one by one."""

    def __init__(self, rejects: Rejects) -> None:
        self.rejects = rejects
        self._own = msgspec.json.Decoder(Record)
        self._any = msgspec.json.Decoder()

    def decode(self, block: bytes, first_line: int) -> list[Record]:
        """The records of whole lines. What is none is counted, and the rest goes on."""
        # Names that are not ours end in an error, too: then each line is looked at.
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            found = self._own.decode_lines(block)
            if all([one.text or one.output or one.answer or one.features or one.tools for one in found]):  # noqa: C419  # faster
                return found
        return [one for place, line in enumerate(block.split(b"\n"), first_line) for one in self._line(line, place)]

    def _line(self, line: bytes, place: int) -> list[Record]:
        if not line.strip():
            return []
        if len(line) > LONGEST_LINE:
            self.rejects.add("a line above 1 MiB", f"line {place}")
            return []
        try:
            value = self._any.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.rejects.add("no JSON", f"line {place}")
            return []
        found = [one for one in map(from_table, spans(value)) if one is not None]
        if not found:
            self.rejects.add("neither an input nor an output in it", f"line {place}")
        return found


def spans(value: Any) -> Iterable[Any]:
    """The tables of one line: itself, or every span of an OpenTelemetry export (OTLP in JSON)."""
    if not isinstance(value, dict) or "resourceSpans" not in value:
        return [value]
    return [
        span
        for resource in _list(value["resourceSpans"])
        for scope in _list(resource.get("scopeSpans"))
        for span in _list(scope.get("spans"))
    ]


def from_table(value: Any) -> Record | None:
    """A record from a table in any of the forms that are known; None where there is nothing to watch in it."""
    if not isinstance(value, dict):
        return None
    if "attributes" in value:
        return _from_span(value)
    if "messages" in value or "choices" in value or isinstance(value.get("request"), dict):
        return _from_chat(value)
    given = {name: next((value[key] for key in keys if key in value), None) for name, keys in _ALIASES.items()}
    features = [str(one)[:200] for one in _list(value.get("features"), dict, str, int, float)][:64]
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        features += [
            f"{key}={one}"[:200] for key, one in list(metadata.items())[:32] if not isinstance(one, dict | list)
        ]
    tools = [str(one)[:200] for one in _list(value.get("tools"), str)][:64]
    record = Record(
        id=_text(given["id"])[:128], at=_moment(given["at"]), text=_text(given["text"]), output=_text(given["output"])[:200],
        confidence=_number(given["confidence"]), answer=_text(given["answer"]), features=tuple(features), tools=tuple(tools),
        seconds=_number(given["seconds"]), tokens=int(_number(given["tokens"])),
    )  # fmt: skip
    return record if record.text or record.output or record.answer or record.features or record.tools else None


def _from_chat(value: dict[str, Any]) -> Record | None:
    """A logged request and response of an OpenAI-compatible endpoint, together or under `request` and `response`."""
    request = _table(value.get("request")) or value
    answered = _table(value.get("response")) or value
    choice: dict[str, Any] = next(iter(_list(answered.get("choices"))), {})
    message = _table(choice.get("message"))
    calls = [one.get("function") or {} for one in _list(message.get("tool_calls"))]
    usage = _table(answered.get("usage"))
    record = Record(
        id=_text(answered.get("id") or value.get("id"))[:128],
        at=_moment(value.get("at") or answered.get("created")),
        text=prompt_of(request),
        answer=_text(message.get("content") or choice.get("text")),
        tools=tuple(_text(one.get("name"))[:200] for one in calls if isinstance(one, dict))[:64],
        seconds=_number(value.get("seconds")),
        tokens=int(_number(usage.get("completion_tokens"))),
    )
    return record if record.text or record.answer else None


def prompt_of(request: dict[str, Any]) -> str:
    """What the last user of a chat, or the prompt of a completion, says."""
    said = [one for one in _list(request.get("messages")) if one.get("role") == "user"]
    if not said:
        return _text(request.get("prompt"))
    content = said[-1].get("content")
    if isinstance(content, list):
        return " ".join(_text(part.get("text")) for part in _list(content))
    return _text(content)


def _from_span(span: dict[str, Any]) -> Record | None:
    """A span of the GenAI conventions of OpenTelemetry (semantic conventions 1.37, in development)."""
    table = _attributes(span["attributes"])
    operation = table.get("gen_ai.operation.name", "")
    tool = table.get("gen_ai.tool.name", "")
    begun, ended = _number(span.get("startTimeUnixNano")), _number(span.get("endTimeUnixNano"))
    record = Record(
        id=_text(span.get("spanId") or span.get("span_id"))[:128],
        at=_moment(begun),
        text=_last_said(table.get("gen_ai.input.messages") or table.get("gen_ai.prompt")),
        answer=_last_said(table.get("gen_ai.output.messages") or table.get("gen_ai.completion")),
        tools=(_text(tool)[:200],) if operation == "execute_tool" and tool else (),
        features=tuple(
            f"{key}={table[key]}"[:200] for key in ("gen_ai.request.model", "gen_ai.response.model") if key in table
        ),
        seconds=(ended - begun) / 1e9 if ended >= begun > 0 else -1.0,
        tokens=int(_number(table.get("gen_ai.usage.output_tokens"))),
    )
    return record if record.text or record.answer or record.tools else None


def _attributes(given: Any) -> dict[str, Any]:
    """Attributes as a table, also from OTLP's list of keys with typed values."""
    if isinstance(given, dict):
        return given
    found = {}
    for one in _list(given):
        value = one.get("value")
        found[str(one.get("key"))] = next(iter(value.values()), "") if isinstance(value, dict) else value
    return found


def _last_said(value: Any) -> str:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return str(value)
    if not isinstance(value, list):
        return _text(value)
    said = _list(value)
    last = next((one for one in reversed(said) if one.get("role") in {"user", "assistant"}), said[-1] if said else {})
    parts = last.get("parts")
    return " ".join(_text(part.get("content")) for part in _list(parts)) if parts else _text(last.get("content"))


def _list(value: Any, *kinds: type) -> list[Any]:
    return [one for one in value if isinstance(one, kinds or dict)] if isinstance(value, list) else []


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, dict | list) else str(value)


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return -1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e300 < value < 1e300:
        return -1.0
    return float(value)


_DAY: Final = re.compile(r"\d{4}-\d\d-\d\dT")


def _moment(value: Any) -> float:
    """Seconds since 1970 of a number in any unit, or of an ISO 8601 text; 0 where it is neither."""
    if isinstance(value, str) and _DAY.match(value):
        from datetime import datetime  # noqa: PLC0415  # few logs write dates as text

        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError):
            return 0.0
    number = max(_number(value), 0.0)
    while number > _SECONDS_OF_MILLISECONDS:
        number /= 1000
    return number


def refuse_empty(count: int, name: str) -> None:
    """Raises UsageError where a log held nothing."""
    if not count:
        raise UsageError(
            f"{name}: there is no record in it", hint='a line each, such as {"text": "…", "output": "positive"}'
        )
