"""Knows which tests fit a model, by looking at it: those of classifiers of images or of texts, of language models, of adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from weighbridge.backdoor.adapters import is_adapter
from weighbridge.backdoor.language_models import is_language_folder
from weighbridge.backdoor.text_models import is_text_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.backdoor.result import Result


class Asked(Struct, frozen=True, kw_only=True):
    """A model to test, as somebody names everything: paths, and references by file or by the name of shipped ones.

    `base` is what a language model or an adapter was made from, `stacked` are adapters that are laid over it together with this
    one, and `frame` is what stands around a prompt, which goes where `{}` is. `resume` is a folder where steps are kept.
    """

    model: str
    samples: str = ""
    references: str = ""
    clean: tuple[str, ...] = ()
    pixels: str = ""
    budget: float = 0.0
    base: str = ""
    stacked: tuple[str, ...] = ()
    frame: str = ""
    resume: str = ""


def run_tests(
    asked: Asked, *, said: Callable[[str], None] = lambda _: None, told: Callable[[float], None] = lambda _: None
) -> Result:
    """Test a model. What cannot be tested is a result, and says what is missing.

    Raises UsageError and SourceError for samples and references that cannot be read.
    """
    if is_text_folder(asked.model):
        from weighbridge.backdoor.examine_texts import TextWish, examine_texts  # noqa: PLC0415  # each kind loads its own
        from weighbridge.backdoor.text_references import read_text_references  # noqa: PLC0415

        known = read_text_references(asked.references) if asked.references else None
        wish = TextWish(
            model=asked.model,
            samples=asked.samples,
            references=known,
            others=asked.clean,
            budget=asked.budget,
            resume=asked.resume,
        )
        return examine_texts(wish, said=said, told=told)
    if is_adapter(asked.model) or is_language_folder(asked.model):
        from weighbridge.backdoor.examine_language import LanguageWish, examine_language  # noqa: PLC0415
        from weighbridge.backdoor.language_references import read_language_references  # noqa: PLC0415

        clean = read_language_references(asked.references) if asked.references else None
        language = LanguageWish(
            model=asked.model, base=asked.base, stacked=asked.stacked, samples=asked.samples, frame=asked.frame, references=clean,
            budget=asked.budget, resume=asked.resume,
        )  # fmt: skip
        return examine_language(language, said=said, told=told)
    from weighbridge.backdoor.examine import Wish, examine  # noqa: PLC0415
    from weighbridge.backdoor.references import find_references  # noqa: PLC0415

    references = find_references(asked.references) if asked.references else None
    return examine(
        Wish(
            model=asked.model, samples=asked.samples, references=references, others=asked.clean, pixels=asked.pixels,
            budget=asked.budget, resume=asked.resume,
        ),
        said=said, told=told,
    )  # fmt: skip


def test_model(path: str, samples: str = "", references: str = "", **more: object) -> Result:  # noqa: PT028  # no test of ours
    """Test a classifier of images or texts, a language model or an adapter: as `weighbridge test`, from Python.

    `references` is a file, or the name of shipped ones; `more` are further fields of `Asked`. Raises UsageError, SourceError.
    """
    return run_tests(Asked(model=path, samples=samples, references=references, **more))  # type: ignore[arg-type]
