"""SFTP through fsspec and paramiko, to hosts that are known already.

fsspec's own file system accepts any host key by default, so that whoever stands in between is handed the password.
"""

from __future__ import annotations

import os
from typing import Any, Final

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

_KNOWN_HOSTS: Final = "ASEPSIS_SFTP_KNOWN_HOSTS"


class KnownHostFileSystem(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Connects only to a host whose key is in the known hosts (``ASEPSIS_SFTP_KNOWN_HOSTS``, else the account's)."""

    cachable = False

    def _connect(self) -> None:
        self.client: Any = paramiko.SSHClient()
        self.client.load_system_host_keys(os.environ.get(_KNOWN_HOSTS))
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self.client.connect(self.host, **self.ssh_kwargs)
        self.ftp: Any = self.client.open_sftp()
