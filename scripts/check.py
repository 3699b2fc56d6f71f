"""House rules that no linter knows: sizes, the catalogue against its pages, links in the documentation.

Prints a table of sizes. Fails when a module or function is beyond its limit, when a public function has
no docstring, when a rule lacks its page or the page is stale, or when a link leads nowhere.
"""

import ast
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src/weighbridge"
MODULE_LINES, FUNCTION_LINES, MODULE_MEDIAN, FUNCTION_MEDIAN = 600, 70, 180, 9
EXECUTING = {"eval", "exec", "compile", "__import__"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def sizes():
    modules, functions = {}, {}
    for path in sorted(SOURCE.rglob("*.py")):
        if path.parent.name == "versions":
            continue  # a migration is a list of tables, written by scripts/migration.py
        text = path.read_text()
        name = str(path.relative_to(ROOT))
        modules[name] = text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions[f"{name}:{node.lineno} {node.name}"] = node.end_lineno - node.lineno + 1
    return modules, functions


def table(modules, functions):
    yield f"{'':<10}{'number':>8}{'median':>8}{'p95':>8}{'max':>8}{'limit':>8}"
    for label, found, limit in (("modules", modules, MODULE_LINES), ("functions", functions, FUNCTION_LINES)):
        lines = sorted(found.values())
        yield f"{label:<10}{len(lines):>8}{statistics.median(lines):>8.0f}{lines[int(len(lines) * 0.95)]:>8}{lines[-1]:>8}{limit:>8}"


def too_large(modules, functions):
    yield from (
        f"{name} has {lines} lines, the limit is {MODULE_LINES}"
        for name, lines in modules.items()
        if lines > MODULE_LINES
    )
    yield from (
        f"{name} has {lines} lines, the limit is {FUNCTION_LINES}"
        for name, lines in functions.items()
        if lines > FUNCTION_LINES
    )
    if statistics.median(modules.values()) > MODULE_MEDIAN:
        yield f"the median module is above {MODULE_MEDIAN} lines"
    if statistics.median(functions.values()) > FUNCTION_MEDIAN:
        yield f"the median function is above {FUNCTION_MEDIAN} lines"


def executing():
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EXECUTING:
                yield f"{path.relative_to(ROOT)}:{node.lineno} calls {node.func.id}"


def first_lines():
    for path in sorted(SOURCE.rglob("*.py")):
        if not path.read_text().startswith('"""'):
            yield f"{path.relative_to(ROOT)} does not say on its first line what it knows"


def rule_pages():
    sys.path.insert(0, str(ROOT))
    from scripts.reference import pages

    for path, text in pages().items():
        if not path.exists():
            yield f"{path.relative_to(ROOT)} is missing; run `make docs`"
        elif path.read_text() != text:
            yield f"{path.relative_to(ROOT)} is stale; run `make docs`"


def samples():
    from tests.corpus.rules import SAMPLES

    from weighbridge.rules import all_rules

    ids = {rule.id for rule in all_rules()}
    yield from (f"{identifier} has no samples in tests/corpus/rules.py" for identifier in sorted(ids - SAMPLES.keys()))
    yield from (f"tests/corpus/rules.py has samples for the unknown rule {i}" for i in sorted(SAMPLES.keys() - ids))


def links():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in LINK.findall(page.read_text()):
            if "://" in target or target.startswith(("#", "mailto:")):
                continue
            path = (page.parent / target.split("#")[0]).resolve()
            if not path.exists():
                yield f"{page.relative_to(ROOT)} links to {target}, which is not there"


def base_dependencies():
    count = len(re.findall(r"^[a-z0-9-]+==", (ROOT / "requirements/base.txt").read_text(), re.MULTILINE))
    if count > 15:
        yield f"the base install has {count} distributions, the limit is 15"


def main():
    modules, functions = sizes()
    print("\n".join(table(modules, functions)))
    problems = [
        *too_large(modules, functions),
        *executing(),
        *first_lines(),
        *rule_pages(),
        *samples(),
        *links(),
        *base_dependencies(),
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
