"""The one exception that is the user's to mend: shown as its message, without a traceback."""


class UserError(Exception):
    """Bad input. The message names the file, key or case and says what to do."""
