"""What belongs on a sensor: the agent beside the logs that this node writes."""

from pathlib import Path

from . import manager
from .errors import Refused
from .parts import HERE, add_program, add_unit
from .plan import written
from .store import OVERRIDE, SOCKET, check, is_on_their_port

PASSWORD = "/etc/pdns/agent-password"
ENVIRONMENT = "/etc/pdns/agent.env"
CERTIFICATE = "/etc/pdns/store.crt"
MAX_JOIN = 64 << 10

# Where Security Onion's DNS logs are: Zeek's live and archived ones, Suricata's hourly files with the older ones packed.
INPUTS = {
    "zeek": "zeek /nsm/zeek/logs",
    "suricata": "suricata /nsm/suricata",
}
IMPORT = {"zeek": "zeek /nsm/import", "suricata": "suricata /nsm/import"}


def add(plan, host, options):
    """Adds the agent. On a node that is manager and sensor in one, the store is beside it."""
    agent = add_program(plan, host, options, "pdns-agent")
    url, user, password, certificate = store(host, options)
    inputs = IMPORT if host.role == "import" else INPUTS
    lines = [f"PDNS_INPUT={inputs[host.engine]}", f"PDNS_REDIS={url}"]
    if is_on_their_port(url):
        # The agent refuses these ports on a node of Security Onion, too.
        lines.append(f"{OVERRIDE}=1")
    if user:
        lines.append(f"PDNS_REDIS_USER={user}")
    if certificate:
        plan.file(CERTIFICATE, certificate)
        lines.append(f"SSL_CERT_FILE={CERTIFICATE}")
    plan.file(ENVIRONMENT, "\n".join(lines) + "\n")
    plan.file(PASSWORD, password + "\n", mode=0o600, secret=True)
    if not any(want.path == "/etc/sysusers.d/pdns.conf" for want in plan.files):
        plan.file("/etc/sysusers.d/pdns.conf", (HERE / "systemd/pdns.sysusers").read_bytes())
    add_unit(plan, "pdns-agent.service", {"pdns-agent": agent}, start=True)


def store(host, options):
    """Where the agent writes: (URL, user, password, certificate)."""
    if options.redis:
        url = check(options.redis, options.not_security_onions_redis)
        password = ""
        if options.redis_password_file:
            try:
                password = Path(options.redis_password_file).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise Refused(f"cannot read {options.redis_password_file}: {error}") from error
        return url, options.redis_user, password, b""
    if host.is_manager:
        return f"redis+unix://{SOCKET}", "sensor", manager.secret(host, manager.SENSOR_PASSWORD, options.dry_run), b""
    if options.join:
        return join(Path(options.join), options)
    kept = kept_settings(host)
    if kept is not None:
        url = check(kept["PDNS_REDIS"], options.not_security_onions_redis or kept.get(OVERRIDE) == "1")
        password = (written(host.root, PASSWORD) or b"").decode().strip()
        return url, kept.get("PDNS_REDIS_USER", ""), password, written(host.root, CERTIFICATE) or b""
    raise Refused(
        f"a sensor needs the manager's store: install there first, copy {manager.JOIN} here and give --join sensor.join, "
        "or name a Redis of your own with --redis rediss://HOST:PORT"
    )


def kept_settings(host):
    """What an earlier run was told."""
    text = (written(host.root, ENVIRONMENT) or b"").decode()
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return pairs if pairs.get("PDNS_REDIS") else None


def join(path, options):
    """Reads what the manager wrote for its sensors."""
    try:
        if path.stat().st_size > MAX_JOIN:
            raise Refused(f"{path} is too large to be {manager.JOIN} of the manager: give that file with --join")
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot read {path}: {error}") from error
    head, dashes, rest = text.partition("-----BEGIN CERTIFICATE-----")
    pairs = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    if not dashes or not all(pairs.get(key) for key in ("redis", "user", "password")):
        raise Refused(f"{path} is not {manager.JOIN} of the manager: give that file with --join")
    url = check(pairs["redis"], options.not_security_onions_redis)
    return url, pairs["user"], pairs["password"], (dashes + rest).encode()
