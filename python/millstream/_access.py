"""Which gateway, and with which token."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from millstream._errors import ConnectionFailedError

GATEWAY_VARIABLE = "MILLSTREAM_GATEWAY"
TOKEN_VARIABLE = "MILLSTREAM_TOKEN"


@dataclass(frozen=True)
class Access:
    """A gateway's address and the token it wants."""

    url: str
    token: str = field(repr=False)


def find_access(url: str, token: str | None = None) -> Access:
    """Complete an address with the token given, of the environment, or of this user.

    Parameters
    ----------
    url : str
        Address of a gateway.
    token : str, optional
        Token; ``MILLSTREAM_TOKEN`` or this user's token file if absent.

    Raises
    ------
    ConnectionFailedError
        If there is no token anywhere.
    ValueError
        If `url` is no address of a gateway.
    """
    url = checked_url(url)
    token = token or os.environ.get(TOKEN_VARIABLE) or read_token()
    if not token:
        raise ConnectionFailedError(
            f"no token for {url}: pass token=, set {TOKEN_VARIABLE} "
            f"(`millstream token` prints it where the cluster runs), or put it into {token_path()}"
        )
    return Access(url, token)


def checked_url(url: str) -> str:
    """Return an address without the slash at its end, or say what is wrong with it.

    Examples
    --------
    >>> checked_url("http://node7:8787/")
    'http://node7:8787'
    >>> checked_url("tcp://node7:8786")
    Traceback (most recent call last):
        ...
    ValueError: 'tcp://node7:8786' is the address of a Dask scheduler; ...
    """
    parts = urlsplit(url)
    if parts.scheme in ("tcp", "tls", "ws", "wss"):
        raise ValueError(
            f"{url!r} is the address of a Dask scheduler; Millstream's clients speak HTTP to its gateway: "
            f"write 'http://{parts.hostname or '127.0.0.1'}:8787'"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a gateway: write it as 'http://HOST:8787'")
    return url.rstrip("/")


def config_folder() -> Path:
    """Return the folder of this user's settings and token."""
    if folder := os.environ.get("XDG_CONFIG_HOME"):
        return Path(folder) / "millstream"
    if home := os.environ.get("HOME"):
        return Path(home) / ".config" / "millstream"
    return Path(tempfile.gettempdir()) / "millstream"


def token_path() -> Path:
    """Return the file that holds the token of this user's gateways."""
    return config_folder() / "token"


def read_token() -> str | None:
    """Return the token of this user's gateways, if there is one."""
    try:
        return token_path().read_text().strip() or None
    except FileNotFoundError:
        return None
