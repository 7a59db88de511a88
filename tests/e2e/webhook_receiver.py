"""A webhook receiver, as a program: writes each POST, and when, to a file of JSON lines.

python webhook_receiver.py PORT FILE [SECONDS]

It answers after that many seconds.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

ONE_AT_A_TIME = Lock()


class Receiver(BaseHTTPRequestHandler):
    """Takes what is posted, and says so."""

    file: Path
    seconds = 0.0

    def do_POST(self) -> None:
        at = time.time()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        line = json.dumps({"path": self.path, "body": json.loads(body), "at": at})
        with ONE_AT_A_TIME, self.file.open("a") as file:
            file.write(f"{line}\n")
        time.sleep(self.seconds)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")


if __name__ == "__main__":
    Receiver.file = Path(sys.argv[2])
    Receiver.seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
