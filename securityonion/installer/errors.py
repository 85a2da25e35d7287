"""The one error that an operator sees: a sentence that ends with what to do."""


class Refused(Exception):
    """Nothing was changed, and the sentence says why."""
