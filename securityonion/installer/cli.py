"""The command line: what to do, what was found, what will change, and what is left for the operator to do."""

import argparse
import os
import subprocess
import sys

from . import analyzer, data, manager, remove, sensor, store
from .errors import Refused
from .host import LOCAL, MANAGERS, SENSORS, below, examine, has_command
from .plan import Plan, State, carry_out, changes, drop_unwanted, replace, show

DESCRIPTION = "Puts pdns beside Security Onion: agent, store, web page, SOC action, analyzer. See README.md."


def parser():
    """All options; each is for one role or both."""
    out = argparse.ArgumentParser(prog="install", description=DESCRIPTION)
    add = out.add_argument
    add("--dry-run", action="store_true", help="show what would be done, and do nothing")
    add("--uninstall", action="store_true", help="remove all of it; what pdns gathered stays")
    add("--purge", action="store_true", help="with --uninstall: remove what pdns gathered and edited files, too")
    add("--role", default="auto", choices=["auto", *sorted(set(MANAGERS + SENSORS))], help="what this node is [auto]")
    add("--root", default="/", metavar="DIR", help="work in this folder as if it were the machine, and start nothing")
    add("--binaries", metavar="DIR", help="folder with pdns and pdns-agent, and redis-server if the machine has none")
    add("--any-version", action="store_true", help="install on a version of Security Onion that is not known")
    add("--engine", default="auto", choices=["auto", "zeek", "suricata"], help="who writes the DNS logs [auto]")
    both = out.add_argument_group("manager")
    add = both.add_argument
    add("--manager", metavar="HOST", help="name or address by which browsers and sensors reach the manager")
    add("--port", type=int, default=8953, help="port of the web page [8953]")
    add("--listen", metavar="ADDRESS", help="address that the web page listens on [0.0.0.0]")
    add("--analysts", metavar="CIDR,..", help="who may reach the web page, for the firewall")
    add("--sensors", metavar="IP,..", help="sensors that write to the store, for the firewall; auto: those of the grid")
    add("--memory", default="2gb", metavar="SIZE", help="most memory that the store may use [2gb]")
    add("--tls-cert", metavar="FILE", help="certificate of the page and the store [one is made]")
    add("--tls-key", metavar="FILE", help="its key")
    add("--action-on", default="all", choices=["all", "names"], help="offer the action on all values, or on fields with names and addresses [all]")
    add("--without", action="append", default=[], choices=["action", "analyzer"], help="leave this out")
    add("--opt-in", action="append", default=[], choices=list(manager.LISTS), help="keep this list of Security Onion's fresh")
    add("--analyzer-key-file", metavar="FILE", help="key with which the analyzer asks [one is made]")
    other = out.add_argument_group("sensor")
    add = other.add_argument
    add("--join", metavar="FILE", help="the manager's " + manager.JOIN)
    add("--redis", metavar="URL", help="a store of your own instead")
    add("--redis-user", default="", metavar="NAME", help="user for it")
    add("--redis-password-file", metavar="FILE", help="file with the password for it")
    add("--not-security-onions-redis", action="store_true", help="the Redis on port 6379 or 9696 is not Security Onion's")
    return out


def main(arguments=None, say=print):
    """Runs; gives the exit code: 0 done, 1 something was left, 2 refused."""
    options = parser().parse_args(arguments)
    try:
        check(options)
        state = State(below(options.root, "/").resolve())
        if options.uninstall:
            return uninstall(options, state, say)
        return install(options, state, say)
    except Refused as error:
        print(f"install: {error}", file=sys.stderr)
    except OSError as error:
        print(f"install: {error}; nothing after it was done, run this again when that is mended", file=sys.stderr)
    return 2


def check(options):
    """What can be refused before looking at the machine."""
    if options.purge and not options.uninstall:
        raise Refused("--purge goes with --uninstall")
    if not 1 <= options.port <= 65535 or options.port in store.SECURITY_ONION_PORTS + (store.PORT, 80, 443):
        raise Refused(f"port {options.port} is not free for the web page: give another one with --port")
    if os.path.abspath(options.root) == "/" and os.geteuid() != 0 and not options.dry_run:
        raise Refused("only root can install: run this with sudo, or look at it first with --dry-run")
    if options.redis:
        store.check(options.redis, options.not_security_onions_redis)


def build(host, options, state):
    """What should be there, and what of an earlier run should not any more."""
    plan = Plan()
    if host.is_manager:
        manager.add(plan, host, options, state)
    if host.is_sensor:
        sensor.add(plan, host, options)
    if plan.units:
        plan.commands.append(["systemd-sysusers", "/etc/sysusers.d/pdns.conf"])
        if host.is_manager:
            plan.commands.append(["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/pdns-redis.conf"])
        plan.commands.append(["systemctl", "daemon-reload"])
        plan.commands.append(["systemctl", "enable", *plan.units])
    return plan


def commands_for(plan, found):
    """What is run after these changes. What salt will apply is no reason to restart the store."""
    is_ours = any(change.merge is None and not change.path.startswith(LOCAL) for change in found)
    return [*plan.commands, ["systemctl", "restart" if is_ours else "start", *plan.units]] if found else []


def install(options, state, say):
    """Installs, or shows what would be installed."""
    host = examine(options)
    host.ours = frozenset(state.files)
    describe(host, say)
    plan = build(host, options, state)
    found = changes(plan, host.root, state)
    old_files, old_merges = drop_unwanted(plan, host.root, state)
    old_units = [unit for unit in state.units if unit not in plan.units]
    say("to do:" if found or old_files or old_merges else "to do: nothing, all of it is there")
    for change in found:
        show(change, say)
    for path in old_files + old_merges:
        say(f"  remove what an earlier run put into {path}")
    commands = runner(host.root, options, say)
    if old_units:
        commands([["systemctl", "disable", "--now", *old_units]])
    remove.lists(host.root, options, say, options.opt_in)
    if options.dry_run:
        commands(commands_for(plan, found))
        finish(plan, say)
        say("nothing was changed: this was a dry run")
        return 0
    state.version = host.version
    clear(options, state, host.root, old_files, old_merges, say)
    if host.is_manager:
        data.claim(host.root, state)
    carry_out(found, plan, host.root, state)
    if "analyzer" not in options.without and host.is_manager and not analyzer.find_key(host, options):
        again = make_analyzer_key(host, options, state, plan, say)
        if again is not None:
            plan, more = again
            found += more
    commands(commands_for(plan, found))
    finish(plan, say)
    return 0


def clear(options, state, root, files, merged, say):
    """Takes away what an earlier run wrote and this one leaves out."""
    for path in merged:
        remove.remove_merge(state, root, path, options, say)
    for path in files:
        remove.remove_file(state, root, path, options, say)


def make_analyzer_key(host, options, state, plan, say):
    """The analyzer's key needs the program and the list of users, which are there only now."""
    program = next((want.path for want in plan.files if want.path.endswith("/bin/pdns")), None)
    place = host.path(program or next(path for path in ("/usr/local/bin/pdns", "/usr/bin/pdns") if host.path(path).is_file()))
    try:
        key = analyzer.make_key(host, place)
    except (Refused, OSError) as error:
        say(f"note: {error}")
        return None
    # Noted before it is written, and root's alone from the first byte.
    state.files.setdefault(analyzer.KEY, {"before": None, "after": "", "living": True})
    state.save()
    replace(host.path(analyzer.KEY), (key + "\n").encode(), 0o600, os.geteuid(), os.getegid())
    again = build(host, options, state)
    more = changes(again, host.root, state)
    carry_out(more, again, host.root, state)
    return again, more


def describe(host, say):
    """What was found."""
    parts = [name for name, there in (("manager", host.is_manager), ("sensor", host.is_sensor)) if there]
    say(f"found: Security Onion {host.version}, role {host.role}, here as {' and '.join(parts)}")
    if host.is_sensor:
        say(f"found: DNS logs by {host.engine} ({host.engine_from})")
    if host.is_manager:
        say(f"found: the manager is {host.name} ({host.name_from})")


def runner(root, options, say):
    """Runs commands on the live machine; in a folder and in a dry run they are only shown."""

    def run(commands):
        for words in commands:
            if options.dry_run or str(root) != "/":
                say("  run " + " ".join(words) + ("" if options.dry_run else "   (not run: --root)"))
                continue
            say("  run " + " ".join(words))
            if not has_command(words[0]):
                say(f"note: {words[0]} is missing, run it by hand")
                continue
            done = subprocess.run(words, check=False)
            if done.returncode != 0:
                say(f"note: {words[0]} ended with {done.returncode}; see above, and `journalctl -xe`")

    return run


def finish(plan, say):
    """What the operator should know and do."""
    for note in plan.notes:
        say(f"note: {note}")
    if plan.next_steps:
        say("next:")
        for step in plan.next_steps:
            say(f"  {step}")


def uninstall(options, state, say):
    """Removes all of it."""
    root = state.root
    say("to do:")
    complete = remove.remove(state, root, options, runner(root, options, say), say)
    if options.dry_run:
        say("nothing was changed: this was a dry run")
    elif not state.is_new:
        say("next:")
        if below(root, LOCAL).is_dir():
            say("  sudo salt-call state.apply soc; sudo salt-call state.apply firewall; sudo so-sensoroni-restart")
            for path in remove.GENERATED:
                say(f"  sudo salt '*' file.remove {path}   # what salt left on other nodes")
        say("done" if complete else "not all of it could be removed: mend what is named above and run this again")
    return 0 if complete else 1
