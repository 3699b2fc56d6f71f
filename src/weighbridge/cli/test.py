"""The verb `test`: backdoor tests of a model, before it is deployed."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.cli.exits import ADMITTED, BLOCKED, INCOMPLETE
from weighbridge.cli.options import flag, parser
from weighbridge.cli.sign import add_signer, seal
from weighbridge.cli.written import write_file
from weighbridge.policy.testing import seconds_of
from weighbridge.schema import Unavailable, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from weighbridge.backdoor.result import Result
    from weighbridge.backdoor.self_test import Tried

_SERVED: Final = ("openai+http://", "openai+https://", "http://", "https://", "python:")
_FEWEST: Final = 50
_EPILOG: Final = """verdicts:
  trigger found   p < 0.01 against clean models, and the recovered trigger works on unseen samples (exit 1)
  suspicious      p < 0.05, or not verified (exit 3)
  no evidence     nothing was found, by tests whose power is said (exit 0)
  not testable    and why (exit 3)
No verdict says clean: what no search finds may still be there."""


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    if given.service_return:
        return _service_return(given)
    if not (given.self_test or given.model):
        raise UsageError("name a model", hint="weighbridge test model.onnx --data samples/")
    try:
        if given.self_test:
            from weighbridge.backdoor.self_test import self_test, untried  # noqa: PLC0415  # loading torch takes seconds

            return _told_self_test(self_test(), untried(), given)
        result = _tested(given)
    except ImportError as error:
        raise Unavailable(
            f"test needs the extra backdoor ({error.name})", hint="pip install 'weighbridge[backdoor]'"
        ) from error
    _written(given, result)
    if given.key or given.keyless:
        _attest(given, result)
    return _code(result)


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "test",
        "Test a classifier of images or texts, a language model or an adapter for backdoors: searches for the smallest change, or\n"
        "the words, that lead samples astray, compares them with clean models or with the base, recovers the trigger and tries\n"
        "it on samples that no search has seen.\n"
        "Nothing of the model is executed.",
        "weighbridge test model.onnx --data samples/ --html report.html",
        _EPILOG,
    )
    made.add_argument(
        "model",
        nargs="?",
        help="an ONNX, torch.export or Keras file; a folder with safetensors and config.json or adapter_config.json; or an address: "
        "http://host/predict (JSON), openai+http://host/v1",
    )
    made.add_argument(
        "--data",
        metavar="PATH",
        default="",
        help="samples: images in a folder (one folder a class), .npz with x and y, or .npy; texts, or prompts for language models, in jsonl, csv, tsv or txt",
    )
    made.add_argument(
        "--references",
        metavar="FILE",
        help="scores of clean models of the same task, from weighbridge calibrate; digits and mnist come along",
    )
    made.add_argument(
        "--clean",
        metavar="MODEL",
        action="append",
        default=[],
        help="a clean model of the same task: a trigger should not work there",
    )
    _add_language(made)
    _add_served(made)
    made.add_argument(
        "--pixels",
        default="",
        metavar="RANGE",
        help="0-1, 0-255, -1-1, imagenet, mnist, cifar, or mean/deviation (default: found out on labelled samples)",
    )
    made.add_argument(
        "--budget", default="", metavar="TIME", help="such as 90s, 5m, 1h: what would take longer is not begun"
    )
    made.add_argument(
        "--resume", default="", metavar="FOLDER",
        help="keep here what each step came to: the same test, stopped, goes on from there",
    )  # fmt: skip
    made.add_argument(
        "--self-test", action="store_true", help="test the shipped known-bad models, and say how well they are found"
    )
    made.add_argument(
        "--service-return",
        nargs=3,
        metavar=("BASE", "JOB", "RETURNED"),
        help="hold what a fine-tuning service gave back against the base that was sent and the job (JSON): is only that changed?",
    )
    output = made.add_argument_group("output")
    flag(output, "format", "how to write the result", choices=("terminal", "json"), default="terminal")
    output.add_argument("--output", metavar="FILE", help="write it to this file")
    output.add_argument("--html", metavar="FILE", help="write a page with the recovered trigger")
    output.add_argument(
        "--attestation", metavar="FILE", help="with --key: where the signed result goes (default: MODEL.test.att)"
    )
    add_signer(made)
    return made.parse_args(arguments)


def _add_language(made: argparse.ArgumentParser) -> None:
    language = made.add_argument_group("language models and adapters")
    language.add_argument("--base", metavar="FOLDER", default="", help="the model that it was made from")
    language.add_argument(
        "--with",
        dest="stacked",
        metavar="ADAPTER",
        action="append",
        default=[],
        help="another adapter that is used together with it",
    )
    language.add_argument(
        "--frame",
        metavar="TEXT",
        default="",
        help="what stands around a prompt, {} for the prompt (default: by the marks in its vocabulary)",
    )


def _add_served(made: argparse.ArgumentParser) -> None:
    served = made.add_argument_group("models behind an address (--base is an address then too)")
    served.add_argument(
        "--served-name", metavar="NAME", default="", help="the name of the model there, for OpenAI-compatible ones"
    )
    served.add_argument("--served-base", metavar="NAME", default="", help="the name of its base")
    served.add_argument(
        "--requests", metavar="N", default="1000", help="ask this often at the most while searching (1000)"
    )


def _tested(given: argparse.Namespace) -> Result:
    if _is_served(given.model):
        return _asked(given)
    from weighbridge.backdoor.testing import Asked, run_tests  # noqa: PLC0415  # loading torch takes seconds

    asked = Asked(
        model=given.model, samples=given.data, references=given.references or "", clean=tuple(given.clean), pixels=given.pixels,
        budget=seconds_of(given.budget), base=given.base, stacked=tuple(given.stacked), frame=given.frame.replace("\\n", "\n"),
        resume=given.resume,
    )  # fmt: skip
    return run_tests(asked, said=_said, told=_progress())


def _is_served(name: str) -> bool:
    return name.startswith(_SERVED)


def _asked(given: argparse.Namespace) -> Result:
    """A model behind an address, by its answers alone."""
    from weighbridge.backdoor.examine_endpoint import EndpointWish, examine_endpoint  # noqa: PLC0415  # loading torch takes seconds
    from weighbridge.monitor.endpoint import open_endpoint  # noqa: PLC0415

    if given.base and not _is_served(given.base):
        raise UsageError("a served model is held against a served base", hint=f"--base {_SERVED[0]}…")
    if given.key or given.keyless:
        raise UsageError(
            "the result of a served model is not signed: nothing says which files answer", hint="test the files"
        )
    if not given.requests.isdigit() or int(given.requests) < _FEWEST:
        raise UsageError(f"--requests takes a number from {_FEWEST} on", hint="such as 1000")
    wish = EndpointWish(
        name=given.model, ask=open_endpoint(given.model, model=given.served_name).ask,
        base=open_endpoint(given.base, model=given.served_base).ask if given.base else None, samples=given.data,
        requests=int(given.requests), budget=seconds_of(given.budget),
    )  # fmt: skip
    return examine_endpoint(wish, said=_said, told=_progress())


def _service_return(given: argparse.Namespace) -> int:
    from weighbridge.cli.exits import exit_code  # noqa: PLC0415  # only here a report is written
    from weighbridge.cli.written import write  # noqa: PLC0415
    from weighbridge.inspection.service_return import held_to_job  # noqa: PLC0415
    from weighbridge.policy import find_settings  # noqa: PLC0415
    from weighbridge.provenance.job import read_job  # noqa: PLC0415

    base, job, returned = given.service_return
    report = held_to_job(base, read_job(job), returned, find_settings(None).policy)
    given.verbose, given.color = False, "auto"
    if given.html:
        from weighbridge.output import render_as  # noqa: PLC0415

        write_file(given.html, render_as("html", report).encode())
    write(given, report)
    return exit_code(report)


def _said(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _progress() -> Callable[[float], None]:
    """A line that grows in a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _: None
    begun = time.monotonic()

    def told(share: float) -> None:
        left = (time.monotonic() - begun) * (1 / share - 1)
        print(
            f"\r  {share:4.0%}  {left:.0f} s left   ", end="" if share < 1 else "\r\033[K", file=sys.stderr, flush=True
        )

    return told


def _written(given: argparse.Namespace, result: Result) -> None:
    from weighbridge.output.behaviour import to_lines, to_page  # noqa: PLC0415

    if given.html:
        write_file(given.html, to_page(result).encode())
    if given.format == "json":
        data = msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
    else:
        data = "".join(f"{line}\n" for line in to_lines(result)).encode()
    if given.output:
        write_file(given.output, data)
    else:
        sys.stdout.write(data.decode())


def _code(result: Result) -> int:
    from weighbridge.backdoor.result import Verdict  # noqa: PLC0415

    return {Verdict.FOUND: BLOCKED, Verdict.NOTHING: ADMITTED}.get(result.verdict, INCOMPLETE)


def _attest(given: argparse.Namespace, result: Result) -> None:
    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings
    from weighbridge.provenance import attestation  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.provenance.digest import digests, members  # noqa: PLC0415
    from weighbridge.provenance.predicates import TEST, Tested, TestResult  # noqa: PLC0415

    said = TestResult(
        tool=f"weighbridge {__version__}", verdict=result.verdict.value, tested_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        tests=tuple(Tested(name=one.name, outcome=f"{one.value:.4f}", p_value=one.p_value) for one in result.tests),
    )  # fmt: skip
    table: dict[str, Any] = msgspec.to_builtins(said)
    path = given.attestation or f"{given.model.rstrip('/')}.test.att"
    sealed, by = seal(given, attestation.statement(digests(members(given.model)), TEST, table))
    write_file(path, sealed)
    print(f"{path}: signed by {by}", file=sys.stderr)


def _told_self_test(tried: Iterable[Tried], untried: Sequence[str], given: argparse.Namespace) -> int:
    from weighbridge.output.behaviour import to_page, trigger_text  # noqa: PLC0415

    begun, missed, alarms = time.monotonic(), [], []
    for one in tried:
        verdict, p = one.result.verdict.value, one.result.p_value
        shown = "no p-value" if p is None else f"p = {p:.3g}"
        print(f"{one.name:<18}{one.planted:<56}{verdict:<15}{shown}", flush=True)
        if one.result.trigger and one.is_bad:
            print(f"{'':<18}{trigger_text(one.result.trigger, one.result.kind)}")
        missed += [one.name] if one.is_bad and (p is None or p >= 0.05) else []
        alarms += [one.name] if not one.is_bad and p is not None and p < 0.05 else []
        if given.html and one.is_bad:
            write_file(
                f"{given.html.removesuffix('.html')}-{one.name}.html", to_page(one.result, known=one.trigger).encode()
            )
    if untried:
        print(f"not tested: {', '.join(untried)} (pip install transformers)")
    print(
        f"{len(missed)} known-bad models missed{': ' + ', '.join(missed) if missed else ''}; "
        f"{len(alarms)} clean models suspected; {time.monotonic() - begun:.0f} s"
    )
    return BLOCKED if missed or alarms else ADMITTED
