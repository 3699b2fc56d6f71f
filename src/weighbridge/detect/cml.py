"""Knows what is wrong with classical models and formats of other languages (CML)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.detect.place import in_text
from weighbridge.formats.trees import read_lightgbm, xgboost_problems
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable
from weighbridge.source import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, FactsSubject, LinesSubject, TreeSubject
    from weighbridge.schema import Finding

_SAFE_JAVA: Final = lazy(
    r"(?:\[+[BCDFIJSZ]\Z|\[*L?(?:java\.(?:lang\.(?:Number|Integer|Long|Double|Float|Boolean|String|Object|Character|Short|Byte|Enum|Math)|util\.(?:Abstract\w+|Array\w*|Hash\w+|Linked\w+|Tree\w+|Vector|Random|BitSet|Date|Locale|Properties|Stack|Collections\$(?:Empty|Unmodifiable|Synchronized|Singleton)\w+|concurrent\.\w+(?:\.\w+)*)|math\.\w+|io\.File|text\.\w+)|weka\.|hex\.|water\.|org\.(?:nd4j|deeplearning4j|apache\.spark\.(?:ml|mllib)|tribuo|jpmml|dmg\.pmml)|ml\.dmlc\.xgboost4j|scala\.(?:collection|Tuple|Some|None|Option)|moa\.|meka\.))"
)
_GADGETS: Final = lazy(
    r"org\.apache\.commons\.collections4?\.(?:functors|keyvalue|map\.LazyMap)|InvokerTransformer|InstantiateTransformer|TemplatesImpl|org\.codehaus\.groovy\.runtime|com\.sun\.rowset\.JdbcRowSetImpl|org\.springframework\.(?:beans|aop|core)|java\.lang\.(?:Runtime|ProcessBuilder|reflect\.Proxy)|javax\.management\.BadAttributeValueExpException|sun\.reflect\.annotation|java\.rmi\.|javax\.naming\.|com\.mchange\.v2|org\.python\.core|bsh\.|clojure\.|rome\.feed|org\.hibernate|AnnotationInvocationHandler|SignedObject|java\.net\.URL\b"
)
_SCRIPTS: Final = frozenset({"script", "scriptblock", "javascript"})
_MOJO: Final = lazy(
    r"(?:model\.ini|experimental/.*|domains/.*|trees/.*|[\w/.-]+\.(?:txt|bin|ini|json|data|csv|zip)|feature_map|boosterBytes)\Z"
)
_DOTNET: Final = lazy(
    r"(?:System\.(?:Diagnostics|Data|Windows|Configuration\.Install|Management|Security|Collections\.Generic\.(?:SortedSet|ComparisonComparer))|Microsoft\.VisualStudio|ObjectDataProvider|TypeConfuseDelegate)"
)
_SPACY: Final = lazy(r"@(\w+)\s*=\s*\"([^\"]+)\"")
_SPACY_OWN: Final = lazy(
    r"(?:spacy|spacy-[\w-]+|thinc|Adam|RAdam|SGD|[\w-]*\.v\d+|warmup_linear|constant|compounding|decaying|linear|slanted_triangular|cyclic_triangular|Adam\.v1)\b"
)
_DATA_FRAMES: Final = frozenset({"closure", "environment", "call", "expression"})


def detect_lightgbm(subject: LinesSubject) -> Iterator[Finding]:
    """A LightGBM text model."""
    _, problems = read_lightgbm(subject.text)
    for problem in problems[:5]:
        yield finding("CML-002", subject.location, printable(problem))


def detect_xgboost(subject: DocumentSubject) -> Iterator[Finding]:
    """An XGBoost model as JSON or UBJSON."""
    for problem in xgboost_problems(subject.document.root)[:5]:
        yield finding("CML-001", subject.location, printable(problem))


def detect_catboost(subject: FactsSubject) -> Iterator[Finding]:
    """A CatBoost model."""
    if subject.facts:
        yield finding("CML-003", subject.location.at(4), subject.facts)


def detect_markup(subject: FactsSubject) -> Iterator[Finding]:
    """PMML and other XML."""
    markup = subject.facts
    for name, value, line in markup.entities:
        message = f"the entity {printable(name)} is declared: {printable(value[:80])!r}"
        yield finding("CML-004", replace(subject.location, line=line), message)
    if markup.root != "PMML":
        return
    for element in markup.elements:
        extender = element.attributes.get("name", "").lower() + element.attributes.get("extender", "").lower()
        if element.name == "Extension" and any(word in extender for word in _SCRIPTS):
            yield finding("CML-004", replace(subject.location, line=element.line), "an extension carries a script")
        outside = next(
            (v for k, v in element.attributes.items() if k in {"href", "uri", "location"} and "://" in v), ""
        )
        if outside:
            yield finding(
                "CML-004",
                replace(subject.location, line=element.line),
                f"the model refers to {printable(outside[:100])!r}",
            )


def detect_rds(subject: FactsSubject) -> Iterator[Finding]:
    """An R object."""
    for kind, place, count in subject.facts.kinds:
        if kind == "promise":
            message = f"{count} promise{'s' * (count > 1)}, evaluated when touched"
            yield finding("CML-006", subject.location.at(place), message)
        elif kind == "bytecode":
            yield finding("CML-006", subject.location.at(place), "compiled R code", severity=Severity.MEDIUM)
        elif kind == "external pointer":
            yield finding("CML-006", subject.location.at(place), "an external pointer", severity=Severity.LOW)
        elif kind in _DATA_FRAMES:
            message = f"{count} {kind}{'s' * (count > 1)}"
            yield finding("CML-006", subject.location.at(place), message, severity=Severity.INFO)


def detect_java(subject: FactsSubject) -> Iterator[Finding]:
    """A Java object stream: every class it names."""
    names = [(text, offset) for text, offset in subject.facts.found]
    gadget = next(((text, offset) for text, offset in names if _GADGETS.search(text)), None)
    if gadget:
        yield finding("CML-007", subject.location.at(gadget[1]), f"the class {printable(gadget[0])} is a known gadget")
        return
    unknown = [(text, offset) for text, offset in names if not _SAFE_JAVA.match(text)]
    if unknown:
        shown = ", ".join(printable(text) for text, _ in unknown[:5])
        yield finding(
            "CML-007",
            subject.location.at(unknown[0][1]),
            f"classes of no known library: {shown}",
            severity=Severity.HIGH,
        )
    else:
        yield finding(
            "CML-007", subject.location.at(0), "a Java object stream of known classes", severity=Severity.INFO
        )


def detect_pojo(subject: LinesSubject) -> Iterator[Finding]:
    """Java source of a model."""
    match = re.search(r"extends\s+(?:hex\.genmodel\.)?GenModel\b", subject.text)
    if match:
        line = subject.text.count("\n", 0, match.start()) + 1
        yield in_text(
            "CML-008", subject.location, subject.text, line, "a model as Java source, which has to be compiled and run"
        )


def detect_mojo(subject: TreeSubject) -> Iterator[Finding]:
    """A MOJO archive."""
    names = {entry.name for entry in subject.entries if entry.kind is Kind.FILE}
    if "model.ini" not in names or subject.format == "folder":
        return
    for name in sorted(names):
        if not _MOJO.match(name):
            yield finding("CML-008", subject.place(name), "a member that no MOJO has")


def detect_matlab(subject: FactsSubject) -> Iterator[Finding]:
    """A MAT-file of version 5."""
    for text, offset in subject.facts.found[:5]:
        yield finding("CML-009", subject.location.at(offset), f"the file holds a {text}")


def detect_julia(subject: FactsSubject) -> Iterator[Finding]:
    """A Julia BSON file."""
    for text, offset in subject.facts.found[:5]:
        yield finding("CML-010", subject.location.at(offset), f"lowered Julia code ({printable(text)})")


def detect_dotnet(subject: FactsSubject) -> Iterator[Finding]:
    """A stream of .NET's BinaryFormatter."""
    bad = next((text for text, _ in subject.facts.found if _DOTNET.search(text)), "")
    message = f"the class {printable(bad)} is a known gadget" if bad else "a stream of BinaryFormatter"
    yield finding("CML-011", subject.location.at(0), message, severity=Severity.CRITICAL if bad else None)


def detect_spacy(subject: LinesSubject) -> Iterator[Finding]:
    """`config.cfg` of spaCy."""
    if "[nlp]" not in subject.text and "[components" not in subject.text:
        return
    for number, line in enumerate(subject.text.split("\n"), 1):
        match = _SPACY.search(line)
        if match and not _SPACY_OWN.match(match[2]):
            message = f"the registered function {printable(match[2])} comes from elsewhere"
            yield in_text("CML-012", subject.location, subject.text, number, message)
        elif re.match(
            r"\s*(?:before_to_disk|after_creation|before_creation|after_pipeline_creation|before_init|after_init)\s*=\s*\{?\s*\"@",
            line,
        ):
            yield in_text(
                "CML-012", subject.location, subject.text, number, "a callback runs when the pipeline is loaded"
            )


def detect_fasttext(subject: FactsSubject) -> Iterator[Finding]:
    """A fastText model."""
    for text, offset in subject.facts.found:
        yield finding("CML-013", subject.location.at(offset), text)
