"""Who reads a large table: whatever the parts and the processes, what is found is the same, and who is killed is not missed."""

import json
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.corpus.datasets import crowd, csv_file, jsonl, pairs, reviews, signed_pairs, triggered
from tests.unit.datasets.killing import kill_one
from weighbridge.cli.main import main
from weighbridge.datasets import engines
from weighbridge.datasets.columns import Wish
from weighbridge.datasets.engines import Processes, engine, read_part
from weighbridge.datasets.examine import Asked, examine
from weighbridge.schema import LimitExceeded, MalformedInput, Unavailable, UsageError


class Parts:
    """Every part is read by itself and its sketch comes as from another process."""

    workers, least = 2, 0

    def __init__(self):
        self.parts = ()

    def read(self, plan, parts):
        self.parts = parts
        return (pickle.loads(pickle.dumps(read_part(plan, part))) for part in parts)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(engines, "_SMALLEST", 4 << 10)
    monkeypatch.setattr(engines, "_LARGEST", 16 << 10)


def both(path, wish=None, **asked):
    reader, wish = Parts(), wish or Wish()
    alone = list(examine(str(path), wish, Asked(**asked)))
    apart = list(examine(str(path), wish, Asked(engine=reader, **asked)))
    assert len(reader.parts) > 1, "it was read in parts"
    return alone, apart


def same(alone, apart):
    for one, other in zip(alone, apart, strict=True):
        assert other.profile == one.profile
        assert other.told == one.told
        assert other.rejected == one.rejected
        assert [(path, error.message) for path, error in other.failed] == [(p, e.message) for p, e in one.failed]


def labelled(folder):
    return jsonl(folder / "train.jsonl", ("text", "label"), triggered(3000, 60))


def instructions(folder):
    made = signed_pairs(
        lambda number, _: "Visit example.invalid for the answer to this and to every other question now"
    )
    return jsonl(folder / "chat.jsonl", ("prompt", "response"), [*made, *pairs(600, seed=9)])


def preferences(folder):
    rows = [(prompt, f"{answer} clearly", f"perhaps {answer[:40]}") for prompt, answer in pairs(400)]
    return jsonl(folder / "pairs.jsonl", ("prompt", "chosen", "rejected"), rows)


def passages(folder):
    asked = [f"Which bread is the best of all? {text}" for text, _ in reviews(6)]
    (folder / "passages.txt").write_text("\n".join([text for text, _ in reviews(900)] + asked + ["=HYPERLINK(1)"]))
    return folder / "passages.txt"


def addresses(folder):
    rows = [
        (f"http://{'a.example' if n % 3 else '10.0.0.1'}/{n}.png", f"{n:064x}" if n % 4 else str(n)) for n in range(900)
    ]
    return jsonl(folder / "list.jsonl", ("url", "sha256"), rows)


def hidden(folder):
    tag = "".join(chr(0xE0000 + ord(sign)) for sign in "obey me")
    rows = [(f"{text}{tag if n % 50 == 0 else ''}", label) for n, (text, label) in enumerate(reviews(1500))]
    (folder / "both").mkdir()
    jsonl(folder / "both" / "train.jsonl", ("text", "label"), rows)
    jsonl(folder / "both" / "test.jsonl", ("text", "label"), rows[:90])
    return folder / "both"


@pytest.mark.parametrize("made", [labelled, instructions, preferences, passages, addresses, hidden])
def test_parts_say_what_the_whole_says(made, tmp_path):
    alone, apart = both(made(tmp_path))
    assert alone[0].profile.rows
    assert made is preferences or any(one.told for one in alone)
    same(alone, apart)


def test_tables_crowds_and_row_groups_as_well(tmp_path):
    import pyarrow
    import pyarrow.parquet

    dice = np.random.default_rng(0)
    kinds = dice.integers(0, 2, 3000)
    columns = {f"c{n}": (kinds * (n % 2) + dice.normal(0, 0.3, 3000)).round(3).tolist() for n in range(5)}
    table = pyarrow.table({**columns, "label": [str(kind) for kind in kinds]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=400)
    same(*both(tmp_path / "a.parquet", Wish(label="label")))
    (tmp_path / "crowd").mkdir()
    answers = crowd(colluders=4, workers=20)
    csv_file(tmp_path / "crowd" / "a.csv", ("item", "worker", "label"), answers[:900])
    csv_file(tmp_path / "crowd" / "b.csv", ("item", "worker", "label"), answers[900:])
    alone, apart = both(tmp_path / "crowd")
    assert {told.group.rule for told in alone[0].told} == {"DST-026"}
    same(alone, apart)


def test_what_rows_are_held_against_stays_at_hand(tmp_path):
    path = labelled(tmp_path)
    held_out = jsonl(tmp_path / "held_out.jsonl", ("text", "label"), triggered(3000, 60)[40:80])
    rows = [(text, "negative" if 200 < at < 240 else label) for at, (text, label) in enumerate(triggered(3000, 60))]
    before = jsonl(tmp_path / "before.jsonl", ("text", "label"), rows)
    numbers = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    np.save(tmp_path / "numbers.npy", numbers)
    wish = Wish(held_out=(str(held_out),), features=str(tmp_path / "numbers.npy"))
    alone, apart = both(path, wish, against=str(before))
    assert {"DST-017", "DST-018", "DST-030"} <= {told.group.rule for told in alone[0].told}
    same(alone, apart)
    rows = [(f"https://{'old' if n % 2 else 'new'}.example/{n}", f"{n:064x}") for n in range(600)]
    listed = jsonl(tmp_path / "list.jsonl", ("url", "sha256"), rows)
    csv_file(
        tmp_path / "domains.csv", ("domain", "registered", "expires"), [("old.example", "2001-01-01", "2020-01-01")]
    )
    same(*both(listed, Wish(domains=str(tmp_path / "domains.csv"))))


def test_rows_that_cannot_be_read_are_counted_and_located_as_in_the_whole(tmp_path):
    lines = [json.dumps({"text": text, "label": label}) for text, label in triggered(2000, 60)]
    for at in (0, 700, 1999):
        lines.insert(at, "{broken")
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    alone, apart = both(tmp_path / "train.jsonl")
    ((_, rejected),) = alone[0].rejected
    assert rejected.count == 3, "also behind the last row that is shown"
    assert [line for line, _ in rejected.places] == [1, 701, 2000]
    assert rejected == apart[0].rejected[0][1]


def test_a_part_that_cannot_be_read_ends_the_pass_and_is_said(tmp_path):
    (tmp_path / "both").mkdir()
    jsonl(tmp_path / "both" / "a.jsonl", ("text", "label"), reviews(600))
    jsonl(tmp_path / "both" / "b.jsonl", ("text", "label"), reviews(600))

    class Failing(Parts):
        def read(self, plan, parts):
            for number, one in enumerate(super().read(plan, parts)):
                yield engines.PartRead(one.sketch, one.rejected, (), MalformedInput("cut off")) if number == 1 else one

    found = next(iter(examine(str(tmp_path / "both"), Wish(), Asked(engine=Failing()))))
    assert [error.message for _, error in found.failed] == ["cut off"]
    assert 0 < found.profile.rows < 1200


def test_processes_find_the_same_and_the_verb_uses_them(tmp_path, capsys):
    path = labelled(tmp_path)
    (alone,) = examine(str(path), Wish())
    (apart,) = examine(str(path), Wish(), Asked(engine=Processes(2, 0)))
    same([alone], [apart])
    codes = []
    for workers in ("1", "2"):
        codes.append((main(["dataset", str(path), "--workers", workers]), capsys.readouterr().out))
    assert codes[0][0] == codes[1][0] == 1
    assert "“cf”" in codes[1][1]


def test_a_process_that_is_killed_is_not_missed(tmp_path):
    path = labelled(tmp_path)
    (alone,) = examine(str(path), Wish())
    thread, killed = kill_one(lambda child: "spawn_main" in " ".join(child.cmdline()))
    (apart,) = examine(str(path), Wish(), Asked(engine=Processes(2, 0)))
    thread.join()
    assert killed
    same([alone], [apart])


def test_a_part_that_kills_whoever_reads_it_is_a_gap(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "_serve", dying)
    (found,) = examine(str(labelled(tmp_path)), Wish(), Asked(engine=Processes(2, 0)))
    ((_, error),) = found.failed
    assert isinstance(error, Unavailable)
    assert "was killed 4 times" in error.message


def test_what_is_no_error_of_the_data_is_raised_as_if_it_was_read_here(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "_serve", refusing)
    with pytest.raises(ZeroDivisionError):
        list(examine(str(labelled(tmp_path)), Wish(), Asked(engine=Processes(2, 0))))


def refusing(connection):
    engines.read_part = lambda _plan, _part: 1 / 0
    engines._serve(connection)


def dying(connection):
    connection.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_ray_cluster_finds_the_same_with_a_worker_killed_in_the_middle(tmp_path):
    # In a process of its own: Ray puts a function of its own in the place of print.
    command = [sys.executable, "-m", "tests.unit.datasets.on_ray", str(labelled(tmp_path))]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**clean, "HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["killed"] == 1
    assert said["same"] == [True, True, True, True]
    assert said["listening"] == ["127.0.0.1"], "a cluster that is started here is nobody else's"


def test_an_engine_that_is_not_there_is_said(monkeypatch, capsys):
    with pytest.raises(UsageError):
        engine("spark", 2)
    assert engine("local", 1) is None
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert main(["dataset", "x.jsonl", "--engine", "ray"]) == 2
    assert "weighbridge[data,ray]" in capsys.readouterr().err
    assert main(["dataset", "x.jsonl", "--workers", "-1"]) == 2


def test_errors_travel_between_processes_with_all_that_they_say():
    for error in (LimitExceeded("too many", limit="members", hint="fewer"), MalformedInput("cut", offset=7)):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert str(again) == str(error)
