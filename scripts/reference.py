"""Generates the reference pages: one for each rule and family, formats, the report's JSON Schema, limits, exit codes.

Usage: python scripts/reference.py  (writes into docs/reference)
"""

import json
import sys
from pathlib import Path

import msgspec

from weighbridge.cli.exits import TABLE
from weighbridge.identify import identify
from weighbridge.inspection.readers import KINDS, READERS
from weighbridge.output.json_file import json_schema
from weighbridge.rules import FAMILIES, all_rules
from weighbridge.rules.catalogue import family
from weighbridge.rules.references import ATLAS_VERSION, name_of
from weighbridge.sandbox.protocol import Bounds
from weighbridge.schema import Limits
from weighbridge.schema.text import printable
from weighbridge.source import BytesBlob

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.corpus.lineage import Story
from tests.corpus.rules import SAMPLES, files_of

DOCS = Path(__file__).parent.parent / "docs/reference"
TITLES = {
    "SCN": "Evasion and container traits",
    "ARC": "Archives and compression",
    "PKL": "Pickle streams",
    "TCH": "PyTorch containers",
    "JBL": "joblib, dill, cloudpickle, skops",
    "NPY": "NumPy",
    "KRS": "Keras and HDF5",
    "TFL": "TensorFlow, TFLite, TensorFlow.js",
    "ONX": "ONNX and ONNX Runtime",
    "STN": "safetensors",
    "GGF": "GGUF, llamafile, Ollama",
    "TPL": "Chat templates",
    "TOK": "Tokenizers",
    "JAX": "Flax, Orbax, StableHLO",
    "NAT": "Native and other network formats",
    "CML": "Classical models, other languages",
    "NMO": "NeMo, Hydra, unsafe YAML",
    "HFR": "Hub repositories",
    "ADP": "Adapters and merges",
    "MLO": "MLOps descriptors",
    "OCI": "Containers",
    "NBK": "Notebooks",
    "COD": "Your own code",
    "CIC": "Continuous integration",
    "AGT": "Agent tools",
    "IDN": "Names",
    "PKG": "Packages",
    "PRV": "Signatures, attestations, bills of materials, lineage",
    "WGT": "Weights against their base",
    "DST": "Datasets",
    "VEC": "Collections for retrieval",
    "SEC": "Secrets",
    "RUN": "what a file did when it was loaded in the sandbox",
    "MON": "what is served is no longer what was admitted, or no longer behaves as it did",
}
SHOWN_LINES, SHOWN_WIDTH = 24, 140


def rule_page(rule):
    references = "\n".join(f"| `{reference}` | {name_of(reference)} |" for reference in rule.references)
    return f"""# {rule.id}: {rule.name}

**{rule.severity.value}** · {rule.mode.value} · [{rule.id[:3]}: {TITLES[rule.id[:3]]}]({rule.id[:3].lower()}.md)

| | |
|---|---|
| What | {rule.what} |
| Why it matters | {rule.why} |
| Evidence | {rule.evidence} |
| Fix | {rule.fix} |

## Samples

The tests hold the rule to finding the first and not the second.

**Found**

{sample_text(rule.id, 0)}

**Not found**

{sample_text(rule.id, 1)}

## References

MITRE ATLAS {ATLAS_VERSION}; OWASP ids carry their edition.

| id | name |
|---|---|
{references}
"""


def sample_text(identifier, side):
    sample = SAMPLES[identifier][side]
    files = files_of(sample)
    if isinstance(files, Story):
        return files.text
    if not isinstance(files, dict):
        return f"Made by the test itself ({files})."
    return "\n\n".join(file_text(name, data) for name, data in files.items())


def file_text(name, data):
    shown = name.encode("unicode_escape").decode()
    found = identify(BytesBlob(data)).format
    if found not in {"text", "json", "script"}:
        return f"`{shown}`, {found}" if found != "empty" else f"`{shown}`, empty"
    lines = data.decode("utf-8", "replace").splitlines()
    cut = [printable(line)[:SHOWN_WIDTH] for line in lines[:SHOWN_LINES]]
    body = "\n".join(f"    {line}" for line in cut)
    more = f"\n\n({len(lines) - SHOWN_LINES} more lines)" if len(lines) > SHOWN_LINES else ""
    return f"`{shown}`\n\n{body}{more}"


def family_page(name):
    rows = "\n".join(
        f"| [{rule.id}]({rule.id.lower()}.md) | {rule.severity.value} | {rule.mode.value} | {rule.name} | {rule.what} |"
        for rule in family(name).values()
    )
    return f"# {name}: {TITLES[name]}\n\nGenerated from the catalogue by `make docs`.\n\n| id | severity | mode | name | what |\n|---|---|---|---|---|\n{rows}\n"


def index_page():
    rows = []
    for name in FAMILIES:
        for rule in family(name).values():
            rows.append(f"| [{rule.id}]({rule.id.lower()}.md) | {rule.severity.value} | {rule.name} |")
    listing = "\n".join(rows)
    families = " · ".join(f"[{name}]({name.lower()}.md)" for name in FAMILIES)
    return f"# Rules\n\n{len(rows)} rules in {len(FAMILIES)} families: {families}.\n\n`weighbridge rule ID` shows the same text in a terminal; the search of this site finds ids, CVEs and words.\n\n| id | severity | name |\n|---|---|---|\n{listing}\n"


def formats_page():
    def row(reader):
        return f"| {reader.title} | {', '.join(f'`{name}`' for name in reader.formats)} | {reader.reads} | {reader.rules} | {reader.gaps} |"

    head = "| format | told as | what is read | rules | what is not covered |\n|---|---|---|---|---|\n"
    return f"""# Formats

Generated from the tuple of readers (`inspection/readers.py`) by `make docs`. A format that is not listed is reported as skipped, and the
exit code is 3. Every reader is bounded in memory, time, depth and members, and a bound that is hit is in the report.

## By signature

{head}{chr(10).join(row(reader) for reader in READERS)}

## Inside text and protobuf

Text has no signature: the name that a loader goes by decides, and then the shape of the content. Protobuf has none either: the wire types of
the first fields decide.

{head}{chr(10).join(row(reader) for reader in KINDS)}

## Whole repositories

A folder, an archive or an address is one artifact. Members of one folder are held against each other: `auto_map` and the files it names, index
files and shards, safetensors and pickled twins, tokenizer and weights, all copies of a chat template, tensors and the architecture of the
configuration, external data and links, checkpoint indexes and shards, adapters and their base.
"""


def limits_page():
    rows = []
    for field in msgspec.structs.fields(Limits):
        rows.append(f"| `{field.name}` | {field.default:,} |")
    listing = "\n".join(rows)
    loading = "\n".join(f"| `{field.name}` | {field.default:,} |" for field in msgspec.structs.fields(Bounds))
    return f"""# Limits

Bounds for the inspection of one file. A bound that is hit is a finding and makes the inspection incomplete (exit code 3).
Set them under `[limits]` in `weighbridge.toml`; the common ones have flags (`weighbridge scan --help`).

| name | default |
|---|---|
{listing}

## Loading in the sandbox

Bounds for one file that is loaded (`weighbridge load --help`). Sizes are bytes, times are seconds. One that is reached ends the load and is RUN-007.

| name | default |
|---|---|
{loading}
"""


def exits_page():
    return f"# Exit codes\n\n```text\n{TABLE}\n```\n\nPrecedence: 2 > 1 > 3 > 4 > 0. `--exit-zero` is for report-only jobs, `--allow-incomplete` turns an incomplete inspection into 0 and says so.\n"


def pages():
    """Every generated page with its text."""
    made = {DOCS / "rules" / f"{name.lower()}.md": family_page(name) for name in FAMILIES}
    for rule in all_rules():
        made[DOCS / "rules" / f"{rule.id.lower()}.md"] = rule_page(rule)
    made[DOCS / "formats.md"] = formats_page()
    made[DOCS / "rules/index.md"] = index_page()
    made[DOCS / "limits.md"] = limits_page()
    made[DOCS / "exit-codes.md"] = exits_page()
    made[DOCS / "report.schema.json"] = json.dumps(json_schema(), indent=2) + "\n"
    return made


def main():
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"{len(pages())} pages")


if __name__ == "__main__":
    main()
