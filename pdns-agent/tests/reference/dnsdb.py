"""Asks a server as the dnsdb2 package does; what it makes of the answers, as JSON.

Arguments: the URL and the key. Standard input: a JSON array of questions, each [method, arguments, parameters].
Per question it prints {"rows": [...]} with {"error": NAME} beside it when an exception ended the rows.
"""

import json
import sys

import dnsdb2


def ask(client, method, arguments, parameters):
    rows = []
    try:
        answer = getattr(client, method)(*arguments, **parameters)
        if method in ("ping", "rate_limit"):
            return {"rows": [answer]}
        for row in answer:
            rows.append(row)
        return {"rows": rows}
    except Exception as error:  # Which one it is, is what the test wants to know.
        return {"rows": rows, "error": type(error).__name__, "text": str(error)}


def main():
    client = dnsdb2.Client(sys.argv[2], server=sys.argv[1])
    print(json.dumps([ask(client, *question) for question in json.load(sys.stdin)]))


main()
