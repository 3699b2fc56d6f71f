"""The history of a repository, read without git: the same as git says, and no byte of it is believed."""

import os
import random
import shutil
import subprocess
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.datasets import Project, reviews
from weighbridge.formats.git_history import GitHistory, _patched
from weighbridge.schema import LimitExceeded, MalformedInput, Unavailable, WeighbridgeError


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)
    return done.stdout


def many(folder):
    """Thirty editions of a file, with folders, a link, an executable, a merge and tags."""
    made = Project(folder)
    rows = reviews(300)
    for at in range(30):
        made.commit(
            ["ada", "grace"][at % 2], rows[at * 10 : at * 10 + 10], {f"notes/{at % 3}.md": f"edition {at}\n" * at}
        )
    made._git("tag", "--annotate", "v1", "--message", "the first")
    made._git("branch", "side", "HEAD~3")
    made._git("checkout", "--quiet", "side")
    (made.folder / "side.txt").write_text("x")
    os.symlink("side.txt", made.folder / "link")
    made._git("add", "--all")
    made._git("commit", "--quiet", "--message", "on the side")
    made._git("checkout", "--quiet", "main")
    made._git("merge", "--quiet", "--no-ff", "--message", "merged", "side")
    return made


@pytest.fixture(scope="module", params=["loose", "packed"])
def repository(request, tmp_path_factory):
    made = many(tmp_path_factory.mktemp("repository"))
    return (made.packed() if request.param == "packed" else made).folder


def test_commits_come_as_git_lists_them(repository):
    with GitHistory(str(repository)) as history:
        commits, whole = history.commits(history.refs()["HEAD"], 1000)

    said = git(repository, "log", "--format=%H %T %an %ae %at %P|%s").decode().splitlines()
    ours = [
        f"{one.oid} {one.tree} {one.author.name} {one.author.mail} {one.author.at} {' '.join(one.parents)}|{one.message.splitlines()[0]}"
        for one in commits
    ]
    assert sorted(ours) == sorted(said)
    assert whole
    at = {one.oid: number for number, one in enumerate(commits)}
    assert all(at[parent] < at[one.oid] for one in commits for parent in one.parents)


def test_every_file_of_every_commit_is_what_git_gives(repository):
    with GitHistory(str(repository)) as history:
        for commit in history.commits(history.refs()["HEAD"], 1000)[0][::7]:
            files = history.files(commit.tree)
            said = [
                line.split(maxsplit=3) for line in git(repository, "ls-tree", "-r", commit.oid).decode().splitlines()
            ]
            assert files == {path: oid for mode, _, oid, path in said if mode != "120000"}
            for path, oid in files.items():
                assert history.read(oid) == ("blob", git(repository, "show", f"{commit.oid}:{path}"))


def test_tags_lead_to_their_commits(repository):
    with GitHistory(str(repository)) as history:
        refs = history.refs()

    assert refs["refs/tags/v1"] == git(repository, "rev-parse", "v1^{commit}").decode().strip()
    assert refs["refs/heads/main"] == refs["HEAD"]


def test_a_longer_history_than_is_read_is_said_to_be_longer(repository):
    with GitHistory(str(repository)) as history:
        commits, whole = history.commits(history.refs()["HEAD"], 5)

    assert (len(commits), whole) == (5, False)


def test_nothing_of_the_repository_is_run(tmp_path):
    made = many(tmp_path)
    marker = tmp_path / "fired"
    made._git("config", "core.fsmonitor", f"touch {marker}")
    made._git("config", "core.pager", f"touch {marker}")
    made._git("config", "core.hooksPath", str(tmp_path))
    marker.unlink(missing_ok=True)

    with GitHistory(str(made.folder)) as history:
        history.commits(history.refs()["HEAD"], 1000)

    assert not marker.exists()


def test_an_object_under_another_name_is_not_believed(tmp_path):
    made = Project(tmp_path).commit("ada", reviews(20))
    oid = git(made.folder, "rev-parse", "HEAD:train.jsonl").decode().strip()
    path = made.folder / ".git/objects" / oid[:2] / oid[2:]
    path.chmod(0o600)
    path.write_bytes(zlib.compress(b"blob 4\0evil"))

    with GitHistory(str(made.folder)) as history, pytest.raises(MalformedInput, match="not what its name says"):
        history.read(oid)


def test_an_object_that_unpacks_without_end_is_bounded(tmp_path):
    made = Project(tmp_path).commit("ada", reviews(20))
    oid = "ab" * 20
    path = made.folder / ".git/objects/ab" / oid[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(zlib.compress(b"blob 99999999\0" + b"\0" * (4 << 20)))

    with GitHistory(str(made.folder), largest=1 << 20) as history, pytest.raises((MalformedInput, LimitExceeded)):
        history.read(oid)


def test_what_is_no_repository_or_of_another_layout_is_said(tmp_path):
    with pytest.raises(MalformedInput, match="no git repository"):
        GitHistory(str(tmp_path))
    made = Project(tmp_path).commit("ada", reviews(5))
    (made.folder / ".git/config").write_text("[extensions]\n\tobjectFormat = sha256\n")
    with pytest.raises(Unavailable, match="SHA-256"):
        GitHistory(str(made.folder))
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/.git").write_text("gitdir: /elsewhere")
    with pytest.raises(Unavailable, match="linked work tree"):
        GitHistory(str(tmp_path / "linked"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return many(tmp_path_factory.mktemp("packed")).packed().folder


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_a_damaged_repository_is_read_or_refused_and_nothing_else(packed, tmp_path_factory, seed):
    dice = random.Random(seed)
    folder = tmp_path_factory.mktemp("damaged") / "r"
    shutil.copytree(packed, folder)
    targets = [*folder.glob(".git/objects/pack/*"), folder / ".git/packed-refs", folder / ".git/HEAD"]
    path = dice.choice([one for one in targets if one.exists()])
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(data))
        data[at] = dice.randrange(256)
    path.write_bytes(bytes(data[: dice.choice([len(data), len(data), dice.randrange(len(data))])]))
    try:
        with GitHistory(str(folder)) as history:
            for start in history.refs().values():
                for commit in history.commits(start, 50)[0]:
                    for oid in history.files(commit.tree).values():
                        history.read(oid)
    except WeighbridgeError:
        pass
    finally:
        shutil.rmtree(folder)


@given(base=st.binary(max_size=64), delta=st.binary(max_size=64))
def test_any_delta_is_a_patch_or_malformed(base, delta):
    try:
        made = _patched(base, delta, 1 << 20)
    except MalformedInput:
        return
    assert len(made) <= 1 << 20
