"""Places that streams deliver to, reduced to what they answer, and streams that deliver there."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from background import InBackground
from streams import ROLE_ARN, destination


class PromptServer(ThreadingHTTPServer):
    """A server that ends as soon as it is told to."""

    def serve_forever(self, poll_interval: float = 0.01) -> None:
        super().serve_forever(poll_interval)


class Answers(InBackground):
    """Answers every request with the same status, and keeps what it was sent."""

    def __init__(self, status: int, body: bytes = b"{}"):
        self.requests: list[tuple[str, str, bytes]] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                answers.requests.append((self.command, self.path, self.rfile.read(length)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = answer

            def log_message(self, *_) -> None:
                """Says nothing."""

        super().__init__(PromptServer(("127.0.0.1", 0), Handler))


def search_destination(endpoint: str, bucket_arn: str, **members) -> dict:
    """The configuration of an OpenSearch destination."""
    given = {"RoleARN": ROLE_ARN, "ClusterEndpoint": endpoint, "IndexName": "events"}
    return given | {"S3Configuration": destination(bucket_arn)} | members


def http_destination(url: str, bucket_arn: str, access_key: str, **members) -> dict:
    """The configuration of an HTTP endpoint."""
    endpoint = {"Url": url, "Name": "stand-in", "AccessKey": access_key}
    given = {"EndpointConfiguration": endpoint, "RoleARN": ROLE_ARN}
    return given | {"S3Configuration": destination(bucket_arn)} | members


def splunk_destination(url: str, bucket_arn: str, token: str, **members) -> dict:
    """The configuration of a HEC endpoint."""
    given = {"HECEndpoint": url, "HECEndpointType": "Raw", "HECToken": token}
    return given | {"S3Configuration": destination(bucket_arn)} | members
