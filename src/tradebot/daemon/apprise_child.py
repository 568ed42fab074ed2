"""Send one message through apprise and say on stdout whether it arrived.

The only importer of apprise. Reads {"url", "title", "body", "kind"} from stdin, writes {"why"}: null, or
what apprise said. Run by `sending`, as a process that lives as long as one message.
"""

from __future__ import annotations

import json
import logging
import os
import sys

import apprise


class _Heard(logging.Handler):
    """Keep the last thing that apprise complained of."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()


def main() -> None:
    """Send what stdin asks for."""
    os.nice(10)  # loading apprise takes a second of a processor that trading may need
    order = json.load(sys.stdin)
    heard = _Heard(logging.WARNING)
    logging.getLogger("apprise").addHandler(heard)
    asset = apprise.AppriseAsset(app_id="tradebot", app_desc="tradebot", app_url="", secure_logging=True)
    sender = apprise.Apprise(asset=asset)
    why: str | None = None
    if not sender.add(order["url"]):
        why = "apprise does not know this kind of address, or a part of it is missing"
    elif not sender.notify(title=order["title"], body=order["body"], notify_type=order["kind"]):
        why = heard.said or "the service refused the message"
    json.dump({"why": why}, sys.stdout)


if __name__ == "__main__":
    main()
