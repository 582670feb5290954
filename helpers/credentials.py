"""Where a secret comes from: the same order for every secret, on every kind of machine.

>>> secret("DB_PASS")       # DB_PASS, the file of DB_PASS_FILE, Colab's secrets, Secret Manager, a person
'…'

A secret is returned and never logged, written or put into an exception. It is not kept here either: whoever
needs it twice keeps it in memory. Knows nothing of what secrets are for, and cannot stop a caller from
showing one.
"""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

SECRET_MANAGER = "https://secretmanager.googleapis.com"
WAIT_S = 5.0


class SecretMissing(Exception):
    """Say which secret is missing and where to set it."""


def secret(name: str) -> str:
    """Return the secret `name` from the first of SOURCES that has it; an empty value counts as missing.

    Raises SecretMissing when none has it, or when one that has it may not give it.
    """
    for source in SOURCES:
        if value := source(name):
            return value
    raise SecretMissing(f"{name} is missing or empty: {_remedies(name)}.")


def _from_environment(name: str) -> str:
    return os.environ.get(name, "")


def _from_file(name: str) -> str:
    """Read the file NAME_FILE names, as containers mount secrets; its last newline is not part of it."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return ""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SecretMissing(
            f"{name}_FILE names {path}, which cannot be read ({error.strerror}): correct it or unset it."
        ) from None


def _from_colab(name: str) -> str:
    """Ask Colab's page, but only with a person before it: without one, older colabtools wait for ever."""
    from helpers import runtime

    if not (runtime.is_colab() and runtime.is_interactive()):
        return ""
    from google.colab import errors, userdata

    try:
        return userdata.get(name) or ""
    except userdata.NotebookAccessError:
        raise SecretMissing(
            f"Colab has {name}, but this notebook may not read it: open Secrets and switch its access on."
        ) from None
    except errors.Error as error:  # SecretNotFoundError, and TimeoutException, which older versions lack
        log.debug("Colab gave no %s: %s", name, type(error).__name__)
        return ""


def _from_secret_manager(name: str) -> str:
    """Ask Secret Manager, if a project is set: SECRET_MANAGER_PROJECT, or else GOOGLE_CLOUD_PROJECT.

    A failure stops the search in the first case only, as the second variable is often set for other reasons.
    """
    project = _project()
    if not project:
        return ""
    try:
        return _latest_version(name, project)
    except Exception as error:  # google.auth, google.api_core and requests have no base in common
        if getattr(error, "code", None) == 404:
            return ""
        reason = type(error).__name__
    if not os.environ.get("SECRET_MANAGER_PROJECT"):
        log.info("Secret Manager of project %s was passed over for %s: %s", project, name, reason)
        return ""
    raise SecretMissing(
        f"Secret Manager of project {project} did not give {name} ({reason}): let the signed-in account have "
        "roles/secretmanager.secretAccessor, or unset SECRET_MANAGER_PROJECT."
    )


def _latest_version(name: str, project: str) -> str:
    from google.cloud import secretmanager

    client = secretmanager.SecretManagerServiceClient(
        transport="rest", client_options={"api_endpoint": SECRET_MANAGER}
    )
    path = f"projects/{project}/secrets/{name}/versions/latest"
    answer = client.access_secret_version(name=path, retry=None, timeout=WAIT_S)
    return answer.payload.data.decode()


def _from_person(name: str) -> str:
    from getpass import getpass

    from helpers import runtime

    if not runtime.is_interactive():
        return ""
    try:
        return getpass(f"{name} (neither shown nor kept): ")
    except (EOFError, NotImplementedError):  # a front end without input
        return ""


SOURCES = (_from_environment, _from_file, _from_colab, _from_secret_manager, _from_person)


def _project() -> str:
    return os.environ.get("SECRET_MANAGER_PROJECT") or os.environ.get("GOOGLE_CLOUD_PROJECT") or ""


def _remedies(name: str) -> str:
    from helpers import runtime

    remedies = [f"export {name}", f"point {name}_FILE at a file that holds it"]
    if runtime.is_colab():
        remedies.append("add it to Colab's Secrets (the key on the left) and switch on notebook access")
    if _project():
        remedies.append(f"create the secret {name} in Secret Manager of project {_project()}")
    return f"{', '.join(remedies[:-1])} or {remedies[-1]}"
