"""Where the store is, and what can never be the store: the Redis that carries Security Onion's own log queue."""

import re
from urllib.parse import urlsplit

from .errors import Refused

# Published by the container so-redis on a manager: plain, and with TLS.
SECURITY_ONION_PORTS = (6379, 9696)
# The port of the Redis that this installer sets up; free in Security Onion's lists.
PORT = 6953
# Tells the agent the same as --not-security-onions-redis tells us.
OVERRIDE = "PDNS_NOT_SECURITY_ONIONS_REDIS"
SOCKET = "/run/pdns-redis/redis.sock"


def check(url, allowed=False):
    """Refuses a URL that is malformed, holds a password, or leads to Security Onion's Redis; returns it."""
    parts = urlsplit(url)
    if parts.scheme == "redis+unix":
        if "pass=" in parts.query:
            raise Refused("the URL holds a password: put it into a file and name that with --redis-password-file")
        return url
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise Refused(f"{masked(url)} is no address of a store: give rediss://HOST:PORT, redis://HOST:PORT or redis+unix:///PATH")
    if parts.password is not None:
        raise Refused("the URL holds a password: put it into a file and name that with --redis-password-file")
    if is_on_their_port(url) and not allowed:
        raise Refused(
            f"port {parts.port or 6379} is Security Onion's own Redis, its Logstash queue: when pdns fills its 812 MB, Security Onion "
            f"stops taking in logs. Use the Redis that this installer sets up on the manager (port {PORT}); "
            "if yours on that port is another one, say so with --not-security-onions-redis"
        )
    return url


def is_on_their_port(url):
    """Whether a URL leads to a port of Security Onion's Redis; one without a port means 6379."""
    parts = urlsplit(url)
    try:
        return parts.scheme in ("redis", "rediss") and (parts.port or 6379) in SECURITY_ONION_PORTS
    except ValueError as error:
        raise Refused(f"{masked(url)} has no valid port: give rediss://HOST:PORT") from error


def masked(url):
    """A URL without what may be a password, for a message."""
    return re.sub(r"//[^@/]*@", "//***@", url)
