"""The two keys of an installation: one signs sessions, the others encrypt stored secrets.

A local trial makes them on its first run into `instance/keys.env` (mode 600); everything else
must bring them, so that two machines never run with different ones by accident.
"""

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from portal.config.values import SettingsError, private_folder
from portal.engine.signing.weak_keys import weakness

KEYS_FILE = "keys.env"


@dataclass(frozen=True, slots=True)
class Keys:
    """`encryption_keys`: Fernet keys; the first encrypts, all decrypt."""

    secret_key: str
    encryption_keys: tuple[str, ...]


def load_keys(environ: Mapping[str, str], instance_dir: Path, *, may_create: bool) -> Keys:
    """The keys from the environment, else from the instance folder, else (trial) new ones.

    Raises `SettingsError` when one is missing or cannot be used.
    """
    path = instance_dir / KEYS_FILE
    if may_create and not path.exists():
        _create(path)
    kept = {name: value or "" for name, value in dotenv_values(path).items()}
    secret_key = environ.get("SECRET_KEY") or kept.get("SECRET_KEY", "")
    encryption = environ.get("ENCRYPTION_KEYS") or kept.get("ENCRYPTION_KEYS", "")
    if len(secret_key) < 16:
        raise SettingsError(
            "SECRET_KEY must be set to at least 16 characters that only this portal knows."
        )
    _refuse_weak("SECRET_KEY", secret_key)
    return Keys(secret_key, tuple(_fernet_key(part) for part in encryption.split(",")))


def _fernet_key(text: str) -> str:
    key = text.strip()
    try:
        made = base64.urlsafe_b64decode(key)
    except ValueError:
        made = b""
    if len(made) != 32:
        raise SettingsError(
            "ENCRYPTION_KEYS must be one or more Fernet keys (32 bytes, URL-safe base64), "
            "separated by commas."
        )
    _refuse_weak("ENCRYPTION_KEYS", key, made.decode("latin-1"))
    return key


def _refuse_weak(setting: str, *forms: str) -> None:
    if reason := weakness(*forms):
        raise SettingsError(f"{setting} must be made by chance: {reason} can be guessed.")


def _create(path: Path) -> None:
    private_folder(path.parent, "INSTANCE_DIR")
    lines = (
        f"SECRET_KEY={secrets.token_urlsafe(32)}\n"
        f"ENCRYPTION_KEYS={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}\n"
    )
    # Written aside and linked into place: two first starts at once agree on one pair of keys.
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(lines)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
