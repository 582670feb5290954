"""The one exception for a database a user cannot reach or load.

>>> raise DatabaseError("bad_name", "INSTANCE_CONNECTION_NAME must look like project:region:instance, got 'x'.")

A model's faulty statement never raises it: that is data, in `database.Result.error`.
"""


class DatabaseError(Exception):
    """Carry a stable `code`, one sentence for the user, and whether trying again may help."""

    def __init__(self, code: str, message: str, *, retry: bool = False):
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry
