"""Knows the report as one self-contained page: no script, no remote asset, every foreign text escaped."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from weighbridge.output.compared import change_line, proof_line
from weighbridge.output.heat_map import heat_map
from weighbridge.output.profiles import profile_page
from weighbridge.output.terminal import place
from weighbridge.output.words import coverage_text, severity_text, size_text
from weighbridge.rules.references import name_of
from weighbridge.schema import Report, Severity, Status
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Coverage, Finding

_CSS: Final = Path(__file__).with_name("report.css")
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_SHOWN: Final = 2000
_MEMBERS: Final = 5000
_NAMED: Final = 40


def to_html(report: Report) -> str:
    """The page."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    verdict = report.verdict
    title = f"{verdict.outcome.value}: {report.artifact.name}"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{_text(title)}</title>'
    yield f"<style>{_CSS.read_text('utf-8')}</style></head><body>"
    yield f'<header class="{verdict.outcome.value}"><p class="tool">Weighbridge report</p>'
    yield f"<h1><span class='outcome'>{verdict.outcome.value.upper()}</span> {_text(report.artifact.name)}</h1>"
    yield f"<p>Decided by the statement <strong>{_text(verdict.decided_by)}</strong> of the policy <em>{_text(verdict.policy)}</em>: {_text(verdict.because)}</p>"
    yield "</header><main>"
    yield from _numbers(report)
    yield from _findings(report)
    yield from _proofs(report)
    yield from _comparison(report)
    for profile in report.profiles:
        yield from profile_page(profile)
    yield from _waivers(report)
    yield from _coverage(report)
    yield from _facts(report)
    yield f"</main><footer><p>{_text(report.tool)} · rules {_text(report.rules)} · the same bytes, rules and policy give the same report</p></footer></body></html>"


def _numbers(report: Report) -> Iterator[str]:
    read = sum(entry.inspected for entry in report.coverage)
    numbers = sum(entry.tensor for entry in report.coverage)
    opaque = sum(entry.opaque for entry in report.coverage)
    yield '<dl class="numbers">'
    for name, value in (
        ("Findings", severity_text(report)),
        ("Coverage", coverage_text(report)),
        ("Size", f"{size_text(report.artifact.size)} in {plural(report.artifact.files, 'file')}"),
        ("Bytes", f"{size_text(read)} read · {size_text(numbers)} plain numbers · {size_text(opaque)} not understood"),
    ):
        yield f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>"
    if report.artifact.sha256:
        yield f"<div><dt>SHA-256</dt><dd><code>{_text(report.artifact.sha256)}</code></dd></div>"
    yield "</dl>"


def _findings(report: Report) -> Iterator[str]:
    yield f"<h2>Findings ({len(report.findings)})</h2>"
    if not report.findings:
        yield "<p>No rule holds on what was inspected.</p>"
    for finding in report.findings[:_SHOWN]:
        yield from _finding(finding)
    if len(report.findings) > _SHOWN:
        yield f"<p>{len(report.findings) - _SHOWN} more findings are in the JSON report.</p>"


def _finding(finding: Finding) -> Iterator[str]:
    opened = " open" if finding.severity.rank <= Severity.HIGH.rank else ""
    yield f'<details class="finding {finding.severity.value}"{opened}>'
    yield f'<summary><span class="chip">{finding.severity.value}</span> <code>{finding.rule}</code> {_text(finding.message)}</summary>'
    yield f'<p class="place">{_text(place(finding.location))}</p>'
    if finding.evidence:
        lines = []
        for evidence in finding.evidence:
            number = f"{evidence.offset:>8}  " if evidence.offset is not None else ""
            text = f"{number}{_text(evidence.text)}"
            lines.append(f"<mark>{text}</mark>" if evidence.culprit else text)
        yield f"<pre>{chr(10).join(lines)}</pre>"
    yield f"<p><strong>Why</strong> {_text(finding.why)}</p><p><strong>Fix</strong> {_text(finding.fix)}</p>"
    references = " ".join(f'<li title="{_text(name_of(r))}">{_text(r)}</li>' for r in finding.references)
    yield f'<ul class="references">{references}</ul></details>'


def _proofs(report: Report) -> Iterator[str]:
    if report.proofs:
        yield "<h2>Verified</h2><ul>"
        yield from (
            f"<li><strong>{_text(proof.kind)}</strong> {_text(proof_line(proof))}</li>" for proof in report.proofs
        )
        yield "</ul>"


def _comparison(report: Report) -> Iterator[str]:
    found = report.comparison
    if found is None:
        return
    yield f"<h2>Compared with {_text(found.old)}</h2>"
    if found.kind:
        yield f"<p><strong>{_text(found.kind)}</strong>: {len(found.changed)} tensors changed, {len(found.same)} are the same.</p>"
    picture = heat_map(found)
    if picture:
        yield f'<figure class="scroll">{picture}<figcaption>Relative change of each tensor, by module (rows) and layer (columns). Hover a cell for its figure.</figcaption></figure>'
    for title, group in (("Files", found.files), ("Structure", found.structure)):
        if group:
            yield f'<h3>{title} ({len(group)})</h3><div class="scroll"><table><tr><th>Member</th><th>What</th><th>Before</th><th>After</th></tr>'
            for one in group[:_SHOWN]:
                cells = (one.member, one.what, one.before, one.after)
                yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"
            yield "</table></div>"
    if found.changed:
        largest = sorted(found.changed, key=lambda change: -change.relative)
        yield f"<details><summary>Tensors ({len(largest)})</summary><ul>"
        yield from (f"<li><code>{_text(change_line(change))}</code></li>" for change in largest[:_SHOWN])
        yield "</ul></details>"
    for title, names in (("Added", found.added), ("Removed", found.removed), ("Another shape", found.reshaped)):
        if names:
            yield f"<p><strong>{title}</strong> {_text(', '.join(names[:_NAMED]))}{' …' if len(names) > _NAMED else ''}</p>"


def _waivers(report: Report) -> Iterator[str]:
    if report.verdict.waived:
        yield "<h2>Waived</h2><table><tr><th>Rule</th><th>Member</th><th>Reason</th><th>Owner</th><th>Until</th></tr>"
        for waived in report.verdict.waived:
            cells = (waived.rule, waived.member, waived.reason, waived.owner, waived.expires)
            yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"
        yield "</table>"


def _coverage(report: Report) -> Iterator[str]:
    yield f'<h2>What was looked at ({len(report.coverage)})</h2><div class="scroll"><table>'
    yield "<tr><th>Member</th><th>Format</th><th>Bytes</th><th>Read</th><th>Numbers</th><th>Not understood</th><th>Outcome</th></tr>"
    for entry in report.coverage[:_MEMBERS]:
        yield _row(entry)
    yield "</table></div>"
    if len(report.coverage) > _MEMBERS:
        yield f"<p>{len(report.coverage) - _MEMBERS} more members are in the JSON report.</p>"


def _row(entry: Coverage) -> str:
    outcome = entry.status.value
    if entry.status is not Status.INSPECTED:
        outcome = f"{outcome}: {entry.detail or entry.reason.value}"
    numbers = "".join(
        f'<td class="number">{n:,}</td>' for n in (entry.size, entry.inspected, entry.tensor, entry.opaque)
    )
    return f'<tr class="{entry.status.value}"><td>{_text(entry.member)}</td><td>{_text(entry.format)}</td>{numbers}<td>{_text(outcome)}</td></tr>'


def _facts(report: Report) -> Iterator[str]:
    if report.facts:
        yield '<h2>Facts</h2><div class="scroll"><table><tr><th>Member</th><th>Question</th><th>Answer</th></tr>'
        for fact in report.facts[:_MEMBERS]:
            yield f"<tr><td>{_text(' » '.join(fact.path))}</td><td>{_text(fact.name)}</td><td>{_text(fact.value)}</td></tr>"
        yield "</table></div>"


def _text(text: str) -> str:
    return escape(printable(text))
