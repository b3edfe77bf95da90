# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens (RFC 7519) for tests, made with the openssl program: keys, and tokens as good or as broken as a test wants them."""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import time

import canaries


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=stdin, check=True, capture_output=True).stdout


class Key:
    """`path` is what chatd reads: the secret, or the public key."""

    def __init__(self, alg, kid, folder):
        self.alg, self.kid = alg, kid
        self.path = folder / f"{kid}.{alg.lower()}"
        if alg == "HS256":
            self.secret = os.urandom(48)
            self.path.write_bytes(self.secret)
            canaries.sent("key", self.secret)
        else:
            self.private = folder / f"{kid}.private.pem"
            kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if alg == "RS256" else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
            self.private.write_bytes(openssl("genpkey", "-algorithm", *kind))
            self.path.write_bytes(openssl("pkey", "-in", self.private, "-pubout"))
            canaries.sent("key", self.private.read_bytes().splitlines()[1])

    @property
    def option(self):
        return f"{self.alg.lower()}:{self.kid}:{self.path}"

    def sign(self, data):
        if self.alg == "HS256":
            return hmac.digest(self.secret, data, "sha256")
        signature = openssl("dgst", "-sha256", "-sign", self.private, stdin=data)
        return signature if self.alg == "RS256" else raw_ecdsa(signature)


def raw_ecdsa(der):
    """SEQUENCE of two INTEGERs → 64 bytes (RFC 7518, section 3.4)."""
    length = der[3]
    r, s = der[4:4 + length], der[6 + length:]
    return int.from_bytes(r, "big").to_bytes(32, "big") + int.from_bytes(s, "big").to_bytes(32, "big")


def hmac_sha256(secret):
    return lambda data: hmac.new(secret, data, hashlib.sha256).digest()


def token(key, claims=None, header=None, sign=None, **more):
    """Good for five minutes; what is given as None is left out. claims, header: the JSON itself instead."""
    head = {"alg": key.alg, "kid": key.kid, "typ": "JWT", **(header if isinstance(header, dict) else {})}
    body = {"sub": "ann", "exp": int(time.time()) + 300, **more}
    parts = [json.dumps({k: v for k, v in part.items() if v is not None}).encode() for part in (head, body)]
    parts[0] = header if isinstance(header, bytes) else parts[0]
    parts[1] = claims if isinstance(claims, bytes) else parts[1]
    signed = b".".join(map(base64url, parts))
    made = signed + b"." + base64url((sign or key.sign)(signed))
    canaries.sent("token", made)
    return made
