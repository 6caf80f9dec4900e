"""A server that answers everybody the same, and counts who asked."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answering:
    host: str
    asked: int = 0

    @property
    def url(self):
        return f"http://{self.host}/"


@contextmanager
def answering(status=200, body=b"{}", *, forever=False, **headers):
    """Yield the server. *forever*: the body comes again and again, until nobody listens or the server ends."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found.asked += 1
            self.send_response(status)
            for name, value in {**headers, **({} if forever else {"Content-Length": str(len(body))})}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
                while forever and not ended.wait(0.05):
                    self.wfile.write(body)
            except OSError:
                pass

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Answering(host=f"127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
