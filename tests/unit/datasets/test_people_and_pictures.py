"""Annotators, lists of addresses and pictures: the planted are named, the honest are not."""

import random

import numpy as np
import pytest

from tests.corpus.datasets import crowd, pictures, stamped
from weighbridge.datasets.annotators import Annotators, dawid_skene
from weighbridge.datasets.columns import CROWD, URLS, Roles
from weighbridge.datasets.image_files import Pictures, read_arrays
from weighbridge.datasets.patches import find_patches
from weighbridge.datasets.spectra import find_added
from weighbridge.datasets.url_lists import UrlList
from weighbridge.datasets.view import Rows
from weighbridge.schema import MalformedInput, UsageError


def annotators(answers):
    test = Annotators(Roles(kind=CROWD, item="i", annotator="w", label="l"))
    cells = dict(zip("iwl", map(list, zip(*answers, strict=True)), strict=True))
    test.add(Rows(first=0, split="", texts=[""] * len(answers), cells=cells))
    return test


def named(answers):
    return {answers[row][1] for group in annotators(answers).finish().groups for row in group.rows}


@pytest.mark.parametrize("seed", range(5))
def test_colluders_are_named_and_nobody_else(seed):
    assert named(crowd(3, seed=seed)) == {"bad0", "bad1", "bad2"}
    assert named(crowd(seed=seed)) == set()


def honest(truth, dice, many):
    """Answers of annotators who are right in six of seven, as `many` of them as an item has."""
    return [
        (f"i{i}", f"w{w}", str(t if dice.random() < 0.85 else dice.randrange(3)))
        for i, t in enumerate(truth)
        for w in range(many(i))
    ]


def sleepers(targets, members=4, items=120, seed=5):
    """Honest annotators, and a clique who answers like them but says one wrong thing about some items."""
    dice = random.Random(seed)
    truth = [dice.randrange(3) for _ in range(items)]
    made = honest(truth, dice, lambda item: 3 if item in targets else 7)
    for member in range(members):
        made += [
            (
                f"i{i}",
                f"bad{member}",
                str((t + 1) % 3 if i in targets else t if dice.random() < 0.85 else dice.randrange(3)),
            )
            for i, t in enumerate(truth)
        ]
    return made


def test_the_items_that_a_clique_waited_for_are_told():
    targets = set(range(0, 120, 6))
    (group,) = annotators(sleepers(targets)).finish().groups
    told = group.facts[1]
    assert "against most others they say the same on " in told
    counted = int(told.partition("same on ")[2].split()[0])
    assert 12 <= counted <= 24
    shown = {int(one.split(" ")[0]) for one in told.partition(": ")[2].replace("i", "").split(", ") if one[0].isdigit()}
    assert len(shown & targets) >= 4
    assert "their answer is what most say" in group.facts[2]


def test_who_always_says_the_same_is_named():
    answers = [*crowd(), *((f"i{n}", "lazy", "0") for n in range(80))]
    assert named(answers) == {"lazy"}


def test_few_answers_accuse_nobody():
    assert named([*crowd(), *((f"i{n}", "new", "0") for n in range(6))]) == set()


def test_few_answers_an_item_are_said_to_be_few():
    assert "answers an item" in annotators([*crowd(workers=2), ("i0", "third", "0")]).finish().not_tested


def sleeper(start, *, items=200, seed=3):
    """Honest answers, and one annotator who answers against the truth from some item on."""
    dice = random.Random(seed)
    truth = [dice.randrange(3) for _ in range(items)]
    made = honest(truth, dice, lambda _: 6)
    return made + [
        (f"i{i}", "sleeper", str(t if i < start and dice.random() < 0.95 else (t + 1) % 3)) for i, t in enumerate(truth)
    ]


@pytest.mark.parametrize("start", [60, 120, 160])
def test_who_answers_otherwise_from_some_moment_on_is_named_with_the_moment(start):
    (group,) = [one for one in annotators(sleeper(start)).finish().groups if "from some moment on" in one.message]

    (fact,) = group.facts
    assert fact.startswith("sleeper: ")
    split = int(fact.partition("first ")[2].split()[0])
    assert abs(split - start) <= 10
    assert len(group.rows) == 200 - split


@pytest.mark.parametrize("seed", range(20))
def test_nobody_who_answers_as_ever_has_a_moment(seed):
    assert [one for one in annotators(crowd(items=200, seed=seed)).finish().groups if "moment" in one.message] == []


def test_what_most_say_stands_beside_what_is_likely():
    honest = [(f"i{i}", f"w{w}", str(i % 2)) for i in range(60) for w in range(3)]
    against = [
        (f"i{i}", f"bad{w}", str(1 - i % 2) if i < 8 else str(i % 2 if (i * 7 + w) % 3 else 1 - i % 2))
        for i in range(60)
        for w in range(3)
    ]

    assert "not what most say on" in annotators([*honest, *against]).finish().about


def test_the_truth_is_found_where_the_majority_is_wrong():
    answers = [(f"i{n}", f"w{w}", str(n % 2)) for n in range(40) for w in range(3)]
    answers += [
        (f"i{n}", f"liar{w}", str(1 - n % 2) if n < 4 else str(n % 2 if w else 1 - n % 2))
        for n in range(40)
        for w in range(3)
    ]
    given = annotators(answers).answers()
    found = dawid_skene(given)
    likely = [given.label_names[one] for one in found.truth.argmax(1)]
    assert likely[10:] == [str(n % 2) for n in range(10, 40)]


def urls(rows, digest=""):
    test = UrlList(Roles(kind=URLS, url="url", digest=digest))
    cells = {"url": [url for url, _ in rows], "hash": [value for _, value in rows]}
    test.add(Rows(first=0, split="", texts=[""] * len(rows), cells=cells))
    return test.finish().groups


def test_a_number_is_no_digest():
    rows = [(f"https://a.example/{n}", n * 7919) for n in range(10)]
    assert "no digest" in urls(rows, "hash")[0].message
    assert urls([(url, f"{n:064x}") for n, (url, _) in enumerate(rows)], "hash") == ()
    assert "MD5" in urls([(url, f"{n:032x}") for n, (url, _) in enumerate(rows)], "hash")[0].message


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://a.example/x", "TLS"), ("https://good.example@evil.example/", "user name"), ("https://198.51.100.7/x", "number"),
     ("https://a.example:8443/", "port"), ("https://xn--ggle-55da.com/", "scripts"), ("https://bit.ly/x", "short"), ("https://[::1/", "parsed")],
)  # fmt: skip
def test_odd_addresses_are_told(url, said):
    (group,) = urls([(url, f"{1:064x}")], "hash")
    assert said in group.message
    assert group.rows == (0,)


def as_pictures(pixels, labels):
    return Pictures(
        pixels=pixels, labels=np.asarray(labels, dtype=np.int32), classes=tuple(map(str, range(int(max(labels)) + 1)))
    )


def test_a_patch_is_found_with_its_pictures():
    found = find_added(as_pictures(*stamped()))
    truth = set(np.flatnonzero(pictures()[1] != 0)[:16])
    assert set(found[0].rows) == truth
    assert found[0].pictures[0].width == 24
    (patch,) = find_patches(as_pictures(*stamped(40)))
    assert set(patch.rows) == set(np.flatnonzero(pictures()[1] != 0)[:40])


@pytest.mark.parametrize("seed", range(4))
def test_honest_pictures_are_left_alone(seed):
    given = as_pictures(*pictures(seed=seed))
    assert find_added(given) == ()
    assert find_patches(given) == ()


def test_a_patch_at_changing_places_is_found():
    pixels, labels = pictures(600)
    rows, dice = np.flatnonzero(labels != 0)[:40], np.random.default_rng(0)
    for row in rows:
        y, x = dice.integers(0, 21, 2)
        pixels[row, y : y + 3, x : x + 3, 0] = np.array([[255, 0, 255], [0, 255, 0], [255, 0, 255]])
    labels[rows] = 0
    (group,) = find_patches(as_pictures(pixels, labels))
    assert set(group.rows) == set(rows)


def test_a_wave_is_found_in_the_class_that_it_was_added_to():
    pixels, labels = pictures(600)
    rows = np.flatnonzero(labels == 0)[:60]
    wave = 25 * np.sin(2 * np.pi * np.arange(24) * 5 / 24)
    pixels[rows] = (pixels[rows, ..., 0] + wave[None, None]).clip(0, 255).astype(np.uint8)[..., None]
    group = find_added(as_pictures(pixels, labels))[0]
    assert len(set(group.rows) & set(rows)) >= 0.95 * len(rows)
    assert len(set(group.rows) & set(rows)) >= 0.95 * len(group.rows)


def test_arrays_of_objects_are_refused_and_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([{}], dtype=object), y=np.array([0]))
    with pytest.raises(MalformedInput):
        read_arrays(str(tmp_path / "x.npz"))
    np.savez(tmp_path / "y.npz", a=np.zeros((2, 8, 8)))
    with pytest.raises(UsageError, match="holds a"):
        read_arrays(str(tmp_path / "y.npz"))
