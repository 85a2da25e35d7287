"""Asks a server as the two modules of misp-modules do, unmodified; what they make of the answers, as JSON.

Arguments: the server's URL, a user, a password and an API key. Standard input: a JSON array of questions, each
[module, attribute type, value], with `circl` or `farsight` for the module. Per question it prints
{"objects": [{relation: [values]}]}, {"error": TEXT} as the module has it, or {"exception": TEXT}.
"""

import functools
import importlib
import json
import sys
import uuid

import pymisp
import pypdns

url, user, password, key = sys.argv[1:]
# The module names no server: PyPDNS knows CIRCL's. Its client's default is the one thing that is changed.
pypdns.PyPDNS = functools.partial(pypdns.PyPDNS, url=url + "/pdns/query")

MODULES = {
    "circl": importlib.import_module("misp_modules.modules.expansion.circl_passivedns"),
    "farsight": importlib.import_module("misp_modules.modules.expansion.farsight_passivedns"),
}


def ask(module, kind, value):
    attribute = {"type": kind, "value": value, "uuid": str(uuid.uuid4())}
    try:
        if module == "circl":
            config = {"username": user, "password": password}
            answer = MODULES[module].dict_handler({"attribute": attribute, "config": config})
        else:
            config = {"apikey": key, "server": url, "limit": 50, "flex_queries": "1"}
            answer = MODULES[module].handler(json.dumps({"attribute": attribute, "config": config}))
    except Exception as error:  # What a user of MISP would see of it.
        return {"exception": repr(error)}
    if "error" in answer:
        return answer
    # The objects are PyMISP's, which has its own way to write them.
    answer = json.loads(json.dumps(answer, default=pymisp.pymisp_json_default))
    objects = []
    for found in answer["results"]["Object"]:
        relations = {}
        for each in found["Attribute"]:
            relations.setdefault(each["object_relation"], []).append(each["value"])
        objects.append(relations)
    return {"objects": objects}


def main():
    print(json.dumps([ask(*question) for question in json.load(sys.stdin)]))


main()
