"""How to reach NATS, by keyword arguments or variables of the environment."""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import names
from .errors import SettingError

#: Where a server listens if nothing else is said.
DEFAULT_URL = "nats://127.0.0.1:4222"

#: Largest body, in bytes, of an event that carries its data itself, if nothing else is said: as CloudEvents asks for.
DEFAULT_MAX_INLINE = 64 * 1024

_PREFIX = "MESH_NATS_"
#: Largest data, in bytes, that a message can carry beside its envelope.
_MAX_CARRIED = (1024 - 64) * 1024
#: Settings that are not about NATS alone.
_OF_THE_MESH = {"namespace": "MESH_NAMESPACE", "max_inline": "MESH_MAX_INLINE"}
_PROOFS = ("user", "token", "nkey", "creds")
_CREDS_MARKS = ("BEGIN NATS USER JWT", "BEGIN USER NKEY SEED")


@dataclass(frozen=True)
class Connection:
    """Where the mesh is, and how to prove who we are.

    What is not given is taken from the environment, else from the defaults. A proof that is given takes the place of
    all of the environment's.
    """

    #: Servers, with commas between (`MESH_NATS_URL`, else `nats://127.0.0.1:4222`); `tls://` demands TLS.
    url: str | None = field(default=None, repr=False)
    #: First token of every subject (`MESH_NAMESPACE`, else `mesh`).
    namespace: str | None = None
    #: User name (`MESH_NATS_USER`).
    user: str | None = None
    #: The user's password (`MESH_NATS_PASSWORD`).
    password: str | None = field(default=None, repr=False)
    #: A token (`MESH_NATS_TOKEN`).
    token: str | None = field(default=None, repr=False)
    #: File with the seed of an NKey (`MESH_NATS_NKEY`); needs `mesh-agent[nkeys]`.
    nkey: str | None = None
    #: Credentials file (`MESH_NATS_CREDS`); needs `mesh-agent[nkeys]`.
    creds: str | None = None
    #: PEM file of the authority that signed the server's certificate (`MESH_NATS_CA`); demands TLS.
    ca: str | None = None
    #: PEM file of our certificate (`MESH_NATS_CERT`); demands TLS.
    cert: str | None = None
    #: PEM file of the certificate's key (`MESH_NATS_KEY`).
    key: str | None = None
    #: What the subjects begin with on which answers come (`MESH_NATS_INBOX_PREFIX`, else `_INBOX`).
    inbox_prefix: str | None = None
    #: Largest event, in bytes, that carries its data itself (`MESH_MAX_INLINE`, else 65536); what is larger is kept beside
    #: the streams, and the event refers to it.
    max_inline: int | None = None

    def resolved(self, environment: Mapping[str, str] | None = None) -> Connection:
        """These settings with those of the environment, checked: a `SettingError` says what is wrong with them."""
        found: dict[str, Any] = _read(os.environ if environment is None else environment)
        if any(getattr(self, proof) for proof in (*_PROOFS, "password")):
            found = {name: value for name, value in found.items() if name not in (*_PROOFS, "password")}
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        found.update({name: value for name, value in given.items() if value})
        if "max_inline" in found:
            found["max_inline"] = _max_inline(found["max_inline"])
        whole = replace(Connection(url=DEFAULT_URL, namespace="mesh"), **found)
        whole._check()
        return whole

    @property
    def servers(self) -> list[str]:
        """The servers, one URL each."""
        urls = (url.strip() for url in (self.url or DEFAULT_URL).split(","))
        return [url if "://" in url else f"nats://{url}" for url in urls if url]

    @property
    def needs_tls(self) -> bool:
        """Whether a connection without TLS is to be refused."""
        return bool(self.ca or self.cert) or any(url.startswith("tls://") for url in self.servers)

    def shown(self) -> str:
        """The servers without the passwords that may be in their URLs."""
        return ",".join(re.sub(r"//[^/]*@", "//", url) for url in self.servers)

    def client_options(self) -> dict[str, Any]:
        """The arguments of `nats.connect` that these settings stand for, passwords and tokens apart."""
        options: dict[str, Any] = {"servers": self.servers}
        if self.inbox_prefix:
            options["inbox_prefix"] = self.inbox_prefix
        if self.nkey:
            options["nkeys_seed"] = self.nkey
        if self.creds:
            options["user_credentials"] = self.creds
        if self.ca or self.cert:
            try:
                options["tls"] = ssl.create_default_context(cafile=self.ca)
                if self.cert:
                    options["tls"].load_cert_chain(self.cert, self.key)
            except (OSError, ssl.SSLError) as error:
                files = ", ".join(path for path in (self.ca, self.cert, self.key) if path)
                raise SettingError(f"ca, cert or key: {error}: give files in PEM form ({files})") from None
        return options

    def _check(self) -> None:
        names.name("namespace", self.namespace or "")
        if not self.servers:
            raise SettingError(f"url: {self.url!r} names no server: give one such as {DEFAULT_URL}")
        for url in self.servers:
            _check_url(url)
        proofs = [_variable(proof) for proof in _PROOFS if getattr(self, proof)]
        if len(proofs) > 1:
            raise SettingError(f"give only one of {' and '.join(proofs)}")
        for one, other in (("user", "password"), ("password", "user"), ("cert", "key"), ("key", "cert")):
            if getattr(self, one) and not getattr(self, other):
                raise SettingError(f"{_variable(one)} needs {_variable(other)}")
        for setting in ("nkey", "creds", "ca", "cert", "key"):
            self._check_file(setting)
        if (self.nkey or self.creds) and importlib.util.find_spec("nkeys") is None:
            setting = _variable("nkey" if self.nkey else "creds")
            raise SettingError(
                f"{setting} needs the package nkeys: pip install 'mesh-agent[nkeys]' (or nats-py[nkeys])"
            )

    def _check_file(self, setting: str) -> None:
        path = getattr(self, setting)
        if not path:
            return
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{_variable(setting)}: cannot read {path}: {error}") from None
        # The client library would look for them for ever.
        missing = [mark for mark in _CREDS_MARKS if setting == "creds" and mark not in text]
        if missing:
            raise SettingError(
                f"{_variable(setting)}: {path} is no credentials file: it has no line {missing[0]!r}"
            )
        if setting == "nkey" and not text.strip().startswith("S"):
            raise SettingError(
                f"{_variable(setting)}: {path} holds no seed of an NKey, which begins with 'SU'"
            )


def _variable(setting: str) -> str:
    return _OF_THE_MESH.get(setting) or _PREFIX + setting.upper()


def _max_inline(given: str | int) -> int:
    try:
        bytes = int(given)
    except ValueError:
        bytes = 0
    if not 1 <= bytes <= _MAX_CARRIED:
        raise SettingError(f"MESH_MAX_INLINE: {given!r} is no number of bytes from 1 to {_MAX_CARRIED}")
    return bytes


def _read(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of the environment. Empty variables are as good as absent.

    Variables that look like a misspelt setting are refused, other unknown ones are not: a cluster gives every process
    variables about its services (``MESH_NATS_SERVICE_HOST``), and one of them may be called ``mesh-nats``.
    """
    known = {_variable(item.name): item.name for item in fields(Connection)}
    for variable, value in environment.items():
        if not variable.startswith(_PREFIX) or variable in known or not value:
            continue
        if variable == "MESH_NATS_CONTEXT":
            raise SettingError(f"{variable} is not followed in Python: set MESH_NATS_URL and a proof instead")
        near = difflib.get_close_matches(variable, known, n=1, cutoff=0.9)
        if near:
            raise SettingError(f"the variable {variable} is no setting: did you mean {near[0]}?")
    return {name: environment[variable] for variable, name in known.items() if environment.get(variable)}


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.scheme in ("nats", "tls", "ws", "wss") and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingError(f"url: {url!r} is no address of a NATS server: give one such as {DEFAULT_URL}")
