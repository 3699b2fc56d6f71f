"""Strings, variables and commands that give secrets away are told from their harmless neighbours."""

import pytest

from weighbridge.formats.python_secrets import is_key, may_give_secrets, of_call, of_path, of_variable
from weighbridge.formats.python_source import CREDENTIALS, HOME, SECRETS


@pytest.mark.parametrize(
    "path",
    ["~/.ssh/id_rsa", "C:\\Users\\a\\Login Data", "/etc/shadow", "wallet.dat", "/root/.ssh/", "User Data/Default"],
)
def test_places_of_keys_and_stores_of_browsers_are_secrets(path):
    assert of_path(path) == SECRETS


@pytest.mark.parametrize(
    "path", ["~/.aws/credentials", ".env", "/srv/app/.env", "~/.kube/config", "terraform.tfstate", "~/.netrc"]
)
def test_places_that_programs_read_as_well_are_credentials(path):
    assert of_path(path) == CREDENTIALS


@pytest.mark.parametrize(
    "path", ["id_rsa.pub", "ranker/data.json", ".environment", "environment.yml", "config", "~/.config/ranker"]
)
def test_other_places_are_nothing(path):
    assert of_path(path) == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("GITHUB_TOKEN", CREDENTIALS),
        ("AWS_SECRET_ACCESS_KEY", CREDENTIALS),
        ("HOME", ""),
        ("TOKENIZERS_PARALLELISM", ""),
        (None, ""),
    ],
)
def test_variables_are_told_by_their_names(name, said):
    assert of_variable(name) == said


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("os.path.expanduser", "~", HOME), ("os.path.expanduser", "~/.cache", ""), ("os.getenv", "NPM_TOKEN", CREDENTIALS),
        ("subprocess.check_output", ("gh", "auth", "token"), CREDENTIALS), ("subprocess.getoutput", "gh auth token", CREDENTIALS),
        ("subprocess.run", ("git", "describe"), ""), ("subprocess.run", None, ""), ("os.popen", "cat ~/.ssh/id_rsa", CREDENTIALS),
    ],
)  # fmt: skip
def test_what_a_call_gives_is_told_by_its_first_argument(name, given, said):
    assert may_give_secrets(name)
    assert of_call(name, given) == said


def test_other_calls_are_not_asked():
    assert not may_give_secrets("json.loads")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("private_key", True),
        ("mnemonic", True),
        ("seed_phrase_words", True),
        ("key", False),
        ("public_key", False),
        ("primary_key", False),
    ],
)
def test_parameters_that_take_private_keys_are_told_by_their_names(name, said):
    assert is_key(name) is said
