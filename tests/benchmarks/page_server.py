"""A server of one catalogue in pages of 500, as Backstage answers them: every page lies ready as bytes.

usage: python -m tests.benchmarks.page_server ENTITIES; prints its port.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

SIZE = 500


def entity(number: int) -> dict[str, object]:
    """Return an entity of some 1.2 kB."""
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {
            "name": f"svc-{number:06}",
            "namespace": "default",
            "description": f"Takes payments, part {number}. " + "It says what it does at some length. " * 12,
            "annotations": {f"acme.com/annotation-{each}": f"value {number} of {each}" for each in range(8)},
            "tags": ["java", "payments", "tier1"],
        },
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay", "system": "payments"},
        "relations": [{"type": "ownedBy", "targetRef": "group:default/team-pay"}],
    }


def pages(count: int) -> list[bytes]:
    made = []
    for start in range(0, count, SIZE):
        following = {"nextCursor": str(start + SIZE)} if start + SIZE < count else {}
        items = [entity(number) for number in range(start, min(start + SIZE, count))]
        made.append(json.dumps({"items": items, "totalItems": count, "pageInfo": following}).encode())
    return made


def main() -> None:
    ready = pages(int(sys.argv[1]))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            cursor = parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0]
            body = ready[int(cursor) // SIZE]
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
