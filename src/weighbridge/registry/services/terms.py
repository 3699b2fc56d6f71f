"""Knows what an organisation has settled about its registry: the table `[registry]` of the configuration file."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from weighbridge.policy.language import matches
from weighbridge.schema import UsageError

_ROLES: Final = ("reader", "publisher", "reviewer", "admin")
_OUTCOMES: Final = ("review", "reject")


class SiteRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of the organisation's own, in CEL over the facts document: where `match` holds, `require` has to."""

    name: str
    require: str
    match: str = "true"
    otherwise: str = "review"


class Upstreams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where is fetched from what is not hosted here. Empty: nowhere."""

    hub: str = "https://huggingface.co"
    pypi: str = "https://pypi.org/simple"
    npm: str = "https://registry.npmjs.org"
    oci: str = ""


class IdentityProvider(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who vouches for people: an OpenID Connect issuer, our client there, and which group of which claim is which role.

    The client's secret, where there is one, is in the variable WEIGHBRIDGE_OIDC_SECRET.
    """

    issuer: str = ""
    client: str = "weighbridge"
    claim: str = "groups"
    roles: dict[str, str] = {}
    otherwise: str = "reader"


class Workload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline that may exchange the token of its run: who issues those, for whom, and what they have to claim (with `*`)."""

    name: str
    issuer: str
    audience: str
    claims: dict[str, str]
    role: str = "publisher"
    namespace: str = ""


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms.

    `approvals` counts the reviewers who have to agree; none of them is the requester. `automatic` lets in what the policy
    admits without asking anybody. `patience` is for how many seconds a first download waits for its inspection.
    `cooldown_days` is how old a package release has to be. `on_demand` lets clients see package files
    that nobody has asked for yet, and inspects them when they are fetched. `internal` names namespaces and packages (with `*`) that are
    never asked for upstream. `approval_days` ends approvals (0: never); `refresh_seconds` is how often upstreams are
    asked whether a branch has moved. `quota` bounds the bytes of one namespace (0: no bound).
    `convert` offers weights that only a pickle holds as safetensors on a branch of that name. `advisories` says that nothing is admitted while there are no advisories on this machine to hold it against.
    `revoke_on` names rules of monitors (such as `MON-001`, `MON-004`) whose alerts call back what they are about.
    """

    name: str = "weighbridge"
    address: str = ""
    upstreams: Upstreams = Upstreams()
    approvals: int = 1
    automatic: bool = True
    anonymous: bool = False
    patience: float = 8.0
    cooldown_days: float = 0.0
    on_demand: bool = True
    internal: tuple[str, ...] = ()
    approval_days: int = 0
    scopes: tuple[str, ...] = ()
    refresh_seconds: float = 300.0
    requests_a_minute: int = 6000
    largest_file: int = 200 << 30
    quota: int = 0
    advisories: bool = False
    convert: bool = True
    rule: tuple[SiteRule, ...] = ()
    identity: IdentityProvider = IdentityProvider()
    workload: tuple[Workload, ...] = ()
    revoke_on: tuple[str, ...] = ()

    def is_internal(self, name: str) -> bool:
        """Whether a name is the organisation's own, and never asked for elsewhere."""
        return any(matches(name.lower(), pattern.lower()) for pattern in self.internal)


def read_terms(document: dict[str, Any], source: str) -> Terms:
    """The terms of a parsed configuration. Raises UsageError that names the key that is wrong."""
    try:
        terms = msgspec.convert(document, Terms)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}: registry: {error}", hint="correct the table [registry]") from error
    for rule in terms.rule:
        if rule.otherwise not in _OUTCOMES:
            raise UsageError(f"{source}: the rule {rule.name!r} ends in {rule.otherwise!r}", hint="review or reject")
    named = [terms.identity.otherwise, *terms.identity.roles.values(), *(one.role for one in terms.workload)]
    odd = next((role for role in named if role not in _ROLES), "")
    if odd:
        raise UsageError(f"{source}: {odd!r} is no role", hint=f"one of {', '.join(_ROLES)}")
    empty = next((one.name for one in terms.workload if not one.claims), "")
    if empty:
        raise UsageError(f"{source}: the workload {empty!r} names no claim", hint="every run of that issuer would fit")
    if terms.approvals < 1:
        raise UsageError(f"{source}: approvals is {terms.approvals}", hint="at least one reviewer has to agree")
    return terms
