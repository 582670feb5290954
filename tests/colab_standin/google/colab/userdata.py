"""Colab's secrets; NotebookAccessError is no errors.Error there either."""

from google.colab import errors
from google.colab._page import state


class NotebookAccessError(Exception):
    """The secret exists, and this notebook may not read it."""

    def __init__(self, key):
        super().__init__(f"Notebook does not have access to secret {key}")


class SecretNotFoundError(errors.Error):
    """There is no such secret."""

    def __init__(self, key):
        super().__init__(f"Secret {key} does not exist.")


class TimeoutException(errors.Error):
    """Nobody answered; versions before 2024 waited for ever instead."""

    def __init__(self, key):
        super().__init__(f"Requesting secret {key} timed out. Secrets can only be fetched from the Colab UI.")


def get(key):
    """Return the secret, as the page has it."""
    page = state()
    if not page["front_end"]:
        raise TimeoutException(key)
    if key in page["denied"]:
        raise NotebookAccessError(key)
    if key not in page["secrets"]:
        raise SecretNotFoundError(key)
    return page["secrets"][key]
