#!/usr/bin/env python3
"""Checks the Zeek package as far as that can be done without Zeek; prints what is wrong, nothing if all is well.

    scripts.py FOLDER

FOLDER is zeek/. Each script must parse by the grammar of tree-sitter-zeek; each event handler, and each field of a
record that Zeek makes, must be as Zeek's sources declare it (src/analyzer/protocol/dns/events.bif,
scripts/base/init-bare.zeek, scripts/base/protocols/dns/main.zeek, scripts/base/frameworks/{intel,notice,logging}/
main.zeek, src/strings.bif, src/zeek.bif). Exit code 3: the parser is not installed.
"""

import configparser
import re
import sys
from pathlib import Path

try:
    import tree_sitter
    import tree_sitter_zeek
except ImportError as error:
    print(error)
    sys.exit(3)

DNS = "c: connection, msg: dns_msg"
ANSWER = f"{DNS}, ans: dns_answer"
QUESTION = f"{DNS}, query: string, qtype: count, qclass: count"
EVENTS = {
    "zeek_init": "",
    "zeek_done": "",
    "dns_message": "c: connection, is_orig: bool, msg: dns_msg, len: count",
    "dns_query_reply": QUESTION,
    "dns_rejected": QUESTION,
    "dns_end": DNS,
    "DNS::log_dns": "rec: DNS::Info",
    "dns_A_reply": f"{ANSWER}, a: addr",
    "dns_AAAA_reply": f"{ANSWER}, a: addr",
    "dns_NS_reply": f"{ANSWER}, name: string",
    "dns_CNAME_reply": f"{ANSWER}, name: string",
    "dns_PTR_reply": f"{ANSWER}, name: string",
    "dns_MX_reply": f"{ANSWER}, name: string, preference: count",
    "dns_SRV_reply": f"{ANSWER}, target: string, priority: count, weight: count, p: count",
    "dns_SOA_reply": f"{ANSWER}, soa: dns_soa",
    "dns_TXT_reply": f"{ANSWER}, strs: string_vec",
    "dns_SPF_reply": f"{ANSWER}, strs: string_vec",
    "dns_CAA_reply": f"{ANSWER}, flags: count, tag: string, value: string",
    "dns_NAPTR_reply": f"{ANSWER}, naptr: dns_naptr_rr",
    "dns_SVCB": f"{ANSWER}, svcb: dns_svcb_rr",
    "dns_HTTPS": f"{ANSWER}, https: dns_svcb_rr",
    "dns_DS": f"{ANSWER}, ds: dns_ds_rr",
    "dns_DNSKEY": f"{ANSWER}, dnskey: dns_dnskey_rr",
    "dns_SSHFP": f"{ANSWER}, algo: count, fptype: count, fingerprint: string",
    "dns_LOC": f"{ANSWER}, loc: dns_loc_rr",
    "dns_unknown_reply": ANSWER,
    "dns_RRSIG": f"{ANSWER}, rrsig: dns_rrsig_rr",
    "dns_NSEC": f"{ANSWER}, next_name: string, bitmaps: string_vec",
    "dns_NSEC3": f"{ANSWER}, nsec3: dns_nsec3_rr",
    "dns_EDNS_addl": f"{DNS}, ans: dns_edns_additional",
    "Intel::match": "s: Intel::Seen, items: set[Intel::Item]",
}
# Fields by the type of the record, those that the scripts may use. Of `connection` ours, too.
FIELDS = {
    "connection": "id uid dns pdns",
    "conn_id": "orig_h resp_h orig_p resp_p",
    "dns_msg": "opcode rcode QR AA TC RD RA num_queries num_answers num_auth num_addl",
    "dns_answer": "answer_type query qtype qclass TTL",
    "dns_soa": "mname rname serial refresh retry expire minimum",
    "dns_naptr_rr": "order preference flags service regexp replacement",
    "dns_svcb_rr": "svc_priority target_name",
    "dns_ds_rr": "key_tag algorithm digest_type digest_val",
    "dns_dnskey_rr": "flags protocol algorithm public_key",
    "dns_loc_rr": "version size horiz_pre vert_pre latitude longitude altitude",
    "DNS::Info": "ts query qclass qtype rcode RD saw_query pdns",
    "Intel::Seen": "indicator indicator_type host conn where",
    "Intel::Item": "indicator indicator_type meta",
    "Intel::MetaData": "source desc url",
    "Notice::Info": "note msg sub conn identifier suppress_for",
    "Log::Stream": "columns ev path policy",
}
# What variables of the scripts are, by name, where a field is taken of them.
VARIABLES = {
    "c": "connection", "c$id": "conn_id", "c$dns": "DNS::Info", "c$pdns": "Response", "msg": "dns_msg",
    # Or dns_edns_additional, of which the scripts take the TTL alone.
    "ans": "dns_answer",
    "soa": "dns_soa", "naptr": "dns_naptr_rr", "svcb": "dns_svcb_rr", "https": "dns_svcb_rr", "ds": "dns_ds_rr",
    "dnskey": "dns_dnskey_rr", "loc": "dns_loc_rr", "rec": "DNS::Info", "s": "Intel::Seen", "s$conn": "connection",
    "s$conn$id": "conn_id", "item": "Intel::Item", "item$meta": "Intel::MetaData", "note": "Notice::Info",
    "info": "Info", "known": "Info", "response": "Response",
    "response$records[i]": "Info",
}  # fmt: skip
# Functions of Zeek that are called, with the number of arguments; None is any.
FUNCTIONS = {
    "fmt": None, "cat": None, "vector": None, "table": None, "set": None, "network_time": 0, "interval_to_double": 1,
    "double_to_count": 1, "floor": 1, "bytestring_to_hexstr": 1, "join_string_vec": 2, "ends_with": 2,
    "clear_table": 1, "string_cat": None, "Cluster::is_enabled": 0, "Log::write": 2, "Log::create_stream": 2, "Intel::seen": 1, "NOTICE": 1,
}  # fmt: skip
TABLES = {"DNS::query_types", "DNS::LOG", "PDNS::LOG", "DNS::IN_RESPONSE", "Intel::DOMAIN", "Version::number"}
# Scripts of Zeek that may be loaded.
LOADED = {
    "base/frameworks/cluster", "base/frameworks/intel", "base/frameworks/notice", "base/misc/version",
    "base/protocols/dns", "frameworks/intel/seen/dns", "frameworks/intel/seen/conn-established",
}  # fmt: skip
# Names that are redefined.
REDEFINED = {"dns_skip_all_auth", "dns_skip_all_addl", "Log::ID", "DNS::Info", "connection", "Notice::Type",
             "Intel::read_files", "PDNS::window"}  # fmt: skip


def spaced(text):
    return re.sub(r"\s+", " ", text).strip()


class Script:
    def __init__(self, path):
        self.path, self.octets = path, path.read_bytes()
        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_zeek.language()))
        self.root = parser.parse(self.octets).root_node
        self.wrong = []

    def text(self, node):
        return spaced(self.octets[node.start_byte : node.end_byte].decode())

    def says(self, node, what):
        self.wrong.append(f"{self.path.name}:{node.start_point[0] + 1}: {what}")

    def nodes(self, node=None):
        node = node or self.root
        yield node
        for child in node.children:
            yield from self.nodes(child)

    def check(self, own):
        for node in self.nodes():
            if node.type == "ERROR" or node.is_missing:
                self.says(node, f"does not parse: {self.text(node)[:60]!r}")
        code = spaced("\n".join(re.sub(r"#.*", "", row) for row in self.octets.decode().split("\n")))
        for name, parameters in re.findall(r"\bevent ([\w:]+)\(([^)]*)\)", code):
            wanted = EVENTS.get(name)
            if name == "rec" or wanted is None:
                self.wrong.append(f"{self.path.name}: Zeek has no event {name} that is known here")
            elif spaced(parameters) != wanted:
                self.wrong.append(f"{self.path.name}: event {name}({spaced(parameters)}), Zeek has ({wanted})")
        for target in re.findall(r"@load (\S+)", self.octets.decode()):
            if target.startswith("."):
                if not (self.path.parent / f"{target}.zeek").is_file():
                    self.wrong.append(f"{self.path.name}: no file for @load {target}")
            elif target not in LOADED and target != "packages/pdns/intel":
                self.wrong.append(f"{self.path.name}: @load {target} is not known here")
        for name in re.findall(r"^redef (?:enum |record )?([\w:]+)|^\tredef enum ([\w:]+)", self.octets.decode(), re.M):
            if "".join(name) not in REDEFINED:
                self.wrong.append(f"{self.path.name}: redef of {''.join(name)} is not known here")
        self.check_fields(code, own)
        self.check_calls(code, own)

    def check_fields(self, code, own):
        for chain in re.findall(r"\b(\w+(?:\[i\])?(?:\?{0,1}\$\w+(?:\[i\])?)+)", code):
            parts = re.split(r"\?{0,1}\$", chain)
            for at in range(1, len(parts)):
                holder, name = "$".join(parts[:at]), re.sub(r"\[i\]", "", parts[at])
                kind = VARIABLES.get(holder)
                if kind is None:
                    self.wrong.append(f"{self.path.name}: what {holder} is, of which ${name} is taken, is not known")
                elif name not in FIELDS.get(kind, "").split() and name not in own.get(kind, ()):
                    self.wrong.append(f"{self.path.name}: a {kind} has no field {name}")
        for kind, body in re.findall(r"\b((?:\w+::)?(?:Info|Seen|Response))\((\$(?:[^()]|\([^()]*\))*)\)", code):
            for name in re.findall(r"(?:^|, )\$(\w+) ?=", body):
                if name not in FIELDS.get(kind, "").split() and name not in own.get(kind, ()):
                    self.wrong.append(f"{self.path.name}: a {kind} has no field {name}")

    def check_calls(self, code, own):
        defined = own["functions"]
        without = re.sub(r'"(?:[^"\\]|\\.)*"', '""', code)
        for name in re.findall(r"(?<![\w:$])((?:\w+::)?[a-zA-Z_]\w*)\(", without):
            if name in ("event", "if", "while", "for", "switch", "function"):
                continue
            if name not in FUNCTIONS and name not in defined and name not in EVENTS and name not in own["types"]:
                self.wrong.append(f"{self.path.name}: {name}() is not known here")
        for name in re.findall(r"\b[A-Z]\w*::\w+", without):
            known = TABLES | set(FUNCTIONS) | set(EVENTS) | set(FIELDS) | REDEFINED | {"Log::PolicyHook"}
            if name not in known:
                self.wrong.append(f"{self.path.name}: {name} is not known here")


def own_names(scripts):
    own = {"functions": set(), "types": {"Notice::Info", "Intel::Seen"}}
    for script in scripts:
        code = re.sub(r"#.*", "", script.octets.decode())
        own["functions"] |= set(re.findall(r"\bfunction (\w+)\(", code))
        for kind, body in re.findall(r"type (\w+): record \{(.*?)\n\t?\};", code, re.S):
            own["types"].add(kind)
            own[kind] = re.findall(r"^\s+(\w+): ", body, re.M)
    return own


def check_package(folder, own):
    """zkg.meta, and the columns that the program reads."""
    meta = configparser.ConfigParser(interpolation=None)
    meta.read(folder / "zkg.meta")
    package = dict(meta["package"])
    unknown = set(package) - {"aliases", "description", "tags", "script_dir", "test_command", "depends"}
    wrong = [f"zkg.meta: {name} is no field that is known here" for name in sorted(unknown)]
    if not (folder / package["script_dir"] / "__load__.zeek").is_file():
        wrong.append("zkg.meta: script_dir holds no __load__.zeek")
    import package as model

    columns = [name for name, _ in model.PDNS]
    if own["Info"] != columns:
        wrong.append(f"main.zeek: columns {own['Info']}, the model has {columns}")
    return wrong


def main(folder):
    scripts = [Script(path) for path in sorted((folder / "scripts").glob("*.zeek"))]
    own = own_names(scripts)
    wrong = check_package(folder, own)
    for script in scripts:
        script.check(own)
        wrong += script.wrong
    for path in sorted((folder / "tests/tests").glob("*.zeek")):
        test = Script(path)
        # What btest takes out of a test is no Zeek.
        test.octets = re.sub(rb"@TEST-START-FILE.*?@TEST-END-FILE", b"", test.octets, flags=re.S)
        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_zeek.language()))
        test.root = parser.parse(test.octets).root_node
        wrong += [f"tests/{path.name}: does not parse" for node in test.nodes() if node.type == "ERROR"]
    print("\n".join(wrong), end="\n" if wrong else "")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
