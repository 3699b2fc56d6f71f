"""Knows how references are made: from clean models that somebody has, or trained here by a recipe on somebody's data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy
import torch

from weighbridge.backdoor.detectors import Detector
from weighbridge.backdoor.examine import open_like
from weighbridge.backdoor.examine_detector import held_out, look_at_detector
from weighbridge.backdoor.examine_language import LanguageWish, numbers_of, opened_pair
from weighbridge.backdoor.examine_texts import SEARCHED, agreement, written
from weighbridge.backdoor.known_triggers import KNOWN as TRIGGERS
from weighbridge.backdoor.language import EDITION, PROMPTS, look_at_language
from weighbridge.backdoor.language_references import LanguageReferences
from weighbridge.backdoor.models import Classifier, open_classifier
from weighbridge.backdoor.pixels import KNOWN, settle_pixels
from weighbridge.backdoor.prompts import parts_of, texts_of
from weighbridge.backdoor.recipes import NETS, train
from weighbridge.backdoor.references import References, edition_of
from weighbridge.backdoor.samples import read_samples
from weighbridge.backdoor.text_models import open_text_folder
from weighbridge.backdoor.text_references import references_of
from weighbridge.backdoor.text_samples import read_texts
from weighbridge.backdoor.texts import look_at_texts
from weighbridge.backdoor.threads import fitting_threads, one_thread
from weighbridge.backdoor.vision import IMAGES, chosen, look
from weighbridge.schema import Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.backdoor.samples import Samples
    from weighbridge.backdoor.text_models import TextClassifier
    from weighbridge.backdoor.text_references import TextReferences
    from weighbridge.backdoor.text_samples import TextSamples
    from weighbridge.backdoor.texts import TextLook


def of_models(paths: Sequence[str], samples: str, name: str, pixels: str = "") -> Iterator[References]:
    """References from clean models of one task: after each model, those until then. Raises UsageError, SourceError, Unavailable."""
    first = open_classifier(paths[0])
    given = read_samples(samples, first.shape)
    settle_pixels(first, given, pixels)
    scores: list[tuple[float, ...]] = []
    for number, path in enumerate(paths):
        model = first if number == 0 else open_like(path, first)
        with one_thread():
            scores.append(_scores(model, given))
        yield _references(first, name, f"{len(scores)} clean models that were given", scores)


def of_text_models(paths: Sequence[str], samples: str, name: str) -> Iterator[TextReferences]:
    """References from clean classifiers of texts of one task: from the second on, those until then. Raises as `of_models`."""
    given = read_texts(samples)
    looks: list[TextLook] = []
    words: list[dict[int, str]] = []
    for path in paths:
        with one_thread():
            model = open_text_folder(path)
            if looks and model.classes != looks[0].classes:
                raise UsageError(f"{path} tells {model.classes} classes apart", hint="models of one task")
            _agreeing(path, model, given)
            texts = [model.numbers(text) for text in given.texts[:SEARCHED]]
            looks.append(look_at_texts(model, texts, model.predicted(texts).tolist()))
            words.append(written(model, looks[-1]))
        if len(looks) > 1:
            yield references_of(looks, words, name=name, recipe=f"{len(looks)} clean models that were given")


def of_language_models(
    paths: Sequence[str], base: str, samples: str, name: str, frame: str
) -> Iterator[LanguageReferences]:
    """References from clean models or adapters of one base: after each, those until then. Raises as `of_models`."""
    scores: list[tuple[float, ...]] = []
    first: tuple[str, ...] = ()
    for path in paths:
        given = opened_pair(LanguageWish(model=path, base=base, samples=samples, frame=frame))
        searched, _ = parts_of(given.suspect, texts_of(samples)[0], PROMPTS, 0)
        with fitting_threads(sum(one.numel() for one in given.suspect.net.parameters())):
            look = look_at_language(given.suspect, given.base, searched, known=TRIGGERS)
            names, values = numbers_of(given, look)
        if first and names != first:
            raise UsageError(f"{path}: it takes other tests than the first", hint="adapters, or models, of one kind")
        first = names
        scores.append(tuple(round(value, 4) for value in values))
        yield LanguageReferences(
            name=name,
            recipe=f"{len(scores)} clean models that were given",
            names=names,
            edition=EDITION,
            scores=tuple(scores),
        )


def _agreeing(path: str, model: TextClassifier, given: TextSamples) -> None:
    """Raises Unavailable where a model knows no more of the samples than chance: it is no reference."""
    try:
        agreement(model, given)
    except Unavailable as error:
        raise Unavailable(f"{path}: {error.message}", hint=error.hint) from error


def of_recipe(net: str, count: int, data: str, shape: tuple[int, int, int], name: str) -> Iterator[References]:
    """References from models that are trained here, on two thirds of the data each; the rest is searched on.

    Raises UsageError where the data has no labels.
    """
    given = read_samples(data, shape, most=100_000)
    if given.labels is None:
        raise UsageError(f"{data}: there are no labels to train on", hint="a folder a class, or an .npz with x and y")
    x, y = torch.from_numpy(given.images), torch.from_numpy(given.labels)
    classes = int(y.max()) + 1
    scores: list[tuple[float, ...]] = []
    for number in range(count):
        order = torch.from_numpy(numpy.random.default_rng(number).permutation(len(x)))
        own, rest = order[: len(x) * 2 // 3], order[len(x) * 2 // 3 :]
        with one_thread():
            model = Classifier(train(NETS[net], x[own], y[own], classes, number), shape, about=net, digest="")
            model.pixels = KNOWN["0-1"]
            scores.append(look(model, chosen(model, x[rest], y[rest])).scores.values)
        yield _references(model, name, f"{len(scores)} nets of the recipe {net}", scores)


def _scores(model: Classifier, given: Samples) -> tuple[float, ...]:
    if isinstance(model, Detector):
        return look_at_detector(model, held_out(model, torch.from_numpy(given.images))).values
    labels = torch.from_numpy(given.labels) if given.labels is not None else None
    return look(model, chosen(model, torch.from_numpy(given.images), labels)).scores.values


def _references(model: Classifier, name: str, recipe: str, scores: Sequence[tuple[float, ...]]) -> References:
    detector = isinstance(model, Detector)
    searches, steps = edition_of(detector=detector)
    return References(
        name=name, recipe=recipe, shape=model.shape, classes=model.classes, detector=detector, searches=searches, steps=steps, images=IMAGES,
        scores=tuple(tuple(round(value, 4) for value in one) for one in scores),
    )  # fmt: skip
