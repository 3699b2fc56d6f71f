"""What addresses of a list hold now: counted by kind, bounded for all of them, and fetched from public addresses alone."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from tests.corpus.datasets import csv_file
from tests.servers import Web, serve
from weighbridge.cli.main import main
from weighbridge.datasets.columns import Wish
from weighbridge.datasets.perceptual import looks
from weighbridge.datasets.recheck import _upper, guarded, recheck
from weighbridge.datasets.table import Table, open_file
from weighbridge.schema import Severity, UsageError
from weighbridge.source.http import Session


def content(number):
    return f"picture {number}".encode()


def web(changed=(), gone=()):
    made = Web()

    def route(handler):
        number = int(handler.path.rpartition("/")[2])
        if number in gone:
            handler.reply(404, b"")
        else:
            handler.reply(200, content(-1 if number in changed else number))
        return True

    made.route = route
    return made


def listed(folder, address, count, digest=lambda data: hashlib.sha256(data).hexdigest(), names=("url", "sha256")):
    rows = [(f"{address}/{number}", digest(content(number))) for number in range(count)]
    return csv_file(folder / "urls.csv", names, rows)


def asked(path, count, session=None):
    return recheck(Table([open_file(str(path))]), Wish(), count, session or Session(patience=2, backoff=0.01))


def test_what_is_the_same_changed_and_gone_is_counted(tmp_path):
    with serve(web(changed={3, 7}, gone={5})) as address:
        outcome = asked(listed(tmp_path, address, 40), 40)

    (group,) = outcome.groups
    assert (group.rule, group.rows) == ("DST-015", (3, 7))
    assert (
        "2 of 39 addresses hold other content than their digest says (5.1%; of all at most 15.3% at 95%)"
        in group.message
    )
    assert "37 hold what their digest says, 2 something else, 0 answer and have no digest, 1 are gone" in outcome.about


def test_where_nothing_changed_a_bound_is_given_for_all(tmp_path):
    with serve(web()) as address:
        outcome = asked(listed(tmp_path, address, 60), 59)

    assert outcome.groups == ()
    assert "of all at most 5.0% were changed, at 95%" in outcome.about


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha512"])
def test_digests_of_other_kinds_are_checked_too(tmp_path, kind):
    with serve(web(changed={0})) as address:
        outcome = asked(
            listed(tmp_path, address, 20, lambda data: hashlib.new(kind, data).hexdigest(), ("url", kind)), 20
        )

    assert outcome.groups[0].rows == (0,)


def test_addresses_without_a_digest_are_only_asked_whether_they_answer(tmp_path):
    with serve(web(gone={1})) as address:
        outcome = asked(
            csv_file(tmp_path / "urls.csv", ("url", "width"), [(f"{address}/{n}", "5") for n in range(20)]), 20
        )

    assert "19 answer and have no digest, 1 are gone" in outcome.about


def test_the_same_sample_is_drawn_every_time_and_no_more_than_asked(tmp_path):
    seen = []
    for _ in range(2):
        made = web()
        with serve(made) as address:
            asked(listed(tmp_path, address, 300), 12)
        seen.append(sorted(path for _, path, _ in made.log))

    assert seen[0] == seen[1]
    assert len(seen[0]) == 12


def test_an_address_of_the_own_network_is_never_asked(tmp_path, capsys):
    made = web()
    with serve(made) as address:
        path = listed(tmp_path, address, 10)
        outcome = asked(path, 10, guarded())
        code = main(["dataset", str(path), "--recheck", "10"])

    assert made.log == []
    assert outcome.groups[0].severity == "high"
    assert "lead into a network that is not public" in outcome.groups[0].message
    assert code == 1
    assert "not public" in capsys.readouterr().out


def test_without_the_option_nothing_is_asked(tmp_path, capsys):
    made = web()
    with serve(made) as address:
        main(["dataset", str(listed(tmp_path, address, 10))])

    assert made.log == []
    del capsys


def test_a_table_without_addresses_and_a_number_that_is_none_are_refused(tmp_path, capsys):
    path = csv_file(tmp_path / "a.csv", ("a", "b"), [("1", "2")] * 20)

    with pytest.raises(UsageError, match="no list of addresses"):
        asked(path, 5)
    assert main(["dataset", str(path), "--recheck", "many"]) == 2
    assert "takes a number" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "of", "bound"), [(0, 59, 0.0495), (0, 10, 0.2589), (5, 100, 0.1023), (10, 10, 1.0)])
def test_the_bound_is_that_of_clopper_and_pearson(count, of, bound):
    from scipy.stats import beta

    assert _upper(count, of) == pytest.approx(bound, abs=2e-3)
    assert _upper(count, of) == pytest.approx(beta.ppf(0.95, count + 1, of - count) if count < of else 1.0, abs=1e-3)


def test_the_same_picture_in_other_bytes_is_told_apart_from_another(tmp_path):
    def drawn(number, shift=0):
        dice = np.random.default_rng(number)
        made = Image.fromarray(dice.integers(0, 256, (8, 8, 3)).astype(np.uint8)).resize((96, 96))
        buffer = io.BytesIO()
        made.resize((80, 80)).save(buffer, "JPEG", quality=80) if shift else made.save(buffer, "PNG")
        return buffer.getvalue()

    made = Web()

    def route(handler):
        number = int(handler.path.rpartition("/")[2])
        content = {1: drawn(1, shift=1), 2: drawn(99), 3: b"<html>for sale</html>"}.get(number) or drawn(number)
        handler.reply(200, content)
        return True

    made.route = route
    with serve(made) as address:
        rows = [(f"{address}/{n}", hashlib.sha256(drawn(n)).hexdigest(), looks(drawn(n), "phash")) for n in range(20)]
        both = asked(csv_file(tmp_path / "urls.csv", ("url", "sha256", "phash"), rows), 20)
        alone = asked(csv_file(tmp_path / "looks.csv", ("url", "phash"), [(row[0], row[2]) for row in rows]), 20)

    changed, alike = both.groups
    assert (changed.rows, alike.rows) == ((2, 3), (1,))
    assert alike.severity is Severity.LOW
    assert "17 hold what their digest says, 1 the same picture in other bytes, 2 something else" in both.about
    assert [group.rows for group in alone.groups] == [(2, 3)], "without a digest the eye decides"
