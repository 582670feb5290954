"""A stand-in for the google.colab package: secrets, sign-in and Drive, with colabtools' signatures and
exceptions.

Put tests/colab_standin on sys.path, and say in the environment variable COLAB_STANDIN, as JSON, what the page
holds: {"secrets": {"DB_PASS": "…"}, "denied": ["HF_TOKEN"], "front_end": true, "credentials":
"/path/of/a/key.json"}
"""
