"""The names of AWS's runtime interface client for Python, in front of the one that is part of this interpreter."""

__version__ = "4.2.2"
