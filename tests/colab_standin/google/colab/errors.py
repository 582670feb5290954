"""The exceptions that Colab's rooms share."""


class Error(Exception):
    """Base class of Colab's errors."""


class AuthorizationError(Error):
    """The sign-in failed."""
