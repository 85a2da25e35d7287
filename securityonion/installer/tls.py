"""The certificate of the store and the page: the operator's own, or one that is made here and signs itself."""

import ipaddress
import os
import subprocess
import tempfile
from pathlib import Path

from .errors import Refused
from .plan import written

CERTIFICATE = "/etc/pdns/tls/pdns.crt"
KEY = "/etc/pdns/tls/pdns.key"
DAYS = 3650


def add(plan, host, options):
    """Adds both files; gives the certificate, which sensors and the analyzer trust."""
    if bool(options.tls_cert) != bool(options.tls_key):
        raise Refused("a certificate needs its key: give both --tls-cert and --tls-key, or none")
    if options.tls_cert:
        try:
            certificate, key = Path(options.tls_cert).read_bytes(), Path(options.tls_key).read_bytes()
        except OSError as error:
            raise Refused(f"cannot read the certificate or its key: {error}") from error
    else:
        certificate, key = written(host.root, CERTIFICATE), written(host.root, KEY)
        if certificate is None or key is None or not is_for(certificate, host.name):
            certificate, key = (b"(a new certificate)\n", b"") if options.dry_run else make(host.name)
    plan.file(CERTIFICATE, certificate)
    plan.file(KEY, key, mode=0o600, secret=True)
    return certificate


def alternative(name):
    """A name as a certificate has it."""
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def is_for(certificate, name):
    """Whether a certificate that was made earlier names the manager as it is called now."""
    option = "-checkip" if alternative(name).startswith("IP:") else "-checkhost"
    done = openssl(["x509", "-noout", option, name], certificate)
    return b"does match" in done.stdout


def openssl(words, data=b""):
    """Runs openssl."""
    try:
        return subprocess.run(["openssl", *words], input=data, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise Refused("openssl is missing: install it, or give --tls-cert and --tls-key") from error


def make(name):
    """A key and a certificate for the manager's name and for this machine itself."""
    names = ",".join(dict.fromkeys([alternative(name), "DNS:localhost", "IP:127.0.0.1", "IP:::1"]))
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = os.path.join(folder, "key"), os.path.join(folder, "crt")
        # CA:FALSE: clients that trust this one file must take it as the server's own certificate.
        done = openssl(
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(DAYS)]
            + ["-subj", "/CN=pdns", "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE"]
            + ["-keyout", key, "-out", certificate]
        )
        if done.returncode != 0:
            text = done.stderr.decode(errors="replace").strip().splitlines()
            raise Refused(f"openssl made no certificate ({text[-1] if text else 'no reason given'}): give --tls-cert and --tls-key")
        return Path(certificate).read_bytes(), Path(key).read_bytes()
