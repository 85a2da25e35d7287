"""Tests of what is put beside Security Onion. Run with `python3 -m unittest discover -s securityonion -t securityonion`."""
