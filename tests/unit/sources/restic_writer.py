"""A tiny writer of restic repositories (version 1) for tests: it can write what restic never would."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

COST = {"N": 16, "r": 1, "p": 1}


def seal(key: bytes, plain: bytes) -> bytes:
    encrypt, mac_k, mac_r = key[:32], key[32:48], key[48:64]
    nonce = secrets.token_bytes(16)
    encryptor = Cipher(algorithms.AES(encrypt), modes.CTR(nonce)).encryptor()
    ciphertext = encryptor.update(plain) + encryptor.finalize()
    block = Cipher(algorithms.AES(mac_k), modes.ECB()).encryptor()  # noqa: S305  Poly1305-AES
    tag = Poly1305.generate_tag(mac_r + block.update(nonce) + block.finalize(), ciphertext)
    return nonce + ciphertext + tag


@dataclass
class Writer:
    root: Path
    password: str = "pw"
    version: int = 1
    key: bytes = field(default_factory=lambda: secrets.token_bytes(64))
    blobs: list[dict[str, Any]] = field(default_factory=list)
    pack: bytes = b""

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self.add_key(**COST)
        self.write("config", json.dumps({"version": self.version, "id": "00", "chunker_polynomial": "25b4"}).encode())

    def add_key(self, **cost: int) -> None:
        salt = secrets.token_bytes(64)
        derived = hashlib.scrypt(self.password.encode(), salt=salt, n=16, r=1, p=1, dklen=64)
        b64 = lambda value: base64.b64encode(value).decode()  # noqa: E731
        master = {"encrypt": b64(self.key[:32]), "mac": {"k": b64(self.key[32:48]), "r": b64(self.key[48:])}}
        content = {"kdf": "scrypt", **cost, "salt": b64(salt), "data": b64(seal(derived, json.dumps(master).encode()))}
        self.put("keys", json.dumps(content).encode())

    def put(self, folder: str, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name

    def write(self, name: str, plain: bytes) -> None:
        (self.root / name).write_bytes(seal(self.key, plain))

    def blob(self, plain: bytes, *, kind: str = "data", compress: bool = False, claims: int | None = None) -> str:
        name = hashlib.sha256(plain).hexdigest()
        sealed = seal(self.key, zstandard.compress(plain) if compress else plain)
        place = {"id": name, "type": kind, "offset": len(self.pack), "length": len(sealed)}
        if compress:
            place["uncompressed_length"] = len(plain) if claims is None else claims
        self.blobs.append(place)
        self.pack += sealed
        return name

    def tree(self, *nodes: dict[str, Any]) -> str:
        return self.blob(json.dumps({"nodes": list(nodes)}).encode(), kind="tree")

    def file(self, name: str, content: bytes) -> dict[str, Any]:
        ids = [self.blob(content)] if content else []
        return {"name": name, "type": "file", "size": len(content), "content": ids, "mtime": "2013-01-31T00:00:00Z"}

    def folder(self, name: str, tree: str) -> dict[str, Any]:
        return {"name": name, "type": "dir", "subtree": tree}

    def header(self) -> bytes:
        """The sealed header of the pack at hand, and its length."""
        out = b""
        for blob in self.blobs:
            compressed = "uncompressed_length" in blob
            out += struct.pack("<BI", (2 if compressed else 0) + (blob["type"] == "tree"), blob["length"])
            out += struct.pack("<I", min(blob["uncompressed_length"], (1 << 32) - 1)) if compressed else b""
            out += bytes.fromhex(blob["id"])
        sealed = seal(self.key, out)
        return sealed + struct.pack("<I", len(sealed))

    def flush(self, *, supersedes: tuple[str, ...] = ()) -> str:
        self.pack += self.header()
        pack = hashlib.sha256(self.pack).hexdigest()
        self.put(f"data/{pack[:2]}", self.pack)
        index = {"supersedes": list(supersedes), "packs": [{"id": pack, "blobs": self.blobs}]}
        self.pack, self.blobs = b"", []
        return self.put("index", seal(self.key, json.dumps(index).encode()))

    def snapshot(self, tree: str, *, time: str = "2013-01-31T23:30:00.123456789+01:00") -> str:
        content = {"time": time, "tree": tree, "hostname": "northgate", "paths": ["/data"]}
        return self.put("snapshots", seal(self.key, json.dumps(content).encode()))
