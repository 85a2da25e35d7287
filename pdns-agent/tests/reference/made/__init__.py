"""Captures that are made, each with the rows it must lead to, by hand."""
