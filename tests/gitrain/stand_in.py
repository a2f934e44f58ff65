"""A service that starts in a tenth of a second: what deployments are tried with.

``python stand_in.py BUNDLE --port PORT``; `src/behaviour.json` in the bundle says what is wrong with it.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def serve(bundle, port):
    source = Path(bundle, "src")
    facts = json.loads((source / "release.json").read_text())
    behaviour = json.loads((source / "behaviour.json").read_text()) if (source / "behaviour.json").exists() else {}
    began = time.monotonic()
    if behaviour.get("dies"):
        print("the model cannot be read", flush=True)
        sys.exit(1)

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self):
            if self.path == "/readyz":
                late = time.monotonic() - began < behaviour.get("ready_after", 0)
                self.say(503 if behaviour.get("never_ready") or late else 200, {})
            else:
                self.say(200, facts)

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.say(200, {"release": facts["version"]})

        def say(self, status, payload):
            body = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", port), Answer)
    if not behaviour.get("deaf"):
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"process {os.getpid()} serves {facts['version']}", flush=True)
    server.serve_forever(poll_interval=0.01)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[sys.argv.index("--port") + 1]))
