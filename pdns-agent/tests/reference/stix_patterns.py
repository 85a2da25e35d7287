#!/usr/bin/env python3
"""Which STIX 2.1 patterns are valid, by the validator of OASIS.

    stix_patterns.py < PATTERNS

reads a list of texts as JSON and prints a list of its errors for each; an empty one means that the pattern is valid.
"""

import json
import sys

from stix2patterns.validator import run_validator

patterns = json.load(sys.stdin)
json.dump([[str(error) for error in run_validator(pattern, "2.1")] for pattern in patterns], sys.stdout)
