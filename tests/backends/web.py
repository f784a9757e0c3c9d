"""Hashes of web applications, made by the real libraries."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import passlib.hash
import pytest
from django.contrib.auth import hashers
from werkzeug.security import generate_password_hash

Maker = Callable[[str], str]

WORDPRESS = """
$key = base64_encode(hash_hmac("sha384", $argv[1], "wp-sha384", true));
echo "\\$wp" . password_hash($key, PASSWORD_BCRYPT, ["cost" => 4]);
"""  # wp_hash_password of WordPress 6.8
LARAVEL = 'echo password_hash($argv[1], PASSWORD_BCRYPT, ["cost" => 4]);'


def django(hasher: hashers.BasePasswordHasher, **cost: int) -> Maker:
    for name, value in cost.items():
        setattr(hasher, name, value)
    return lambda password: str(hasher.encode(password, hasher.salt()))


def werkzeug(method: str) -> Maker:
    return lambda password: generate_password_hash(password, method)


def php(program: str, *words: str) -> str:
    """Return the output of a PHP program."""
    command = shutil.which("php")
    if command is None:
        pytest.skip("php is not installed; on Debian: apt-get install php-cli")
    done = subprocess.run(
        [command, "-r", program, "--", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


WEB: dict[str, Maker] = {
    "werkzeug scrypt": werkzeug("scrypt:32768:8:1"),
    "werkzeug scrypt, small": werkzeug("scrypt:1024:4:2"),
    "werkzeug pbkdf2-sha256": werkzeug("pbkdf2:sha256:1000"),
    "werkzeug pbkdf2-sha1": werkzeug("pbkdf2:sha1:1000"),
    "werkzeug pbkdf2-sha512": werkzeug("pbkdf2:sha512:1000"),
    "django pbkdf2": django(hashers.PBKDF2PasswordHasher(), iterations=1000),
    "django pbkdf2-sha1": django(hashers.PBKDF2SHA1PasswordHasher(), iterations=1000),
    "django argon2": django(
        hashers.Argon2PasswordHasher(), time_cost=1, memory_cost=1024, parallelism=2
    ),
    "django bcrypt_sha256": django(hashers.BCryptSHA256PasswordHasher(), rounds=4),
    "django bcrypt": django(hashers.BCryptPasswordHasher(), rounds=4),
    "django scrypt": django(hashers.ScryptPasswordHasher(), work_factor=1024),
    "passlib pbkdf2-sha256": passlib.hash.pbkdf2_sha256.using(rounds=1000).hash,
    "passlib pbkdf2-sha512": passlib.hash.pbkdf2_sha512.using(rounds=1000).hash,
    "passlib pbkdf2-sha1": passlib.hash.pbkdf2_sha1.using(rounds=1000).hash,
    "passlib bcrypt-sha256": passlib.hash.bcrypt_sha256.using(rounds=4).hash,
    "passlib bcrypt-sha256, version 1": passlib.hash.bcrypt_sha256.using(rounds=4, version=1).hash,
    "phpass": passlib.hash.phpass.using(rounds=8).hash,
    "phpass of phpBB": passlib.hash.phpass.using(rounds=8, ident="$H$").hash,
}
"""Hashes made by Python; those by PHP are in `PHP`."""

PHP: dict[str, Maker] = {
    "wordpress 6.8": lambda password: php(WORDPRESS, password),
    "laravel": lambda password: php(LARAVEL, password),
}
