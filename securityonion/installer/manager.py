"""What belongs on a manager: the store, the page, the SOC action, the analyzer, the firewall's groups, the lists."""

import hashlib
import re
import secrets

from . import action, analyzer, firewall, tls
from .errors import Refused
from .host import DEFAULT, LOCAL, SOCORE, bracketed, program, soc_url
from .parts import HERE, add_program, add_unit
from .plan import written
from .store import PORT, SOCKET

REFRESH = "/usr/local/libexec/pdns/refresh"
PDNS_TOML = "/etc/pdns/pdns.toml"
REDIS_CONF = "/etc/pdns/redis.conf"
ACL = "/etc/pdns/redis.acl"
SERVER_PASSWORD = "/etc/pdns/redis-password"
SENSOR_PASSWORD = "/etc/pdns/sensor-password"
ANALYST_PASSWORD = "/etc/pdns/analyst-password"
# Who is in this group may ask with `pdns` on the manager: the group of the user that pdns runs as.
ANALYSTS = "pdns"
# What a sensor needs to join, to be carried there by hand.
JOIN = "/etc/pdns/sensor.join"
LISTS = ("ip-descriptions", "zeek-intel", "suricata-dataset")

# What each user may do, as pdns-agent/docs/operate.md of the project has it: `sensor` writes what was seen; `analyst` and
# `pdns`, the server, read and tag. Only the sensors may load functions, since agents call those with their own rights.
SENSOR_RIGHTS = (
    "~pd:* -@all +getrange +hget +hgetall +hmget +hlen +hvals +exists +scard +hset +hdel +hincrby +setrange +sadd "
    "+spop +fcall +function|load +info"
)
ANALYST_RIGHTS = (
    "%R~pd:* ~pd:{tags}* -@all +get +getrange +hget +hgetall +hmget +hscan +lrange +smembers +sscan +sismember +info "
    "+hlen +hset +hdel +hincrby +rpush +ltrim +eval"
)


def secret(host, path, dry_run):
    """A password that is made once and read again at each later run."""
    kept = written(host.root, path)
    if kept and kept.strip():
        return kept.decode().strip()
    if path not in host.made:
        host.made[path] = "(a new password)" if dry_run else secrets.token_urlsafe(32)
    return host.made[path]


def add(plan, host, options, state):
    """Adds all of it to the plan."""
    pdns = add_program(plan, host, options, "pdns")
    add_store(plan, host, options, pdns)
    certificate = tls.add(plan, host, options)
    add_page(plan, host, options, pdns)
    add_join(plan, host, options, certificate)
    if "action" not in options.without:
        plan.merges.append(action.merge(host, options, state))
        plan.next_steps.append("sudo salt-call state.apply soc        # SOC restarts and shows the action; reload the browser")
    if "analyzer" not in options.without:
        analyzer.add(plan, host, options, certificate)
        plan.next_steps.append("sudo salt-call state.apply sensoroni && sudo so-sensoroni-restart   # the analyzer")
    rules = firewall.merge(host, options, state)
    if rules is not None:
        plan.merges.append(rules)
        plan.next_steps.append("sudo salt-call state.apply firewall   # analysts and sensors are let in")
    else:
        plan.notes.append(
            "no firewall rule: nobody but this machine reaches the page; name who may with --analysts 10.20.0.0/24, and "
            "sensors with --sensors ADDRESS,... or --sensors auto"
        )
    add_lists(plan, host, options, state, pdns)


def add_store(plan, host, options, pdns):
    """A Redis for pdns alone."""
    path = "/usr/local/libexec/pdns/redis-server"
    data, installed = program(host, ("redis-server", "valkey-server"), options.binaries, path)
    if data is None and installed is None:
        raise Refused(
            "there is no redis-server: install the package redis (7.0 or later) or valkey, or put the program "
            "redis-server into the folder of --binaries"
        )
    if installed is None:
        plan.file(path, data, mode=0o755)
    path = installed or path
    local = secret(host, SERVER_PASSWORD, options.dry_run)
    sensor = secret(host, SENSOR_PASSWORD, options.dry_run)
    analyst = secret(host, ANALYST_PASSWORD, options.dry_run)
    plan.file(SERVER_PASSWORD, local + "\n", mode=0o600, secret=True)
    plan.file(SENSOR_PASSWORD, sensor + "\n", mode=0o600, secret=True)
    # pdns-redis.tmpfiles gives it to the group once that exists.
    plan.file(ANALYST_PASSWORD, analyst + "\n", mode=0o640, group=ANALYSTS, secret=True)
    plan.file(PDNS_TOML, pdns_toml())
    # Nobody can log in as `default`; Redis 7.0 loads its append-only file with that user's rights, and leaves out transactions that
    # are beyond them.
    lines = ["user default off resetpass allkeys allchannels +@all"]
    for name, password, rights in (
        ("pdns", local, ANALYST_RIGHTS),
        ("sensor", sensor, SENSOR_RIGHTS),
        ("analyst", analyst, ANALYST_RIGHTS),
    ):
        lines.append(f"user {name} on #{hashlib.sha256(password.encode()).hexdigest()} resetchannels {rights}")
    plan.file(ACL, "\n".join(lines) + "\n", mode=0o600, secret=True)
    plan.file(REDIS_CONF, redis_conf(options))
    plan.file("/etc/sysusers.d/pdns.conf", (HERE / "systemd/pdns.sysusers").read_bytes())
    plan.file("/etc/tmpfiles.d/pdns-redis.conf", (HERE / "systemd/pdns-redis.tmpfiles").read_bytes())
    words = {"redis-server": path, "pdns": pdns, "memory-max": memory_max(options.memory)}
    add_unit(plan, "pdns-redis.service", words, start=True)
    plan.next_steps.append(f"sudo usermod -aG {ANALYSTS} NAME   # for each who may ask with `pdns` on this machine without sudo")


def pdns_toml():
    """The settings of `pdns` on this machine, so that it finds this store."""
    return f"""\
# Written by pdns' installer for Security Onion. A user's own ~/.config/pdns/pdns.toml overrides it.
redis = "redis+unix://{SOCKET}"
redis_user = "analyst"
# Root and the group {ANALYSTS} can read it.
redis_password_file = "{ANALYST_PASSWORD}"
"""


def memory_max(memory):
    """What systemd lets the store use: twice its `maxmemory`, since it forks to rewrite its log, and what Redis needs besides."""
    match = re.fullmatch(r"(\d{1,15})(b|k|kb|m|mb|g|gb)?", memory.lower())
    if not match:
        raise Refused(f"{memory} is not a size of memory: give --memory 2gb or another number of kb, mb or gb")
    units = {"k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}
    size = int(match.group(1)) * units.get(match.group(2), 1)
    # 0 is any number for Redis.
    return str(2 * size + (256 << 20)) if size else "infinity"


def redis_conf(options):
    """The store's configuration: no clear text on the network, everything kept, nothing ever thrown out."""
    # Sensors come in over TLS; without any, nothing listens but on this machine.
    bind = "* -::*" if options.sensors else "127.0.0.1 -::1"
    return f"""\
# Written by pdns' installer for Security Onion. This is not Security Onion's own Redis.
bind {bind}
port 0
tls-port {PORT}
tls-cert-file /etc/pdns/tls/pdns.crt
tls-key-file /run/credentials/pdns-redis.service/key
tls-auth-clients no
unixsocket {SOCKET}
unixsocketperm 777
protected-mode yes
aclfile /run/credentials/pdns-redis.service/acl
daemonize no
dir /nsm/pdns/redis
appendonly yes
appendfsync everysec
save ""
maxmemory {options.memory}
maxmemory-policy noeviction
# The smallest store: see pdns-agent/docs/operate.md of the project.
hash-max-listpack-value 4096
set-max-intset-entries 8192
loglevel notice
"""


def add_page(plan, host, options, pdns):
    """The web page and API."""
    plan.file(
        "/etc/pdns/serve.env",
        f"PDNS_LISTEN={options.listen or '0.0.0.0'}:{options.port}\n"
        f"PDNS_REDIS=redis+unix://{SOCKET}\nPDNS_REDIS_USER=pdns\n"
        # The page links back to the events: Hunt, for the same value.
        f"PDNS_SERVE_HUNT_URL={soc_url(host.root, host.name)}\n",
    )
    # `pdns serve user` writes this one; it is there from the start, since the unit loads it.
    users = written(host.root, analyzer.USERS) or b""
    plan.file(analyzer.USERS, users, mode=0o600, secret=True, living=True)
    add_unit(plan, "pdns-serve.service", {"pdns": pdns}, start=True)
    plan.next_steps.append(
        f"sudo {pdns} serve user add NAME --may-tag --users {analyzer.USERS} && sudo systemctl restart pdns-serve"
        "   # for each analyst"
    )


def add_join(plan, host, options, certificate):
    """What a sensor is given: address, password and certificate of the store."""
    password = secret(host, SENSOR_PASSWORD, options.dry_run)
    text = f"redis=rediss://{bracketed(host.name)}:{PORT}\nuser=sensor\npassword={password}\n{certificate.decode()}"
    plan.file(JOIN, text, mode=0o600, secret=True)
    plan.next_steps.append(f"copy {JOIN}, this folder and the programs to each sensor, then there: sudo ./install --binaries DIR --join sensor.join")


def add_lists(plan, host, options, state, pdns):
    """Lists of Security Onion's that pdns keeps fresh, each asked for by name."""
    if not options.opt_in:
        return
    plan.file(REFRESH, (HERE / "refresh/refresh.py").read_bytes(), mode=0o755)
    add_unit(plan, "pdns-refresh@.service", {"pdns": pdns, "refresh": REFRESH})
    for name in LISTS:
        if name in options.opt_in:
            add_unit(plan, f"pdns-refresh@{name}.timer", {}, start=True)
    if "ip-descriptions" in options.opt_in:
        # The service may write below this folder, and not make it.
        plan.folders.append("/nsm/custom-mappings")
    if "zeek-intel" in options.opt_in:
        # The documentation asks for both files in the local folder; one that is there is somebody's own.
        load = "/salt/zeek/policy/intel/__load__.zeek"
        default, local = written(host.root, DEFAULT + load), written(host.root, LOCAL + load)
        if default is not None and (local is None or LOCAL + load in state.files):
            plan.file(LOCAL + load, default, owner=SOCORE)
        plan.notes.append("zeek-intel: Zeek restarts whenever salt brings it a changed Intel file, at most once a day")
    if "suricata-dataset" in options.opt_in:
        plan.notes.append(
            "suricata-dataset: Suricata restarts whenever salt brings it a changed list, at most once a day; the rule that "
            "uses it is detections/pdns-threat.rules, to be pasted in Detections"
        )
