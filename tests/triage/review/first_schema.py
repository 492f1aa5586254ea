"""A review database as brain-triage made it before its schema had versions: the statements that it ran, with data."""

import hashlib
import json

from sqlalchemy import Connection, text

TYPES = {
    "sqlite": {"key": "INTEGER", "number": "FLOAT", "moment": "DATETIME"},
    "postgresql": {"key": "SERIAL", "number": "FLOAT(53)", "moment": "TIMESTAMP WITH TIME ZONE"},
}
TABLES = """
CREATE TABLE decision (
    id {key} NOT NULL, pseudonym VARCHAR(64) NOT NULL, content_sha256 VARCHAR(64) NOT NULL, bundle_name TEXT NOT NULL,
    bundle_version TEXT NOT NULL, bundle_digest VARCHAR(64) NOT NULL, route VARCHAR(16) NOT NULL, code VARCHAR(32),
    score {number}, "limit" {number}, action TEXT NOT NULL, reasons JSON NOT NULL, decided_at {moment} NOT NULL,
    current BOOLEAN NOT NULL, PRIMARY KEY (id), UNIQUE (pseudonym, content_sha256, bundle_digest));
CREATE INDEX ix_decision_content_sha256 ON decision (content_sha256);
CREATE INDEX ix_decision_pseudonym ON decision (pseudonym);
CREATE TABLE audit (
    sequence INTEGER NOT NULL, content TEXT NOT NULL, previous_sha256 VARCHAR(64) NOT NULL,
    sha256 VARCHAR(64) NOT NULL, PRIMARY KEY (sequence));
CREATE TABLE audit_head (
    id {key} NOT NULL, sequence INTEGER NOT NULL, sha256 VARCHAR(64) NOT NULL, PRIMARY KEY (id));
CREATE TABLE review_item (
    id {key} NOT NULL, decision_id INTEGER NOT NULL, pseudonym VARCHAR(64) NOT NULL, doubt {number} NOT NULL,
    state VARCHAR(16) NOT NULL, waiting_since {moment} NOT NULL, closed_at {moment}, PRIMARY KEY (id),
    FOREIGN KEY(decision_id) REFERENCES decision (id));
CREATE INDEX ix_review_item_decision_id ON review_item (decision_id);
CREATE UNIQUE INDEX one_open_item_a_case ON review_item (pseudonym) WHERE state = 'open'
"""
SQLITE_TRIGGERS = """
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
"""
AT = "2026-01-01 08:00:00.000000"
REASONS = json.dumps([{"signal": "worst_patch", "text": "One place is unclear."}])
DECISIONS = (
    ("bt-flagged", "a", "human_review", REASONS, True),
    ("bt-refused", "a", "refused", REASONS, False),
    ("bt-refused", "b", "refused", REASONS, True),
    ("bt-accepted", "a", "accepted", "[]", True),
)
"""Pseudonym, letter of the bundle, route, reasons, and whether it is the current one."""


def make_first_schema(connection: Connection) -> None:
    """A case that waits, a refused one that waited under two bundles, an accepted one; an audit of four rows."""
    dialect = connection.dialect.name
    for statement in TABLES.format(**TYPES[dialect]).split(";"):
        connection.execute(text(statement))
    for statement in SQLITE_TRIGGERS.strip().splitlines() if dialect == "sqlite" else ():
        connection.execute(text(statement))
    for pseudonym, bundle, route, reasons, current in DECISIONS:
        connection.execute(
            text(
                "INSERT INTO decision (pseudonym, content_sha256, bundle_name, bundle_version, bundle_digest, route,"
                ' score, "limit", action, reasons, decided_at, current) VALUES'
                " (:pseudonym, :content, 'spike', '0.1.0', :bundle, :route, 0.5, 1, '', :reasons, :at, :current)"
            ),
            {
                "pseudonym": pseudonym,
                "content": "c" * 64,
                "bundle": bundle * 64,
                "route": route,
                "reasons": reasons,
                "at": AT,
                "current": current,
            },
        )
    for decision, pseudonym, doubt, state in (
        (1, "bt-flagged", 2.5, "open"),
        (2, "bt-refused", float("inf"), "superseded"),
        (3, "bt-refused", float("inf"), "open"),
    ):
        connection.execute(
            text(
                "INSERT INTO review_item (decision_id, pseudonym, doubt, state, waiting_since)"
                " VALUES (:decision, :pseudonym, :doubt, :state, :at)"
            ),
            {"decision": decision, "pseudonym": pseudonym, "doubt": doubt, "state": state, "at": AT},
        )
    _fill_audit(connection)


def _fill_audit(connection: Connection) -> None:
    head = "0" * 64
    for sequence, (pseudonym, bundle, route, reasons, _) in enumerate(DECISIONS, start=1):
        record = {
            "at": "2026-01-01T08:00:00+00:00",
            "actor": "pipeline",
            "event": "decided",
            "pseudonym": pseudonym,
            "content_sha256": "c" * 64,
            "bundle": ["spike", "0.1.0", bundle * 64],
            "route": route,
            "code": None,
            "score": 0.5,
            "limit": 1.0,
            "reasons": json.loads(reasons),
        }
        content, previous = json.dumps(record), head
        head = hashlib.sha256(f"{previous}\n{sequence}\n{content}".encode()).hexdigest()
        row = {"sequence": sequence, "content": content, "previous": previous, "sha256": head}
        connection.execute(text("INSERT INTO audit VALUES (:sequence, :content, :previous, :sha256)"), row)
    connection.execute(text("INSERT INTO audit_head (id, sequence, sha256) VALUES (1, 4, :head)"), {"head": head})
