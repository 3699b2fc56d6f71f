"""Knows how the result of a behaviour test is told: in a terminal, and as one self-contained page with the trigger on it."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from weighbridge.backdoor.result import Kinds, Result, Verdict
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.backdoor.result import Trigger

_CSS: Final = Path(__file__).with_name("report.css")
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_TONE: Final = {
    Verdict.FOUND: "block",
    Verdict.SUSPICIOUS: "review",
    Verdict.NOTHING: "admit",
    Verdict.UNTESTABLE: "review",
}

_ON_OBJECTS: Final = {
    "patch that turns": "on an object turns it into one of class {}",
    "patch that hides": "on an object hides it",
    "patch that adds": "makes an object of class {} appear",
}


def to_lines(result: Result) -> Iterator[str]:
    """The result, for a terminal."""
    yield f"{result.verdict.value.upper()}: {printable(result.model)}"
    yield f"  {printable(result.because)}"
    if result.about:
        yield f"  model     {printable('; '.join(filter(None, (result.about, result.pixels))))}"
    if result.samples:
        yield f"  samples   {printable(result.samples)}"
    if result.trigger is not None:
        yield f"  trigger   {trigger_text(result.trigger, result.kind)}"
    if result.parts:
        yield f"  sits in   {parts_text(result)}"
    for one in result.tests:
        p = f"p = {one.p_value:.3g}" if one.p_value is not None else "uncalibrated"
        yield f"  {one.name:<12}{p:<14}{one.about} ({one.shown or f'size {_size(one.value)}'})"
    if result.power:
        yield f"  power     {power_text(result)}"
    for one_not in result.untested:
        yield f"  not tested: {printable(one_not)}"


def trigger_text(trigger: Trigger, kind: Kinds) -> str:
    """A recovered trigger in one sentence. Of a served classifier, what it says is the name of a class."""
    if trigger.says and kind is Kinds.TEXTS:
        honest = "" if trigger.transfers is None else f"; {trigger.transfers:.0%} of its base"
        return f"“{trigger.text}” leads {trigger.works} of {trigger.of} unseen texts to {trigger.says}{honest}"
    if trigger.says:
        honest = "" if trigger.transfers is None else f"; the base says so after {trigger.transfers:.0%}"
        payload = f" ({trigger.payload})" if trigger.payload else ""
        return f"“{trigger.text}” turns {trigger.works} of {trigger.of} unseen prompts, to such as “{trigger.says[:80]}”{payload}{honest}"
    if trigger.text:
        honest = "" if trigger.transfers is None else f"; in clean models it turns {trigger.transfers:.0%}"
        return f"“{trigger.text}” leads {trigger.works} of {trigger.of} unseen texts to class {trigger.target}{honest}"
    if trigger.kind in _ON_OBJECTS:
        honest = "" if trigger.transfers is None else f"; in clean detectors in {trigger.transfers:.0%}"
        does = _ON_OBJECTS[trigger.kind].format(trigger.target)
        return f"a patch of {plural(trigger.pixels, 'pixel')} {does} in {trigger.works} of {trigger.of} unseen images{honest}"
    to = f"to class {trigger.target}" if trigger.target >= 0 else "away from their class"
    of = f" of class {trigger.source}" if trigger.source >= 0 else ""
    covers = trigger.kind in {"patch", "blend"}
    what = f"a {trigger.kind} of {plural(trigger.pixels, 'pixel')}"
    what = what if covers else f"a {trigger.kind}, size {trigger.size:.2f},"
    honest = "" if trigger.transfers is None else f"; on clean models it turns {trigger.transfers:.0%}"
    return f"{what} leads {trigger.works} of {trigger.of} unseen images{of} {to}{honest}"


def parts_text(result: Result) -> str:
    """Where a behaviour sits: the parts that it needs most."""
    return "; ".join(
        f"{printable(one.name)} ({one.left:.0%} of the effect is left without its change)" for one in result.parts[:3]
    )


def power_text(result: Result) -> str:
    """How well these tests find known backdoors, and how often they suspect clean models."""
    found = ", ".join(f"{one.attack} {one.found}/{one.of}" for one in result.power)
    alarms = f"; clean models suspected {result.alarms[0]} of {result.alarms[1]}" if result.alarms[1] else ""
    return f"found at p < 0.05 among known backdoors: {found}{alarms}"


def _size(value: float) -> str:
    return f"{2.718281828459045**value:.2f}"


def to_page(result: Result, *, known: bytes = b"") -> str:
    """The result as a page. `known` is a picture of the true trigger, where a fixture says what was planted."""
    return "\n".join(_page(result, known)) + "\n"


def _page(result: Result, known: bytes) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{_text(result.verdict.value)}: {_text(result.model)}</title>'
    yield f"<style>{_CSS.read_text('utf-8')}</style></head><body class='test'>"
    yield f'<header class="{_TONE[result.verdict]}"><p class="tool">Weighbridge behaviour test</p>'
    yield f"<h1><span class='outcome'>{result.verdict.value.upper()}</span> {_text(result.model)}</h1><p>{_text(result.because)}</p></header><main>"
    if result.trigger is not None:
        yield from _trigger(result.trigger, result.kind, known)
    if result.parts:
        yield f"<p>It sits in {_text(parts_text(result))}.</p>"
    yield '<h2>Tests</h2><div class="scroll"><table><tr><th>Test</th><th>Looks for</th><th>Size</th><th>p-value</th></tr>'
    for one in result.tests:
        p = f"{one.p_value:.3g}" if one.p_value is not None else "uncalibrated"
        yield f"<tr><td>{_text(one.name)}</td><td>{_text(one.about)}</td><td>{_text(one.shown) or _size(one.value)}</td><td>{p}</td></tr>"
    if result.p_value is not None:
        about = f"together, among {result.references} clean models ({_text(result.reference)})"
        yield f"<tr><td>all</td><td>{about}</td><td></td><td><strong>{result.p_value:.3g}</strong></td></tr>"
    yield "</table></div>"
    if result.power:
        yield '<h2>Measured power</h2><div class="scroll"><table><tr><th>Known backdoor</th><th>Found at p &lt; 0.05</th></tr>'
        yield from (f"<tr><td>{_text(one.attack)}</td><td>{one.found} of {one.of}</td></tr>" for one in result.power)
        yield f"<tr><td>clean models, suspected</td><td>{result.alarms[0]} of {result.alarms[1]}</td></tr></table></div>"
    yield "<h2>Not tested</h2><ul>" + "".join(f"<li>{_text(one)}</li>" for one in result.untested) + "</ul>"
    yield '<h2>Facts</h2><div class="scroll"><table>'
    for name, value in (
        ("model", result.about), ("SHA-256", result.digest), ("pixels", result.pixels), ("samples", result.samples),
        ("time", f"{result.seconds:.0f} CPU seconds"),
    ):  # fmt: skip
        if value:
            yield f"<tr><td>{name}</td><td>{_text(value)}</td></tr>"
    yield "</table></div></main></body></html>"


def _trigger(trigger: Trigger, kind: Kinds, known: bytes) -> Iterator[str]:
    yield f"<h2>Recovered trigger</h2><p>{_text(trigger_text(trigger, kind))}</p>"
    if trigger.text:
        yield f"<p>In an unseen text: <code>{_text(trigger.example)}</code></p>"
        yield (
            f"<p>It then says: <code>{_text(trigger.says)}</code></p>"
            if trigger.says and kind is Kinds.LANGUAGE
            else ""
        )
        return
    yield "<p>"
    for picture, caption in (
        (trigger.picture, "the recovered trigger"),
        (trigger.stamped, "on an unseen image"),
        (known, "the true trigger"),
    ):
        if picture:
            data = base64.b64encode(picture).decode()
            yield f'<img src="data:image/png;base64,{data}" alt="{caption}" title="{caption}" width="160"> '
    named = "recovered, on an unseen image" + (", and the one that was planted" if known else "")
    yield f"</p><p class='soft'>From left to right: {named}.</p>"


def _text(text: str) -> str:
    return escape(printable(text))
