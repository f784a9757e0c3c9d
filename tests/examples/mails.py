"""Real-world mails, each of which has broken some server or client."""

from __future__ import annotations

MULTIPART = b"""\
Received: from a.example (a.example [192.0.2.1])\r
\tby b.example with ESMTP id 1\r
\tfor <ann@example.org>; Thu, 5 Nov 2026 12:00:02 +0000\r
Received: from c.example by a.example; Thu, 5 Nov 2026 12:00:01 +0000\r
RECEIVED: from d.example by c.example; Thu, 5 Nov 2026 12:00:00 +0000\r
DKIM-Signature: v=1; a=rsa-sha256; d=example.org;\r
        h=from : to;  bh=AbCd=\r
Message-ID: <multi@example.org>\r
From: "Doe, John \\"JD\\"" <john@example.org>, jane@example.org (Jane)\r
to: friends: ann@example.org, Bob <bob@example.org>;, undisclosed-recipients:;\r
SUBJECT:   =?utf-8?q?Caf=C3=A9?=  \r
DATE: Thu, 5 Nov 2026 12:00:00 +0100 (CET)\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed;\r
 boundary="b;1"\r
\r
preamble\r
--b;1\r
Content-Type: multipart/alternative; boundary="b;1.1"\r
\r
--b;1.1\r
Content-Type: text/plain; charset=iso-8859-1 (Latin)\r
Content-Transfer-Encoding: quoted-printable\r
\r
na=EFve\r
--b;1.1\r
Content-Type: text/html\r
\r
<p>second</p>\r
--b;1.1--\r
\r
--b;1\r
Content-Type: message/rfc822\r
Content-Disposition: attachment; filename="a \\"b\\".eml"\r
\r
From: inner@example.org\r
Subject: inner\r
Content-Type: multipart/mixed; boundary=in\r
\r
--in\r
\r
inner text\r
--in\r
Content-Type: application/octet-stream; name*=utf-8''%C3%A9\r
Content-Transfer-Encoding: base64\r
\r
AAECAw==\r
--in--\r
\r
--b;1--\r
epilogue\r
"""

PLAIN = b"From: ann@example.org\r\nSubject: %b\r\n\r\n%b"

MAILS: dict[str, bytes] = {
    "multipart": MULTIPART,
    "utf8": PLAIN % ("Grüße".encode(), "schöne Grüße\r\n".encode()),
    "latin1": b"From: J\xfcrgen <j@example.org>\r\nSubject: Gr\xfc\xdfe\r\nX-\xfc: 1\r\n\r\n"
    b"sch\xf6n\r\n",
    "no from": b"Subject: no from\r\nMessage-ID: <no-from@example.org>\r\n\r\nx\r\n",
    "no subject": b"From: ann@example.org\r\n\r\nx\r\n",
    "empty values": b"From:\r\nTo: \r\nSubject:\r\nDate:\r\nContent-Type:\r\n\r\nx\r\n",
    "addresses": b"From: nobody\r\nTo: <>, a@b@c, \"unclosed <x@y>, "
    b"(comment) z@example.org, :;,,\r\n"
    b"Cc: =?utf-8?q?=FF?= <q@r>\r\n\r\nx\r\n",
    "header only": b"From: ann@example.org\r\nSubject: header only\r\n",
    "header, no end of line": b"From: ann@example.org\r\nSubject: cut",
    "header and blank line": b"From: ann@example.org\r\nSubject: no body\r\n\r\n",
    "blank line first": b"\r\nbody only\r\n",
    "no header": b"just text\r\nand more\r\n\r\nsecond paragraph\r\n",
    "mbox line": b"From ann@example.org Thu Nov  5 12:00:00 2026\r\nSubject: mbox\r\n\r\n"
    b">From here\r\n",
    "folded": b"Subject: one\r\n two\r\n\tthree\r\nX-Empty-Fold: \r\n \r\nFrom: ann@example.org\r\n"
    b"\r\nx\r\n",
    "dots": PLAIN % (b"dots", b".\r\n..\r\n.x\r\nend.\r\n."),
    "long line": PLAIN % (b"long", b"x" * 900 + b"\r\n" + b"y" * 20_000 + b"\r\n"),
    "long subject": PLAIN % (b"long " + b"z" * 30_000, b"x\r\n"),
    "bare LF": b"From: ann@example.org\nSubject: lf\n\nbody\nmore\n.\n",
    "bare CR": PLAIN % (b"cr", b"a\rb\r\r\nc\r\n"),
    "NUL": PLAIN % (b"nul \x00", b"a\x00b\r\n"),
    "invalid date": b"Date: yesterday, 99 Foo 20xx\r\nFrom: ann@example.org\r\nSubject: date\r\n"
    b"\r\nx\r\n",
    "strange date": b"Date: Thu, 31 Feb 2026 25:61:61 +9999\r\nFrom: ann@example.org\r\n\r\nx\r\n",
    "no boundary": b"Content-Type: multipart/mixed\r\nSubject: no boundary\r\n\r\n--x\r\n\r\nx\r\n",
    "other boundary": b"Content-Type: multipart/mixed; boundary=a\r\nSubject: other\r\n\r\n--b\r\n"
    b"\r\nx\r\n--b--\r\n",
    "open boundary": b"Content-Type: multipart/mixed; boundary=a\r\nSubject: open\r\n\r\n--a\r\n"
    b"\r\none\r\n--ab\r\n--a\r\n\r\ntwo",
    "bad type": b"Content-Type: nonsense; =; charset\r\nContent-Transfer-Encoding: \xff\r\n"
    b"Subject: type\r\n\r\nx\r\n",
    "type without end": b"Content-Type: text/plain; charset=\"utf-8\r\nSubject: type 2\r\n\r\n"
    b"x\r\n",
    "strange charset": b"Content-Type: text/plain; charset=x-none\r\nSubject: "
    b"=?x-none?q?a?= =?utf-8?b?!?=\r\n\r\n\xff\xfe\r\n",
    "whole message": b"Content-Type: message/rfc822\r\nSubject: whole\r\n\r\nSubject: inner\r\n\r\n"
    b"inner body\r\n",
    "digest": b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: one\r\n\r\n"
    b"1\r\n"
    b"--d\r\n\r\nSubject: two\r\n\r\n2\r\n--d--\r\n",
    "deep": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(100)
    )
    + b"\r\ndeep\r\n",
    "deep messages": b"Content-Type: message/rfc822\r\n\r\n" * 200 + b"Subject: inner\r\n\r\nx\r\n",
    "8-bit": b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    b"Subject: 8\r\n\r\n\xf0\x9f\x98\x80\r\n",
    "binary": b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
    b"Subject: bin\r\n\r\n" + bytes(range(1, 256)),
    "quotes": b"From: \"a\\\\b\" <\"q u\"@example.org>\r\nSubject: \"quoted\" \\ and {5}\r\n"
    b"Message-ID: <a\"b@c>\r\n\r\nx\r\n",
    "no line end": PLAIN % (b"no end", b"no line end"),
    "empty": b"",
}  # fmt: skip

BY_SMTP = [
    name for name, raw in MAILS.items() if not any(len(line) > 990 for line in raw.split(b"\r\n"))
]  # SMTP does not carry lines of more than 1,000 bytes (RFC 5321, section 4.5.3.1.6)
