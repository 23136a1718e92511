"""An S3-compatible object storage of one's own on loopback, for tests: moto's server, in memory; any key will do.

python s3server.py      starts it with an empty bucket "bucket", prints {"url", "pid"} as one line of JSON,
                            ends when its standard input closes
"""

from __future__ import annotations

import json
import logging
import os
import sys
from threading import Thread
from urllib.request import Request, urlopen


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    made = Request(f"http://127.0.0.1:{server.server_port}/bucket", method="PUT")
    urlopen(made, timeout=30).close()
    sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
