"""Asks a server all that its OpenAPI description says can be asked, with what nobody would think of.

Argument: the URL of the server. It runs schemathesis, always with the same questions, and prints {"code": its exit
status, "said": what it printed} as JSON.
"""

import json
import subprocess
import sys
from pathlib import Path

# Names and patterns may be nearly any text, so what is refused and what is not is no matter of the description.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
]


def main():
    command = [
        Path(sys.executable).with_name("schemathesis"),
        "run",
        sys.argv[1] + "/openapi.json",
        "--checks", ",".join(CHECKS),
        "--phases", "examples,coverage,fuzzing",
        "--max-examples", "15",
        "--seed", "1",
        "--generation-database", "none",
        "--continue-on-failure",
        "--warnings", "off",
        "--no-color",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=sys.argv[2], check=False)
    print(json.dumps({"code": ran.returncode, "said": ran.stdout + ran.stderr}))


main()
