# SPDX-License-Identifier: GPL-2.0-only
"""Sends a mail, if somebody said how: by sendmail(1) of this host, or to a server that takes it by SMTP."""

from __future__ import annotations

import smtplib
import subprocess
from email.message import EmailMessage
from pathlib import Path

from lab.errors import BadInput, HostTrouble

SECONDS = 60.0
"""A mail that is not taken until then is not sent."""
SENDMAIL = "sendmail"
_PLACES = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
"""Where it lies where PATH does not have it: cron's does not."""


def send(mail: EmailMessage, smtp: str = "") -> None:
    """Hand a mail over: to the server HOST[:PORT], else to `sendmail -t`. Raises HostTrouble when nobody took it."""
    try:
        if smtp:
            host, port = server(smtp)
            with smtplib.SMTP(host, port, timeout=SECONDS) as connection:
                connection.send_message(mail)
            return
        sendmail = next((place for place in _PLACES if Path(place).is_file()), SENDMAIL)
        argv = [sendmail, "-t", "-i"]
        done = subprocess.run(argv, input=bytes(mail), capture_output=True, check=False, timeout=SECONDS)
    except FileNotFoundError as exc:
        raise HostTrouble("this host has no sendmail, so the mail was not sent", hint="an SMTP server") from exc
    except subprocess.TimeoutExpired as exc:
        raise HostTrouble(
            f"sendmail took longer than {SECONDS:g} s, so nobody knows whether the mail was sent"
        ) from exc
    except (OSError, smtplib.SMTPException) as exc:
        raise HostTrouble(f"the mail was not sent by {smtp or 'sendmail'}: {exc}") from exc
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise HostTrouble(f"sendmail ended with status {done.returncode}, so the mail was not sent: {said}")


def server(text: str) -> tuple[str, int]:
    """HOST[:PORT]. Raises BadInput."""
    host, _, port = text.partition(":")
    if not host or (port and not (port.isdigit() and 0 < int(port) < 65536)):
        raise BadInput([f"SMTP server {text!r}: write HOST or HOST:PORT"])
    return host, int(port or 25)


def address_problem(text: str) -> str:
    """What is wrong with an address of mail; "" when it may be one."""
    from email.headerregistry import Address
    from email.utils import parseaddr

    name, plain = parseaddr(text)
    if not text.isprintable() or "@" not in plain:
        return f"{text!r} is no address of mail"
    try:
        Address(name, addr_spec=plain)
    except ValueError as exc:
        return f"{text!r} is no address of mail: {exc}"
    return ""
