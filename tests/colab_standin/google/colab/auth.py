"""Colab's sign-in: sets the application default credentials, or refuses."""

import os

from google.colab import errors
from google.colab._page import state


def authenticate_user(clear_output=True, project_id=None):
    """Point GOOGLE_APPLICATION_CREDENTIALS at the page's credentials and return None."""
    if not state()["credentials"]:
        raise errors.AuthorizationError("Failed to fetch user credentials")
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = state()["credentials"]
