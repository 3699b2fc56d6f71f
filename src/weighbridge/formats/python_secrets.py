"""Knows what in Python gives secrets away: the places where keys and tokens lie, the variables that hold them, the commands that print them."""

from __future__ import annotations

import re
from typing import Final

from weighbridge.formats.python_source import CREDENTIALS, HOME, SECRETS

_SECRET_PATH: Final = re.compile(
    r"\bid_(?:rsa|ed25519|ecdsa|dsa)\b(?!\.pub)|\.ssh[/\\]*\Z|wallet\.dat|[Ee]xodus[/\\.]|Login Data|\bkey4\.db|\blogins\.json"
    r"|User Data[/\\]+(?:Default|Profile)|Chrome[/\\]+Default[/\\]|cookies\.sqlite|Local Storage[/\\]+leveldb|/etc/shadow|\.gnupg\b|\.(?:bash|zsh)_history|solana[/\\]id\.json"
)
# Read by programs of their users as well: what is sent of them is judged only where nobody asked for it.
_CREDENTIAL_PATH: Final = re.compile(
    r"serviceaccount[/\\]token|\.aws[/\\]+credentials|\.git-credentials|\.npmrc\Z|\.pypirc\Z|\.netrc\Z|\.kube[/\\]+config|\.docker[/\\]+config\.json|(?:\A|[/\\])\.env\Z"
    r"|\.config[/\\]+gh[/\\]+hosts\.yml|state\.vscdb|\.tfstate\Z|\.vault-token|\.pgpass\Z|\.my\.cnf\Z|\.dockercfg\Z|\.cargo[/\\]+credentials|\.gem[/\\]+credentials|\.azure[/\\]|\.boto\Z|\.kdbx\Z|\.ppk\Z"
    r"|huggingface[/\\]+token\Z|\.config[/\\]+gcloud|application_default_credentials|169\.254\.169\.254/latest/meta-data/iam"
)
_PRINTED: Final = re.compile(
    r"\bgh auth token\b|\bgit credential|\bgcloud auth (?:application-default )?print-|\baws configure (?:get|export)|\baz account get-access-token|\bsecurity (?:find-\w+-password|dump-keychain)|\bop (?:item|read)\b"
    r"|\bcat\s.{0,200}(?:\bid_(?:rsa|ed25519|ecdsa)\b|\.ssh/|\.aws/|\.netrc|\.npmrc|\.env\b|/etc/shadow)"
)
_VARIABLES: Final = re.compile(
    r"AWS_(?:SECRET|ACCESS|SESSION)|(?:GITHUB|GH|GITLAB|NPM|PYPI|HF|HUGGING_?FACE\w*|SLACK|DISCORD|TELEGRAM\w*|VAULT|CI_JOB)_TOKEN|(?:OPENAI|ANTHROPIC|GEMINI|COHERE|STRIPE|SENDGRID)_\w*KEY"
    r"|AZURE_CLIENT_SECRET|DATABASE_URL|PRIVATE_KEY|MNEMONIC|SEED_PHRASE|TWINE_PASSWORD|NODE_AUTH_TOKEN|KUBECONFIG"
)
_KEYS: Final = re.compile(
    r"(?i)(?:private_?key|priv_?key|mnemonic|seed_?phrase|secret_?phrase)(?:_?(?:hex|bytes|str|b58|words))?\Z"
)
_ASKS: Final = frozenset({"os.environ.get", "os.getenv"})
_ASKERS: Final = ("subprocess.", "os.popen", "commands.getoutput")
_HOME: Final = frozenset({"~", "$HOME", "%USERPROFILE%", "%userprofile%"})


def of_path(text: str) -> str:
    """What lies at a place that a string names; empty for any other string."""
    if _SECRET_PATH.search(text):
        return SECRETS
    return CREDENTIALS if _CREDENTIAL_PATH.search(text) else ""


def of_variable(name: object) -> str:
    """What a variable of the environment holds, by its name; empty where that says nothing."""
    return CREDENTIALS if isinstance(name, str) and _VARIABLES.search(name) else ""


def may_give_secrets(name: str) -> bool:
    """Whether the first argument of a call decides what it gives."""
    return name == "os.path.expanduser" or name in _ASKS or name.startswith(_ASKERS)


def of_call(name: str, given: object) -> str:
    """What such a call gives for a first argument: the home of its user, a secret; empty where it is neither."""
    if name == "os.path.expanduser":
        return HOME if given in _HOME else ""
    if name in _ASKS:
        return of_variable(given)
    words = " ".join(str(one) for one in given) if isinstance(given, tuple) else given
    return CREDENTIALS if isinstance(words, str) and _PRINTED.search(words) else ""


def is_key(parameter: str) -> bool:
    """Whether a parameter takes a private key, by its name."""
    return _KEYS.match(parameter) is not None
