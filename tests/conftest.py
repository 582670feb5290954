"""Fixtures that several test files share."""

import os
import shutil

import pytest


def require(condition: object, reason: str) -> None:
    """Skip the running test unless `condition` holds; with REQUIRE_ALL=1 fail it instead."""
    if condition:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"REQUIRE_ALL=1, yet {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mysql_server():
    """Yield a throw-away MySQL or MariaDB server for the whole session."""
    from helpers import local_mysql

    found = any(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("mysqld", "mariadbd"))
    require(found, "no mysqld or mariadbd here: apt-get install mariadb-server")
    server = local_mysql.start()
    yield server
    local_mysql.stop(server)


@pytest.fixture(scope="module")
def one_thread():
    """Compute in one thread: small models are too small for two, which would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
