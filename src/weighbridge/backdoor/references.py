"""Knows clean reference models by their scores, and how far a suspect lies from them, as a p-value that holds.

A p-value is a conformal rank (Vovk et al. 2005): among n clean models of the same kind, a clean suspect is the most
suspicious with probability 1/(n+1). It needs no shape of the distribution, and it cannot be smaller than 1/(n+1).
"""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec import Struct

from weighbridge.backdoor.object_patches import EDITION
from weighbridge.backdoor.object_patches import STEPS as PATCH_STEPS
from weighbridge.backdoor.object_patches import TESTS as PATCH_TESTS
from weighbridge.backdoor.result import Power  # noqa: TC001  # decoding reads the annotation
from weighbridge.backdoor.vision import NAMES, SEARCHES, STEPS
from weighbridge.schema import UsageError
from weighbridge.source.blob import unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER: Final = os.path.join(os.path.dirname(__file__), "shipped")
_ENDS: Final = ".references.json"
_LEAST: Final = 5
_LARGEST: Final = 256 << 20
_FLOOR: Final = 0.05  # of the spread of a logarithm: references that agree by chance do not make everything suspicious


class References(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scores of clean models: which task and recipe they are of, and what was measured with them. `detector` says that they find objects."""

    name: str
    recipe: str
    shape: tuple[int, int, int]
    classes: int
    searches: int
    steps: tuple[int, ...]
    images: int
    scores: tuple[tuple[float, ...], ...]
    power: tuple[Power, ...] = ()
    alarms: tuple[int, int] = (0, 0)
    detector: bool = False

    def fits(self, shape: Sequence[int], classes: int, *, detector: bool = False) -> bool:
        """Whether scores of a model can be held against these."""
        return (tuple(shape), classes, detector) == (self.shape, self.classes, self.detector) and self.current

    @property
    def current(self) -> bool:
        """Whether they are of this edition of the searches."""
        return (self.searches, self.steps) == edition_of(detector=self.detector)


def edition_of(*, detector: bool) -> tuple[int, tuple[int, ...]]:
    """(edition of the searches, their steps) that references are of."""
    return (EDITION, PATCH_STEPS) if detector else (SEARCHES, STEPS)


class Ranked(Struct, frozen=True, kw_only=True):
    """Where a suspect lies among its references.

    A p-value of all tests together, one of each alone, and how far each lies from the middle of the references, in robust spreads (negative: suspicious).
    """

    together: float
    each: tuple[float, ...]
    distances: tuple[float, ...]

    @property
    def distance(self) -> float:
        """Of the most suspicious test."""
        return min(self.distances)


def rank(values: Sequence[float], scores: Sequence[Sequence[float]]) -> Ranked:
    """Hold the scores of a suspect against those of references.

    Together: the score that lies furthest out, in spreads of the references, ranked among the same number of every reference
    held against the others and the suspect. Suspect and references are treated alike, so the rank is uniform for a clean suspect.
    """
    everybody = [tuple(values), *(tuple(one) for one in scores)]
    placed = [_distances(one, everybody) for one in everybody]
    extremes = [min(one) for one in placed]
    more = sum(one <= extremes[0] for one in extremes)
    each = tuple(sum(one[at] <= values[at] for one in everybody) / len(everybody) for at in range(len(values)))
    return Ranked(together=more / len(everybody), each=each, distances=placed[0])


def _distances(values: Sequence[float], everybody: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The scores, in robust spreads from their middle."""
    found = []
    for at, value in enumerate(values):
        column = sorted(one[at] for one in everybody)
        middle = statistics.median(column)
        spread = 1.4826 * statistics.median(abs(one - middle) for one in column)
        found.append((value - middle) / max(spread, _FLOOR))
    return tuple(found)


def read_references(path: str) -> References:
    """References that `weighbridge calibrate` wrote. Raises SourceError, UsageError."""
    found = decoded(path, References, "images")
    if not found.current:
        raise UsageError(f"{path} was made by another edition of the searches", hint="run weighbridge calibrate again")
    enough(path, found.scores, len(PATCH_TESTS if found.detector else NAMES))
    return found


Kind = TypeVar("Kind", bound=Struct)


def decoded(path: str, kind: type[Kind], what: str) -> Kind:
    """References of one kind from their file. Raises SourceError, UsageError where they are of another."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=kind)
    except OSError as error:
        raise unreadable(path, error) from error
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{path}: these are no references of classifiers of {what}: {error}",
            hint="weighbridge calibrate writes them",
        ) from error


def enough(path: str, scores: Sequence[Sequence[float]], tests: int) -> None:
    """Raises UsageError where there are too few scores to rank among, or they are of other tests."""
    if len(scores) < _LEAST or any(len(one) != tests for one in scores):
        raise UsageError(f"{path} holds {len(scores)} models", hint=f"at least {_LEAST} are needed, 100 for p < 0.01")


def shipped() -> list[str]:
    """The names of the references that come with this program."""
    return sorted(name.removesuffix(_ENDS) for name in os.listdir(_FOLDER) if name.endswith(_ENDS))


def find_references(wanted: str) -> References:
    """References by their file, or by the name of shipped ones. Raises SourceError, UsageError."""
    if wanted in shipped():
        return read_references(os.path.join(_FOLDER, f"{wanted}{_ENDS}"))
    return read_references(wanted)
