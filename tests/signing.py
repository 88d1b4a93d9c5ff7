"""Signs files as a GitHub workflow does, with keys of our own, for the real ``gh`` to verify.

Made here: a certificate authority in place of Sigstore's, a time-stamping authority, the file of
trusted keys that names both, and bundles. The shapes are those of Sigstore's bundle 0.3 and trusted
root 0.1; the extensions of the certificate are those of Fulcio (its ``oid-info.md``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

_FULCIO = "1.3.6.1.4.1.57264.1"
_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
O = kito tests
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[stamper]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[workflow]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = codeSigning
subjectAltName = critical,URI:{signer}
{extensions}
[stamps]
serial = serial
signer_cert = stamper.pem
signer_key = stamper.key
certs = stamper.pem
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""


class Signer:
    """A workflow run that can sign.

    Attributes:
        trusted_root: the file of keys with which its signatures are verified.
    """

    def __init__(self, folder: Path, repository: str, workflow_of: str | None = None) -> None:
        self._folder = folder
        folder.mkdir()
        here = f"https://github.com/{repository}"
        signer = f"https://github.com/{workflow_of or repository}/.github/workflows/a.yml@v1"
        extensions = {
            8: "https://token.actions.githubusercontent.com",
            9: signer,
            11: "github-hosted",
            12: here,
            13: "c" * 40,
            14: "refs/tags/v1",
            16: here.rpartition("/")[0],
            21: f"{here}/actions/runs/7/attempts/1",
        }
        lines = "\n".join(f"{_FULCIO}.{n}=ASN1:UTF8String:{x}" for n, x in extensions.items())
        (folder / "config").write_text(_CONFIG.format(signer=signer, extensions=lines))
        (folder / "serial").write_text("01\n")
        for name in ("authority", "stamp_authority"):
            self._key(name)
            self._make("req", "-x509", name, "authority", "-new", "-key", f"{name}.key")
        for name, authority in (("workflow", "authority"), ("stamper", "stamp_authority")):
            self._key(name)
            subject = ("-config", "config", "-subj", f"/O=kito tests/CN={name}")
            self._openssl("req", "-new", "-key", f"{name}.key", *subject, "-out", "request")
            by = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-set_serial", "7")
            self._make("x509", "-req", name, name, "-in", "request", *by)
        self.trusted_root = folder / "trusted_root.jsonl"
        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": [self._authority("authority")],
            "timestampAuthorities": [self._authority("stamper", "stamp_authority")],
        }
        self.trusted_root.write_text(json.dumps(root) + "\n")

    def sign(self, *files: Path) -> str:
        """One line of JSON: a bundle with the provenance of the files."""
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [
                {
                    "name": file.name,
                    "digest": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
                }
                for file in files
            ],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {},
        }
        payload, kind = json.dumps(statement).encode(), b"application/vnd.in-toto+json"
        # DSSE's pre-authentication encoding.
        message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        signature = self._openssl("dgst", "-sha256", "-sign", "workflow.key", given=message)
        (self._folder / "signature").write_bytes(signature)
        self._openssl("ts", "-query", "-data", "signature", "-sha256", "-cert", "-out", "query")
        query = ("-config", "config", "-section", "stamps", "-queryfile", "query")
        self._openssl("ts", "-reply", *query, "-out", "stamp")
        stamp = {"signedTimestamp": _base64((self._folder / "stamp").read_bytes())}
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": self._certificate("workflow")},
                "timestampVerificationData": {"rfc3161Timestamps": [stamp]},
            },
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": kind.decode(),
                "signatures": [{"sig": _base64(signature)}],
            },
        }
        return json.dumps(bundle) + "\n"

    def _key(self, name: str) -> None:
        curve = ("-name", "prime256v1", "-genkey", "-noout")
        self._openssl("ecparam", *curve, "-out", f"{name}.key")

    def _make(self, command: str, option: str, name: str, section: str, *arguments: str) -> None:
        """Make the certificate of a key."""
        file = "-extfile" if command == "x509" else "-config"
        common = (file, "config", "-extensions", section, "-days", "2", "-sha256")
        self._openssl(command, option, *arguments, *common, "-out", f"{name}.pem")

    def _authority(self, *names: str) -> dict[str, Any]:
        return {
            "subject": {"organization": "kito tests", "commonName": names[0]},
            "uri": "https://example.com",
            "certChain": {"certificates": [{"rawBytes": self._certificate(x)} for x in names]},
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        }

    def _certificate(self, name: str) -> str:
        return _base64(self._openssl("x509", "-in", f"{name}.pem", "-outform", "DER"))

    def _openssl(self, *arguments: str, given: bytes | None = None) -> bytes:
        program = shutil.which("openssl")
        assert program, "these tests make keys and certificates with openssl: install it"
        done = subprocess.run(
            [program, *arguments], cwd=self._folder, input=given, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
