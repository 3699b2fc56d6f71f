"""The verb `keys`: make signing keys, show them, replace them, and revoke them."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from weighbridge.cli.options import parser
from weighbridge.cli.written import write_file
from weighbridge.schema import UsageError


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser("keys", "Make, show, rotate and revoke signing keys.", "weighbridge keys new release")
    verbs = made.add_subparsers(dest="what", required=True, metavar="{new,show,rotate,revoke}")
    for name, text in (
        ("new", "make NAME (private) and NAME.pub"),
        ("rotate", "make the next key of NAME and keep the old public key"),
    ):
        one = verbs.add_parser(name, help=text)
        one.add_argument("name")
        one.add_argument("--curve", choices=("p256", "p384", "p521"), default="p256")
        one.add_argument("--days", type=int, default=365, help="until the key expires (365)")
    show = verbs.add_parser("show", help="fingerprint, curve and dates of a public key")
    show.add_argument("name", help="NAME, NAME.pub, or the pkcs11: address of a key in a token")
    show.add_argument("--output", metavar="FILE", help="write the public key to this file")
    revoke = verbs.add_parser("revoke", help="add fingerprints or file digests to a signed revocation list")
    revoke.add_argument("entries", nargs="+", metavar="FINGERPRINT")
    revoke.add_argument("--list", required=True, metavar="FILE", help="the list; made where it does not exist")
    revoke.add_argument("--key", required=True, metavar="FILE", help="the private key that signs the list")
    given = made.parse_args(arguments)
    now = datetime.now(UTC)
    if given.what == "show":
        return _show(given.name, given.output)
    if given.what == "revoke":
        return _revoke(given.entries, given.list, given.key, now)
    if given.what == "rotate":
        _set_aside(given.name, now)
    return _new(given.name, given.curve, given.days, now)


def password() -> bytes:
    """The password of private keys, from the environment."""
    return os.environ.get("WEIGHBRIDGE_KEY_PASSWORD", "").encode()


def _new(name: str, curve: str, days: int, now: datetime) -> int:
    from weighbridge.provenance import keys  # noqa: PLC0415  # loading cryptography takes a while

    made = keys.new(name, curve=curve, days=days, password=password(), now=now)
    print(f"private key  {name}{'' if password() else '  (not encrypted: set WEIGHBRIDGE_KEY_PASSWORD to encrypt)'}")
    print(f"public key   {name}.pub")
    print(f"fingerprint  {made.fingerprint}")
    return 0


def _set_aside(name: str, now: datetime) -> None:
    """Rename the old pair, so that signatures by it can still be verified."""
    for ending in ("", ".pub"):
        target = f"{name}-until-{now:%Y-%m-%d}{ending}"
        if os.path.exists(target):
            raise UsageError(f"{target} exists", hint="a key is rotated at most once a day; move that file away first")
        if not os.path.exists(f"{name}{ending}"):
            raise UsageError(f"{name}{ending} does not exist", hint=f"weighbridge keys new {name}")
    for ending in ("", ".pub"):
        os.replace(f"{name}{ending}", f"{name}-until-{now:%Y-%m-%d}{ending}")


def _show(name: str, output: str | None) -> int:
    from weighbridge.provenance import keys  # noqa: PLC0415  # loading cryptography takes a while

    if name.startswith("pkcs11:"):
        key = keys.described(keys.load_private(name, password()).public_key(), "the token")
    else:
        key = keys.load_public(name if name.endswith((".pub", ".pem")) else f"{name}.pub")
    if output:
        write_file(output, keys.pem_of(key.key))
    print(f"fingerprint  {key.fingerprint}")
    print(f"curve        {key.key.curve.name}")
    print(f"created      {f'{key.created:%Y-%m-%d}' if key.created else 'not said'}")
    print(f"expires      {f'{key.expires:%Y-%m-%d}' if key.expires else 'not said'}")
    return 0


def _revoke(entries: list[str], path: str, key: str, now: datetime) -> int:
    from weighbridge.provenance import keys, revocation  # noqa: PLC0415  # loading cryptography takes a while

    private = keys.load_private(key, password())
    public = keys.described(private.public_key(), key)
    old = revocation.load(path, public, now) if os.path.exists(path) else None
    write_file(path, revocation.make(old, tuple(entries), private, now=now))
    made = revocation.load(path, public, now)
    print(f"{path}: edition {made.number}, {len(made.revoked)} revoked, valid until {made.expires}")
    return 0
