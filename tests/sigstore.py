"""A private Sigstore on 127.0.0.1: a certificate authority with a certificate log, and a transparency log, all real keys.

Answers as Fulcio v2 and Rekor v1 do, as far as signing an in-toto statement asks them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import time
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.corpus.certificates import usage
from tests.servers import Web

ISSUER = "https://accounts.example"
_ISSUER, _ISSUER_V2 = ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SCTS = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_START = datetime(2026, 1, 1, tzinfo=UTC)


def token(identity, issuer=ISSUER):
    """An identity token; nobody but the authority would look at its signature."""
    now = int(time.time())
    claims = {"iss": issuer, "sub": identity, "aud": "sigstore", "iat": now, "nbf": now - 5, "exp": now + 600}
    return jwt.encode(claims, "x" * 32, algorithm="HS256")


class Sigstore:
    """The keys of an instance, what it answers, and the trust configuration that its users are given."""

    def __init__(self):
        self.ca, self.ct, self.log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "acme"),
                x509.NameAttribute(NameOID.COMMON_NAME, "acme sigstore"),
            ]
        )
        self.root = (
            self._builder(name, name, self.ca.public_key(), _START, 3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage(certify=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.ca.public_key()), critical=False)
            .sign(self.ca, hashes.SHA256())
        )
        self.web = Web()
        self.web.route = self._route

    def _builder(self, subject, issuer, key, start, days):
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(start).not_valid_after(start + timedelta(days=days))

    def _route(self, handler):
        if handler.path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "http://127.0.0.1/a", "token_endpoint": "http://127.0.0.1/t"}
            handler.reply(200, json.dumps(ends).encode())
            return True
        data = json.loads(handler.rfile.read(int(handler.headers.get("Content-Length", 0))) or b"null")
        if handler.path == "/api/v2/signingCert":
            claims = jwt.decode(
                handler.headers["Authorization"].removeprefix("Bearer "), options={"verify_signature": False}
            )
            request = x509.load_pem_x509_csr(base64.b64decode(data["certificateSigningRequest"]))
            leaf = self._issue(request.public_key(), claims["sub"], claims["iss"])
            chain = [one.public_bytes(serialization.Encoding.PEM).decode() for one in (leaf, self.root)]
            handler.reply(
                200, json.dumps({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}).encode()
            )
        elif handler.path == "/api/v1/log/entries":
            handler.reply(201, json.dumps(self._logged(data)).encode())
        else:
            return False
        return True

    def _issue(self, key, identity, issuer):
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
        der_text = bytes([0x0C, len(issuer)]) + issuer.encode()
        made = (
            self._builder(x509.Name([]), self.root.subject, key, start, 1)
            .add_extension(usage(sign=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(identity)]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer.encode()), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V2, der_text), critical=False)
        )
        before = made.sign(self.ca, hashes.SHA256())
        return made.add_extension(
            x509.UnrecognizedExtension(_SCTS, self._timestamped(before.tbs_certificate_bytes)), critical=False
        ).sign(self.ca, hashes.SHA256())

    def _timestamped(self, certificate):
        """The list with one timestamp over a certificate without it. Source: RFC 6962, 3.2 and 3.3."""
        issuer, now = hashlib.sha256(spki(self.ca)).digest(), int(time.time() * 1000)
        entry = issuer + len(certificate).to_bytes(3, "big") + certificate
        signature = self.ct.sign(struct.pack("!BBQH", 0, 0, now, 1) + entry + b"\0\0", ec.ECDSA(hashes.SHA256()))
        one = struct.pack("!B32sQH", 0, hashlib.sha256(spki(self.ct)).digest(), now, 0)
        one += struct.pack("!BBH", 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(one) + 2, len(one)) + one
        return bytes([0x04, 0x81, len(listed)]) + listed if len(listed) > 127 else bytes([0x04, len(listed)]) + listed

    def _logged(self, proposed):
        envelope = proposed["spec"]["proposedContent"]
        dsse = json.loads(envelope["envelope"])
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(envelope["envelope"].encode()).hexdigest()},
            "payloadHash": {
                "algorithm": "sha256",
                "value": hashlib.sha256(base64.b64decode(dsse["payload"])).hexdigest(),
            },
            "signatures": [{"signature": dsse["signatures"][0]["sig"], "verifier": envelope["verifiers"][0]}],
        }
        body = canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        root = hashlib.sha256(b"\0" + body).digest()
        identity = hashlib.sha256(spki(self.log)).digest()
        text = base64.b64encode(body).decode()
        entry = {"body": text, "integratedTime": int(time.time()), "logID": identity.hex(), "logIndex": 0}
        promise = self.log.sign(canonical(entry), ec.ECDSA(hashes.SHA256()))
        note = f"acme log\n1\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(identity[:4] + self.log.sign(note.encode(), ec.ECDSA(hashes.SHA256()))).decode()
        proof = {
            "checkpoint": f"{note}\n— acme {signature}\n",
            "hashes": [],
            "logIndex": 0,
            "rootHash": root.hex(),
            "treeSize": 1,
        }
        verification = {"inclusionProof": proof, "signedEntryTimestamp": base64.b64encode(promise).decode()}
        return {root.hex(): {**entry, "verification": verification}}

    def trusted_root(self, base):
        """What verifiers are given."""

        def log(key):
            public = {
                "rawBytes": b64(spki(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2026-01-01T00:00:00Z"},
            }
            return {
                "baseUrl": base,
                "hashAlgorithm": "SHA2_256",
                "publicKey": public,
                "logId": {"keyId": b64(hashlib.sha256(spki(key)).digest())},
            }

        chain = [{"rawBytes": b64(self.root.public_bytes(serialization.Encoding.DER))}]
        authority = {
            "subject": {"organization": "acme", "commonName": "acme sigstore"},
            "uri": base,
            "certChain": {"certificates": chain},
            "validFor": {"start": "2026-01-01T00:00:00Z"},
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [log(self.log)],
            "certificateAuthorities": [authority], "ctlogs": [log(self.ct)], "timestampAuthorities": [],
        }  # fmt: skip

    def trust_config(self, base):
        """What signers are given."""
        service = [
            {"url": base, "majorApiVersion": 1, "validFor": {"start": "2026-01-01T00:00:00Z"}, "operator": "acme"}
        ]
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json", "caUrls": service, "oidcUrls": service,
            "rekorTlogUrls": service, "tsaUrls": [], "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"},
        }  # fmt: skip
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(base),
            "signingConfig": signing,
        }


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def b64(data):
    return base64.b64encode(data).decode()


def canonical(table):
    return json.dumps(table, sort_keys=True, separators=(",", ":")).encode()
