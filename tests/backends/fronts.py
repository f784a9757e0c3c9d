"""HAProxy and nginx, in front of a server of this machine. They connect to it from `FRONT`."""

from __future__ import annotations

from pathlib import Path

from tests.backends.servers import Backend, free_port, program

__all__ = ["FRONT", "haproxy", "nginx"]

FRONT = "127.0.0.9"
"""The address of the proxies, other than that of the clients."""

HAPROXY = """
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen one
    mode {mode}
    bind 127.0.0.1:{port} {bind}
    {lines}
    server server 127.0.0.1:{server} source {front} {options}
"""

NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr;

events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} {tls};
        location / {{
            proxy_pass http://127.0.0.1:{server};
            proxy_bind {front};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


def haproxy(
    folder: Path,
    server: int,
    options: str = "",
    *,
    mode: str = "tcp",
    certificate: Path | None = None,
    lines: str = "",
) -> Backend:
    """Return HAProxy in front of a port; `certificate` has the key, too."""
    found, port = program("haproxy", "haproxy"), free_port()
    bind = "" if certificate is None else f"ssl crt {certificate}"
    config = folder / "haproxy.cfg"
    config.write_text(
        HAPROXY.format(
            mode=mode, port=port, bind=bind, lines=lines, server=server, front=FRONT,
            options=options,
        )
    )  # fmt: skip
    return Backend([found, "-db", "-f", str(config)], port, "", folder / "log")


def nginx(folder: Path, server: int, certificate: Path | None = None) -> Backend:
    """Return nginx in front of an HTTP server, with X-Forwarded-For and X-Forwarded-Proto."""
    found, port = program("nginx", "nginx-light"), free_port()
    tls = "" if certificate is None else "ssl"
    if certificate is not None:
        tls += (
            f";\n        ssl_certificate {certificate};\n        ssl_certificate_key {certificate}"
        )
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, tls=tls, server=server, front=FRONT))
    return Backend([found, "-c", str(config), "-p", str(folder)], port, "", folder / "log")
