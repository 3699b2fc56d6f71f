"""Knows the tables of the registry. Times are seconds since 1970 (UTC); digests are SHA-256 in hexadecimal."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
)

Record: TypeAlias = Row[*tuple[Any, ...]]
METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users: Final = Table(
    "users",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),  # person, service
    Column("role", String(16), nullable=False),
    Column("identity", String(255), nullable=False, default=""),  # issuer and subject of an identity provider
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created", Float, nullable=False),
)
tokens: Final = Table(
    "tokens",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", String(64), nullable=False),
    Column("kind", String(16), nullable=False),  # token, session
    Column("role", String(16), nullable=False),  # at most this, whatever the user may
    Column("namespace", String(96), nullable=False, default=""),  # empty: every namespace
    Column("scope", String(64), nullable=False, default=""),  # the environment it is used in
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("revoked", Boolean, nullable=False, default=False),
)
repositories: Final = Table(
    "repositories",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),  # model, dataset, space, pypi, npm
    Column("name", String(200), nullable=False),
    Column("folded", String(200), nullable=False),  # without case, for look-up
    Column("upstream", Text, nullable=False, default=""),  # empty: hosted here
    Column("created", Float, nullable=False),
    Column("checked", Float, nullable=False, default=0.0),  # when the upstream was last asked
    UniqueConstraint("kind", "folded"),
)
revisions: Final = Table(
    "revisions",
    METADATA,
    # The number of a revision is the number of its case: what people write in tickets and read in refusals.
    Column("id", Integer, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    Column("label", String(255), nullable=False),  # a commit; for packages, version and file
    Column("branch", String(255), nullable=False),
    Column("parent", String(255), nullable=False, default=""),
    Column("title", Text, nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
    Column("requester", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("digest", String(64), nullable=False, default=""),  # of names, sizes and digests of all files
    Column("round", Integer, nullable=False, default=1),  # grows with every new judgement
    Column("submitted", Integer, nullable=False, default=0),  # the last round that a worker took up
    Column("because", Text, nullable=False, default=""),
    Column("scopes", JSON, nullable=False, default=list),
    Column("expires", Float, nullable=False, default=0.0),  # 0: no end
    Column("opened", Float, nullable=False),
    Column("closed", Float, nullable=False, default=0.0),
    Column("facts", JSON, nullable=False, default=dict),
    UniqueConstraint("repository_id", "label"),
    Index("ix_revisions_state_id", "state", "id"),
    Index("ix_revisions_repository_branch", "repository_id", "branch", "state"),
    Index("ix_revisions_digest", "digest"),
)
files: Final = Table(
    "files",
    METADATA,
    Column("revision_id", ForeignKey("revisions.id"), primary_key=True),
    Column("path", String(1024), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("oid", String(40), nullable=False),  # the git object
    Column("lfs", Boolean, nullable=False),
)
refs: Final = Table(
    "refs",
    METADATA,
    Column("repository_id", ForeignKey("repositories.id"), primary_key=True),
    Column("kind", String(8), primary_key=True),  # branch, tag
    Column("name", String(255), primary_key=True),
    Column("tip", String(255), nullable=False, default=""),  # what was pushed last
    Column("served", String(255), nullable=False, default=""),  # what was approved last
)
inspections: Final = Table(
    "inspections",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("rules", String(64), nullable=False),
    Column("edition", String(32), nullable=False, default=""),  # of rules, policy, advisories and feed
    Column("outcome", String(8), nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("policy", String(64), nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("report", String(64), nullable=False),
    Column("bill", String(64), nullable=False, default=""),
    Column("worst", String(16), nullable=False, default=""),
    Column("count", Integer, nullable=False, default=0),
    Column("at", Float, nullable=False),
    Index("ix_inspections_digest", "digest", "id"),
)
findings: Final = Table(
    "findings",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("inspection_id", ForeignKey("inspections.id"), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("rule", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("member", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("triage", String(16), nullable=False, default="open"),
    Index("ix_findings_rule", "rule", "id"),
    Index("ix_findings_rank", "rank", "id"),
    Index("ix_findings_digest", "digest", "rank"),
    Index("ix_findings_inspection", "inspection_id"),
)
triages: Final = Table(
    "triages",
    METADATA,
    Column("id", Integer, primary_key=True),
    # A finding by what it is about, not by its number: the next inspection gives it another one.
    Column("digest", String(64), nullable=False),
    Column("rule", String(16), nullable=False),
    Column("member", Text, nullable=False),
    Column("before", String(16), nullable=False),
    Column("word", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("user", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_triages_digest", "digest", "id"),
)
filters: Final = Table(
    "filters",
    METADATA,
    Column("user", String(64), primary_key=True),
    Column("page", String(16), primary_key=True),  # artifacts, findings
    Column("name", String(64), primary_key=True),
    Column("query", Text, nullable=False),
)
waivers: Final = Table(
    "waivers",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("statement", Text, nullable=False),
    Column("at", Float, nullable=False),
)
events: Final = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("revision_id", ForeignKey("revisions.id"), nullable=False, index=True),
    Column("round", Integer, nullable=False),
    Column("step", String(32), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Float, nullable=False),
)
votes: Final = Table(
    "votes",
    METADATA,
    Column("revision_id", ForeignKey("revisions.id"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
)
ledger: Final = Table(
    "ledger",
    METADATA,
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("revision_id", Integer, nullable=False, default=0, index=True),
    Column("body", Text, nullable=False),
    Column("leaf", String(64), nullable=False),
)
ledger_head: Final = Table(
    "ledger_head",
    METADATA,
    Column("id", Integer, primary_key=True),  # one row
    Column("size", Integer, nullable=False),
    Column("frontier", Text, nullable=False),
    Column("checkpoint", Text, nullable=False),
)
audit: Final = Table(
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("user", String(64), nullable=False),
    Column("action", String(96), nullable=False),
    Column("subject", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", Text, nullable=False),
)
webhooks: Final = Table(
    "webhooks",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", String(64), nullable=False),
    Column("created", Float, nullable=False),
)
deliveries: Final = Table(
    "deliveries",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("webhook_id", ForeignKey("webhooks.id"), nullable=False),
    Column("event", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due", Float, nullable=False),
    Column("state", String(16), nullable=False, default="waiting"),  # waiting, delivered, dead
    Column("answer", Text, nullable=False, default=""),
    Index("ix_deliveries_state_due", "state", "due"),
)
uploads: Final = Table(
    "uploads",
    METADATA,
    Column("nonce", String(64), primary_key=True),  # a digest of what the address holds
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    Column("user", String(64), nullable=False),
    Column("until", Float, nullable=False, index=True),
    Column("part_size", BigInteger, nullable=False, default=0),  # 0: in one piece
    Column("done", Boolean, nullable=False, default=False),
)
upload_parts: Final = Table(
    "upload_parts",
    METADATA,
    Column("nonce", ForeignKey("uploads.nonce"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
)
staged: Final = Table(
    "staged",
    METADATA,
    Column("path", String(1024), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("user", String(64), nullable=False),
    Column("at", Float, nullable=False, index=True),
)
alerts: Final = Table(
    "alerts",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("stream", String(200), nullable=False),
    Column("model", String(300), nullable=False),
    Column("rule", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("user", String(64), nullable=False),
    Column("first", Float, nullable=False),
    Column("last", Float, nullable=False),
    Column("times", Integer, nullable=False),
    Column("state", String(16), nullable=False, default="open"),  # open, seen, closed
    Index("ix_alerts_state_rank_last", "state", "rank", "last"),
)
alert_days: Final = Table(
    "alert_days",
    METADATA,
    Column("alert_id", ForeignKey("alerts.id"), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("times", Integer, nullable=False),
)
streams: Final = Table(
    "streams",
    METADATA,
    Column("stream", String(200), primary_key=True),
    Column("replica", String(200), primary_key=True),
    Column("seen", Float, nullable=False),
    Column("user", String(64), nullable=False),
    Column("body", Text, nullable=False),
)
workers: Final = Table(
    "workers",
    METADATA,
    Column("name", String(96), primary_key=True),
    Column("seen", Float, nullable=False),
)
settings: Final = Table(
    "settings",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
