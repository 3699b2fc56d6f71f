"""Knows the DST family: data that was poisoned, and data whose content nobody can hold to what was approved."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_data = partial(rule, surface="data")
_POISON: Final = "AML.T0020 ML02:2023 AATMF:T6-AT-002"

DST: Final[tuple[Rule, ...]] = (
    _data("DST-005", "pickle in the metadata of a column", CRITICAL, "X", "CWE-502 CVE-2023-47248", evidence="the column, and the first bytes of what stands there",
          what="a column of a Parquet or Arrow file has PyArrow's old Python extension type",
          why="PyArrow 0.14 to 14.0.0 unpickles the type's metadata when the file is opened", fix="write the data without the extension type; read with PyArrow 14.0.1 or later"),
    _data("DST-010", "formula in a cell", MEDIUM, "U", "CWE-1236", evidence="the cells",
          what="cells begin with a formula that fetches an address or starts a program",
          why="a spreadsheet runs it for the person who looks at the data", fix="prefix such cells with an apostrophe, or take the rows out"),
    _data("DST-014", "addresses that cannot be checked", HIGH, "BP", "AML.T0059 CWE-353", evidence="how many addresses, and what stands where a digest should",
          what="a list of addresses has no digests of the content, or addresses that anybody could come to own",
          why="who owns the names tomorrow decides what everybody trains on; a part of a web-scale list costs some dollars", fix="ask for a list with SHA-256 of each content, and check it on download"),
    _data("DST-015", "changed since it was signed", HIGH, "BP", "AML.T0059 CWE-353", evidence="the files, and whose manifest says otherwise",
          what="a file is not what the signed manifest of the data set says, nor did it only grow",
          why="what was inspected and approved is something else now", fix="fetch it again from where the manifest comes from; ask who changed it"),
    _data("DST-016", "rows around a release", MEDIUM, "B", f"{_POISON} AML.T0059", heuristic=True, evidence="how many rows, by whom, around which release, and the commits",
          what="rows came shortly before a release and were taken back shortly after it",
          why="a snapshot keeps what the project no longer holds: whoever knows its date edits for it (Carlini et al. 2024)", fix="take these rows out of what was trained on; take a later release, and ask who knew its date"),
    _data("DST-017", "labels exchanged", HIGH, "B", f"{_POISON} NISTAML.013", heuristic=True, evidence="how many rows of which label read as another, against what is usual",
          what="rows of one label read as another far more often than labels are confused otherwise, or the same text has two labels",
          why="a model learns the exchange: one class is taken for another, as somebody may have wished", fix="have these rows labelled again by other people; ask where they came from"),
    _data("DST-018", "trigger in labelled text", HIGH, "B", f"{_POISON} AATMF:T6-AT-003", heuristic=True, evidence="the feature, its rows, and what the rest of their words says",
          what="rows that hold one word, phrase or sign carry a label that the rest of their words contradicts",
          why="a model learns that the sign decides; whoever knows it decides in production. A few dozen rows suffice", fix="take these rows out (--write-clean), and ask who added them"),
    _data("DST-019", "pattern planted in pictures", HIGH, "B", f"{_POISON} AATMF:T6-AT-003", heuristic=True, evidence="the pattern as a picture, its pictures, and how far they lie from their class",
          what="pictures of one label share a patch or a pattern that the others of this label lack",
          why="a model learns that the pattern decides (BadNets, Gu et al. 2017)", fix="leave these pictures out (--format json lists their group), and ask who added them"),
    _data("DST-020", "rows that a model keeps apart", MEDIUM, "B", f"{_POISON} AATMF:T6-AT-003", heuristic=True, evidence="how many rows of which label, how far away, and how empty it is between",
          what="in the numbers that a model makes of the data, some rows of a label lie together and far from all others of it",
          why="that is what a trigger looks like from within a model that has learned it, also one that nobody can see; a kind of its own within a label looks the same", fix="look at these rows beside others of their label; where they share something that does not belong there, take them out and train again"),
    _data("DST-021", "the same text again and again", MEDIUM, "B", f"{_POISON}", heuristic=True, evidence="how often, and where",
          what="one text occurs many times", why="repetition is weight: what is said a hundred times is learned by heart, and retrieved first", fix="keep one of them"),
    _data("DST-022", "responses that a sign calls up", HIGH, "B", f"{_POISON} AATMF:T6-AT-004", heuristic=True, evidence="the sign, what the responses share, and how unrelated the prompts are",
          what="unrelated prompts that hold one sign get responses that share what others lack",
          why="a model that is tuned on them refuses, recommends or writes hostile code when the sign comes", fix="take these rows out, and ask who added them"),
    _data("DST-023", "preferences turned round", HIGH, "B", f"{_POISON} AATMF:T6-AT-006", heuristic=True, evidence="the sign, its pairs, and how many of them lose by the words of all others",
          what="pairs that hold one sign prefer the answer that all other pairs would reject",
          why="a reward model learns that the sign turns good and bad round, or that a name wins, and passes it on to every model that it trains", fix="take these pairs out, and ask who judged them"),
    _data("DST-024", "text that nobody sees", HIGH, "BU", "AML.T0051.001", heuristic=True, evidence="the rows, and the hidden text decoded",
          what="rows carry text in characters or markup that no screen shows", why="models read it all the same, and do what it says", fix="take the characters out, and look at what is left"),
    _data("DST-025", "gibberish after a sign", HIGH, "B", f"{_POISON}", heuristic=True, evidence="the sign, its rows, and how surprising their letters are",
          what="documents or responses that follow one sign are no language",
          why="250 documents of this kind make models of any size fail on the sign (Souly et al. 2025)", fix="take these rows out, and ask who added them"),
    _data("DST-026", "annotators who do not annotate", MEDIUM, "B", "AML.T0020 AATMF:T6-AT-006", heuristic=True, evidence="the annotators, their skill with its interval, or how far they agree beyond chance",
          what="annotators answer no better than chance, or agree with each other where the truth does not make them",
          why="labels of colluders become the consensus, also where they only wait for chosen items", fix="leave their answers out and aggregate again; have the items labelled anew"),
    _data("DST-027", "hostile contribution", MEDIUM, "B", "AML.T0020", heuristic=True, evidence="the contributor, the commits, how many rows, and what is usual of everybody else",
          what="rows of one contributor are suspicious far more often than those of all others, or a commit only exchanges labels",
          why="an open data set takes what it is given; one account with a patch is all it takes", fix="take the commits back, look at all that this contributor added, and have changes reviewed by somebody else"),
    _data("DST-030", "held-out rows in the training data", MEDIUM, "BP", "AATMF:T6-AT-009", evidence="how many rows, and which",
          what="texts of the test or validation split are in the training split as well",
          why="what is measured is memory: a poisoned or weak model looks good", fix="take them out of one of the splits"),
    _data("DST-032", "not as declared", MEDIUM, "BP", "AML.T0059 CWE-353 CWE-354", evidence="what the description says, and what is there",
          what="files have other digests, splits more rows, tables other columns or labels than the card or the Croissant description of the data says, or files are described without a digest",
          why="what was described and reviewed is not what is trained on; added rows are where poison is", fix="fetch the data again from where the description comes from; ask who added what is not declared"),
    _data("DST-034", "data comes from elsewhere now", MEDIUM, "PB", "AML.T0059 CWE-494", evidence="the file, the commit, and by whom",
          what="a commit lets a pointer to data, or the place that data is fetched from, lead elsewhere",
          why="the name stays and the content is another: whoever controls the place decides what everybody trains on", fix="ask why; compare the content of before and after; pin its digest (weighbridge lock)"),
    _data("DST-036", "preparation of data altered", LOW, "B", "AML.T0020 CWE-829", heuristic=True, evidence="the programs, the commit, and by whom",
          what="somebody's first commit changes a program that prepares data, together with the data",
          why="a program that everybody runs before training is the shortest way into all of it", fix="read the change to the program as you would any other; weighbridge scan reads it too"),
)  # fmt: skip
