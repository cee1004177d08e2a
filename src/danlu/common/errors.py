"""The one error a user is meant to read."""


class DanluError(Exception):
    """A problem that the user can mend.

    The command line prints it as two plain lines, cause and remedy, and exits with status 2. A traceback is kept for
    what cannot be the user's doing.

    Args:
        cause: what was wrong and where (file, line, key), in one sentence.
        remedy: what to do next, in one sentence.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}\n  {remedy}")
        self.cause = cause
        self.remedy = remedy
