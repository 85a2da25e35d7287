"""Asks a server as PyPDNS does; what it makes of the answers, as JSON.

Arguments: the URL. Standard input: a JSON array of questions, each an object with "do" (rfc or iter), "q", and
perhaps "rrtype", "login" ([user, password]) and "token". Per question it prints {"rows": [...], "types": [...],
"errors": {...}}, or {"error": NAME} with the name of the exception.
"""

import json
import sys

from pypdns import PyPDNS


def ask(url, question):
    login = question.get("login")
    client = PyPDNS(
        url=url,
        basic_auth=tuple(login) if login else None,
        auth_token=question.get("token"),
        disable_active_query=True,
    )
    try:
        errors = {}
        if question["do"] == "iter":
            rows = list(client.iter_query(question["q"], filter_rrtype=question.get("rrtype")))
        else:
            rows, errors = client.rfc_query(
                question["q"], filter_rrtype=question.get("rrtype"), sort_by="count", with_errors=True
            )
        return {
            "rows": [row.raw for row in rows],
            "types": [row.rrtype for row in rows],
            "errors": errors,
        }
    except Exception as error:  # Which one it is, is what the test wants to know.
        return {"error": type(error).__name__}


def main():
    questions = json.load(sys.stdin)
    print(json.dumps([ask(sys.argv[1], question) for question in questions]))


main()
