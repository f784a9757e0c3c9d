"""A table of users, with hashes as various programs make them."""

from __future__ import annotations

import base64
import hashlib

import argon2
import passlib.hash
import sqlalchemy

from actorcred.passwords.hashing import hash_password

SALT = "seasalt"


def pbkdf2(password):
    made = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT.encode(), 1000)
    return f"pbkdf2_sha256$1000${SALT}${base64.b64encode(made).decode()}"


def django_scrypt(password):
    made = hashlib.scrypt(password.encode(), salt=SALT.encode(), n=1024, r=8, p=1, dklen=64)
    return f"scrypt$1024${SALT}$8$1${base64.b64encode(made).decode()}"


HASHES = {
    "bcrypt": lambda password: hash_password(password=password, rounds=4),
    "argon2": argon2.PasswordHasher(1, 1024, 1).hash,
    "scrypt": passlib.hash.scrypt.using(rounds=8).hash,
    "django-scrypt": django_scrypt,
    "pbkdf2": pbkdf2,
}
USERS = {
    **{name: make("right") for name, make in HASHES.items()},
    "ann": HASHES["bcrypt"]("right"),
    "andr\u00e9": HASHES["bcrypt"]("sn\u00f6 \u2603"),
    "broken": "x",
}


def fill(url):
    """Write the table to a database."""
    engine = sqlalchemy.create_engine(url)
    text = sqlalchemy.String(255)
    columns = [
        sqlalchemy.Column("username", text, primary_key=True),
        sqlalchemy.Column("password", text),
    ]
    table = sqlalchemy.Table(
        "users", sqlalchemy.MetaData(), *columns, sqlalchemy.Column("is_active", sqlalchemy.Boolean)
    )
    with engine.begin() as connection:
        table.create(connection)
        rows = [
            {"username": name, "password": made, "is_active": True} for name, made in USERS.items()
        ]
        connection.execute(
            table.insert(),
            [*rows, {"username": "old", "password": USERS["bcrypt"], "is_active": False}],
        )
    engine.dispose()
