"""What the browser page would know."""

import json
import os


def state() -> dict:
    """Return what COLAB_STANDIN says, with an empty page as the default."""
    return {"secrets": {}, "denied": [], "front_end": True, "credentials": ""} | json.loads(
        os.environ.get("COLAB_STANDIN", "{}")
    )
