"""Steps of a long test: made once, taken where the same test goes on, made again where anything that decides is another."""

import os

import pytest
import torch

from weighbridge.backdoor.searches import Found
from weighbridge.backdoor.self_test import FOLDER as SHIPPED
from weighbridge.backdoor.steps import Steps
from weighbridge.backdoor.testing import Asked, run_tests
from weighbridge.cli.main import main
from weighbridge.schema import UsageError


class Counted:
    def __init__(self, value):
        self.value, self.times = value, 0

    def __call__(self):
        self.times += 1
        return self.value


def test_a_step_is_made_once_and_comes_back_as_it_was(tmp_path):
    value = Found(torch.tensor([1.5, 2.0]), torch.arange(12.0).reshape(2, 1, 2, 3), torch.tensor([True, False]))
    make = Counted(value)
    first, again = (Steps(str(tmp_path / "kept"), ("a", b"b")).once("one", Found, make) for _ in range(2))
    assert make.times == 1
    assert first is value
    for name in ("sizes", "changes", "works"):
        assert torch.equal(getattr(again, name), getattr(value, name))
        assert getattr(again, name).dtype == getattr(value, name).dtype


@pytest.mark.parametrize("about", [("a", b"c"), ("ab", b""), ("a",)])
def test_nothing_is_taken_of_another_test(tmp_path, about):
    make = Counted([1, 2])
    Steps(str(tmp_path), ("a", b"b")).once("one", list[int], make)
    Steps(str(tmp_path), about).once("one", list[int], make)
    Steps(str(tmp_path), ("a", b"b")).once("other", list[int], make)
    assert make.times == 3


@pytest.mark.parametrize("damage", [b"", b"{", b'["x"]', b"[1", b"\xff" * 9])
def test_what_is_damaged_is_made_again(tmp_path, damage):
    make = Counted([1, 2])
    steps = Steps(str(tmp_path), ("a",))
    steps.once("one", list[int], make)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(damage)
    assert steps.once("one", list[int], make) == [1, 2]
    assert make.times == 2


def test_without_a_folder_nothing_is_kept_and_one_that_cannot_be_written_is_said(tmp_path):
    make = Counted([1])
    assert [Steps().once("one", list[int], make) for _ in range(2)] == [[1], [1]]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--resume"):
        Steps(str(tmp_path / "file"), ("a",)).once("one", list[int], make)


def test_a_test_that_was_stopped_goes_on_and_says_what_it_would_have_said(tmp_path, monkeypatch):
    from weighbridge.backdoor import vision

    model, samples = os.path.join(SHIPPED, "badnets.onnx"), os.path.join(SHIPPED, "digits.npz")
    whole = run_tests(Asked(model=model, samples=samples, references="digits"))
    asked = Asked(model=model, samples=samples, references="digits", resume=str(tmp_path))
    paired = vision.paired

    def stopped(*_given, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(vision, "paired", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_tests(asked)
    assert sorted(one.name.partition(".")[2] for one in tmp_path.iterdir()) == ["targeted.json", "untargeted.json"]
    monkeypatch.setattr(vision, "paired", paired)
    monkeypatch.setattr(vision, "targeted", stopped)
    went_on = run_tests(asked)
    assert (went_on.verdict, went_on.p_value, went_on.tests) == (whole.verdict, whole.p_value, whole.tests)
    assert went_on.trigger == whole.trigger


def test_the_verb_keeps_its_steps(tmp_path, capsys):
    model, samples = os.path.join(SHIPPED, "clean-a.onnx"), os.path.join(SHIPPED, "digits.npz")
    said = []
    for _ in range(2):
        main(["test", model, "--data", samples, "--references", "digits", "--resume", str(tmp_path)])
        said.append([line for line in capsys.readouterr().out.splitlines() if " s" not in line])
    assert said[0] == said[1]
    assert len(list(tmp_path.iterdir())) == 4
