"""A server on the loopback interface that serves files as the servers of published weights do, well or badly."""
import hashlib
import http.server
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional

CHUNK = 1 << 14


class Server(http.server.ThreadingHTTPServer):
    """Serves bytes by the names of files; ``/moved/NAME`` leads to ``/NAME``.

    Attributes:
        files: Content by name.
        requests: The name and the header ``Range`` of each request, in their order.
        cut: Numbers of bytes after which the next answers break off.
        ranges: Whether it serves parts of files.
        sized: Whether it says how long its answers are.
        delay: Seconds between chunks.
        busy: Number of requests for the rest of a file that are answered with 503.
    """
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.files: Dict[str, bytes] = {}
        self.requests: List[tuple] = []
        self.cut: List[int] = []
        self.ranges, self.sized, self.delay, self.busy = True, True, 0., 0

    def url(self, name: str) -> str:
        return f'http://127.0.0.1:{self.server_port}/{name}'

    def add(self, content: bytes, name: str = 'model', date: str = '_20201123') -> str:
        """Serve a file under a name that carries its hash, as mmpose's do, and return the name."""
        name = f'{name}-{hashlib.sha256(content).hexdigest()[:8]}{date}.pth'
        self.files[name] = content
        return name


class Handler(http.server.BaseHTTPRequestHandler):

    def do_GET(self) -> None:
        server, name = self.server, self.path.lstrip('/').split('?')[0]
        asked: Optional[str] = self.headers.get('Range')
        server.requests.append((name, asked))
        if name.startswith('moved/'):
            self.send_response(302)
            self.send_header('Location', server.url(name[len('moved/'):]))
            self.end_headers()
            return
        content = server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        if asked and server.busy:
            server.busy -= 1
            self.send_error(503)
            return
        start = int(asked[len('bytes='):-1]) if asked and server.ranges else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if server.sized:
            self.send_header('Content-Length', str(len(content) - start))
        self.end_headers()
        end = min(len(content), start + server.cut.pop(0)) if server.cut else len(content)
        for offset in range(start, end, CHUNK):
            self.wfile.write(content[offset:min(offset + CHUNK, end)])
            time.sleep(server.delay)

    def log_message(self, *args) -> None:
        pass


@contextmanager
def running_server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01, ), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def use_empty_homes(folder: Path, monkeypatch) -> Path:
    """Let torch.hub keep downloads in an empty folder, which is returned, and connect to the server directly."""
    monkeypatch.setenv('TORCH_HOME', str(folder / 'torch'))
    monkeypatch.delenv('TORCH_HUB', raising=False)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    return folder / 'torch/hub/checkpoints'
