# SPDX-License-Identifier: Apache-2.0
"""An authority and certificates for tests, made with the openssl program."""
import hashlib

from jwt import openssl


class Authority:
    def __init__(self, folder, name="an authority"):
        self.folder = folder
        self.key, self.path = folder / f"{name}.key", folder / f"{name}.pem"
        self.key.write_bytes(new_key())
        self.path.write_bytes(openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", 30,
                                      "-addext", "basicConstraints=critical,CA:TRUE"))

    def certificate(self, name, hosts="DNS:localhost,IP:127.0.0.1", days=30, algorithm=None):
        """days 0: it ends as it begins."""
        made = Certificate(self.folder, name)
        made.key.write_bytes(new_key(algorithm))
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        request.write_bytes(openssl("req", "-new", "-key", made.key, "-subj", f"/CN={name}"))
        extensions.write_text(f"subjectAltName={hosts}\n")
        made.path.write_bytes(openssl("x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                                      "-extfile", extensions))
        return made


class Certificate:
    def __init__(self, folder, name):
        self.key, self.path = folder / f"{name}.key", folder / f"{name}.pem"

    @property
    def options(self):
        return [f"--tls-cert={self.path}", f"--tls-key={self.key}"]

    @property
    def pin(self):
        return hashlib.sha256(openssl("pkey", "-in", self.key, "-pubout", "-outform", "DER")).hexdigest()

    def become(self, other):
        """The same files with what is in the other's."""
        self.key.write_bytes(other.key.read_bytes())
        self.path.write_bytes(other.path.read_bytes())


def new_key(algorithm=None):
    return openssl("genpkey", "-algorithm", *(algorithm or ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]))
