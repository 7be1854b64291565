"""What may stop the stack from starting, as one sentence that a person can act on.

`python -m chronicle.stack` prints the sentence and leaves with exit code 3 ("something it needs is not
there"), the same code that the management commands use.
"""

EXIT_CODE_UNAVAILABLE = 3


class StackError(Exception):
    """A server, port, folder or program that the stack needs is not there. `str()` is one sentence."""
