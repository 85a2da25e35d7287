"""Puts pdns beside Security Onion and takes it away again.

The flow: `cli` reads what is asked, `host` looks at what is there, `manager` and `sensor` say what should be there,
`plan` shows the difference, carries it out and remembers it, `remove` undoes what is remembered.
"""
