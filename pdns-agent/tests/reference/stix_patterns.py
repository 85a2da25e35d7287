#!/usr/bin/env python3
"""Which STIX 2.1 patterns are valid, by the validator of OASIS.

    stix_patterns.py < PATTERNS

reads a list of texts as JSON and prints a list of its errors for each; an empty one means that the pattern is valid.
"""

import json
import sys

from stix2patterns.validator import run_validator


def errors(pattern):
    try:
        return [str(error) for error in run_validator(pattern, "2.1")]
    except (AttributeError, UnboundLocalError) as error:
        # It looks into what it could not parse.
        return [repr(error)]


json.dump([errors(pattern) for pattern in json.load(sys.stdin)], sys.stdout)
