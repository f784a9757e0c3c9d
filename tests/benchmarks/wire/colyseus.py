"""Colyseus, by npm: which versions, and where they are installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks.measure import Missing

PACKAGES = {
    "@colyseus/core": "0.17.51",
    "@colyseus/ws-transport": "0.17.13",
    "@colyseus/schema": "4.0.31",
    "@colyseus/sdk": "0.17.43",
    "express": "5.3.0",
}
"""The package `colyseus` itself would download a transport from outside npm."""

HERE = Path(__file__).parent


def install() -> Path:
    """Install Colyseus for this user, once; return the folder, with our server and client.

    Raises:
        Missing: if there is no Node.js, or npm cannot install it.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise Missing("node and npm are not installed")
    folder = Path(tempfile.gettempdir()) / f"actorcred-colyseus-{os.getuid()}"
    installed, wanted = folder / "installed", json.dumps(PACKAGES)
    if not installed.exists() or installed.read_text() != wanted:
        folder.mkdir(exist_ok=True, mode=0o700)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--omit=optional"]
        packages = [f"{name}@{version}" for name, version in PACKAGES.items()]
        try:
            subprocess.run(
                [*words, "--legacy-peer-deps", *packages],
                cwd=folder,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        except subprocess.CalledProcessError as error:
            raise Missing(f"npm cannot install it ({error})") from error
        installed.write_text(wanted)
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder / script.name)
    return folder


def version() -> str:
    """Return the versions of what runs."""
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True)
    core = json.loads((install() / "node_modules/@colyseus/core/package.json").read_text())
    return f"@colyseus/core {core['version']} on Node.js {node.stdout.strip().lstrip('v')}"
