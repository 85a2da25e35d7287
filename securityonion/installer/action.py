"""The SOC action: what a click on a value offers, merged into the list that SOC has.

Security Onion replaces a list as a whole, never merges it: a pillar with our action alone would take every built-in
one away. So the list in the pillar is extended, and where the pillar has none it begins with the defaults.
"""

from .errors import Refused
from .host import DEFAULT, LOCAL, bracketed, read
from .plan import Merge, text_of
from .yamledit import JINJA, Document, load, lookup

PILLAR = LOCAL + "/pillar/soc/soc_soc.sls"
ADVANCED = LOCAL + "/pillar/soc/adv_soc.sls"
DEFAULTS = DEFAULT + "/salt/soc/defaults.yaml"
PATH = ["soc", "config", "actions"]
NAME = "pDNS"

# Fields with names and addresses, for --action-on names. `userSelection` is text marked in a PCAP transcript.
FIELDS = [
    "source.ip",
    "destination.ip",
    "client.ip",
    "server.ip",
    "host.ip",
    "dns.query.name",
    "dns.question.name",
    "dns.highest_registered_domain",
    "dns.answers.name",
    "dns.answers.data",
    "dns.resolved_ip",
    "ssl.server_name",
    "tls.client.server_name",
    "http.virtual_host",
    "server.domain",
    "destination.domain",
    "userSelection",
]


def action(name, port, on):
    """The entry. Only the first of each token is replaced, so each stands once; a background action shows nothing.

    SOC opens the first link whose fields the event has: a row of a grouped table has no time.
    """
    page = f"https://{bracketed(name)}:{port}/context?q={{value}}&field={{field}}"
    entry = {
        "name": NAME,
        "description": "What passive DNS knows about this name or address",
        "icon": "fa-clock-rotate-left",
        "target": "_blank",
        "links": [page + "&t={:@timestamp}", page],
    }
    if on == "names":
        entry["fields"] = list(FIELDS)
    return entry


def merge(host, options, state):
    """The change to SOC's pillar."""
    entry = action(host.name, options.port, options.action_on)
    advanced = read(host.path(ADVANCED))
    if sets_actions(advanced):
        # The advanced pillar goes before the one that we would extend.
        raise Refused(
            f"{ADVANCED} sets actions, which go before {PILLAR}: add the action there by hand (see \"By hand\" in "
            "README.md) and install with --without action"
        )
    defaults = lookup(load(read(host.path(DEFAULTS)), DEFAULTS), PATH)
    if not isinstance(defaults, list) or not defaults:
        raise Refused(f"{DEFAULTS} has no list soc.config.actions to begin with: see \"By hand\" in README.md")
    seed = state.seeds.get(PILLAR)
    current = Document(text_of(host.root, PILLAR), PILLAR).get(PATH)
    if current is not None and not isinstance(current, list):
        raise Refused(f"{'.'.join(PATH)} in {PILLAR} is no list: mend it, then run this again")
    is_seeded = seed is not None or not current
    if is_seeded:
        # Remembered, to tell at the next run which defaults an update of Security Onion brought.
        state.seeds[PILLAR] = defaults
    undo = [["item", PATH, "name", NAME, defaults if is_seeded else None]]

    def apply(text):
        document = Document(text, PILLAR)
        present = document.get(PATH)
        if not present:
            document.set(PATH, defaults + [entry])
            return document.text
        if entry in present and not missing(present, defaults, seed):
            return text
        document.remove_item(PATH, lambda item: isinstance(item, dict) and item.get("name") == NAME)
        for new in missing(present, defaults, seed):
            document.append(PATH, new)
        document.append(PATH, entry)
        return document.text

    return Merge(PILLAR, "add the SOC action to", apply, undo)


def sets_actions(advanced):
    """Whether the pillar that operators write by hand sets the list. Of a template the word alone can be told."""
    if "actions" not in advanced:
        return False
    return JINJA.search(advanced) is not None or lookup(load(advanced, ADVANCED), PATH) is not None


def missing(present, defaults, seed):
    """Defaults that came with an update after the list was seeded. What an operator took out stays out."""
    if seed is None:
        return []
    old = [item.get("name") for item in seed]
    here = [item.get("name") for item in present if isinstance(item, dict)]
    return [item for item in defaults if item.get("name") not in old and item.get("name") not in here]
