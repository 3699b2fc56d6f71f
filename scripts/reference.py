"""Generates the reference pages: one for each rule family, the report's JSON Schema, the limits, the exit codes.

Usage: python scripts/reference.py  (writes into docs/reference)
"""

import json
from pathlib import Path

import msgspec

from weighbridge.cli.exits import TABLE
from weighbridge.output.json_file import json_schema
from weighbridge.rules import FAMILIES
from weighbridge.rules.catalogue import family
from weighbridge.rules.references import ATLAS_VERSION, name_of
from weighbridge.schema import Limits

DOCS = Path(__file__).parent.parent / "docs/reference"
TITLES = {
    "SCN": "Evasion and container traits",
    "ARC": "Archives and compression",
    "PKL": "Pickle streams",
    "TCH": "PyTorch containers",
    "JBL": "joblib, dill, cloudpickle, skops",
    "NPY": "NumPy",
    "STN": "safetensors",
    "JAX": "Flax and Orbax",
    "KRS": "Keras and HDF5",
    "SEC": "Secrets",
}


def rule_text(rule):
    references = "\n".join(f"| `{reference}` | {name_of(reference)} |" for reference in rule.references)
    return f"""## {rule.id}

**{rule.name}** · {rule.severity.value} · {rule.mode.value}

| | |
|---|---|
| What | {rule.what} |
| Why it matters | {rule.why} |
| Evidence | {rule.evidence} |
| Fix | {rule.fix} |

<details><summary>References (MITRE ATLAS {ATLAS_VERSION})</summary>

| id | name |
|---|---|
{references}

</details>
"""


def family_page(name):
    rules = family(name).values()
    body = "\n".join(rule_text(rule) for rule in rules)
    return f"# {name}: {TITLES[name]}\n\nGenerated from the catalogue by `make docs`.\n\n{body}"


def index_page():
    rows = []
    for name in FAMILIES:
        for rule in family(name).values():
            rows.append(f"| [{rule.id}]({name.lower()}.md#{rule.id.lower()}) | {rule.severity.value} | {rule.name} |")
    listing = "\n".join(rows)
    return f"# Rules\n\n{len(rows)} rules. `weighbridge rule ID` shows the same text in a terminal.\n\n| id | severity | name |\n|---|---|---|\n{listing}\n"


def limits_page():
    rows = []
    for field in msgspec.structs.fields(Limits):
        rows.append(f"| `{field.name}` | {field.default:,} |")
    listing = "\n".join(rows)
    return f"""# Limits

Bounds for the inspection of one file. A bound that is hit is a finding and makes the inspection incomplete (exit code 3).
Set them under `[limits]` in `weighbridge.toml`; the common ones have flags (`weighbridge scan --help`).

| name | default |
|---|---|
{listing}
"""


def exits_page():
    return f"# Exit codes\n\n```text\n{TABLE}\n```\n\nPrecedence: 2 > 1 > 3 > 4 > 0. `--exit-zero` is for report-only jobs, `--allow-incomplete` turns an incomplete inspection into 0 and says so.\n"


def pages():
    """Every generated page with its text."""
    made = {DOCS / "rules" / f"{name.lower()}.md": family_page(name) for name in FAMILIES}
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
