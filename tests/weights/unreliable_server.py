"""A local HTTP server that does what a test tells it: breaks off, lies, redirects, dawdles."""
import contextlib
import http.server
import re
import threading


class Server:
    """Serves `content`, with `behave(request, number)` in place of the truth where it returns
    True; `seen` are the headers of all requests."""

    def __init__(self, content=b'', etag='"one"', behave=None, ranges=True):
        self.content, self.etag, self.behave, self.ranges = content, etag, behave, ranges
        self.seen = []
        self.enough = threading.Event()     # ends what would take forever


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(OSError):      # the client has seen enough
            super().handle()

    def do_GET(self):
        self.close_connection = True
        told = self.server.told
        told.seen.append({'path': self.path, **self.headers})
        if told.behave is None or not told.behave(self, len(told.seen)):
            self.serve(told.content)

    def serve(self, content, stop=None):
        """Answer as it should be, up to `stop` bytes of the body."""
        told, start = self.server.told, 0
        match = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        if match and told.ranges and self.headers.get('If-Range') in (None, told.etag):
            start = int(match[1])
            if start >= len(content):
                return self.say(416, {'Content-Range': f'bytes */{len(content)}'})
        body, headers = content[start:], {}
        if told.etag:
            headers['ETag'] = told.etag
        if start:
            headers['Content-Range'] = f'bytes {start}-{len(content) - 1}/{len(content)}'
        headers['Content-Length'] = len(body)
        return self.say(206 if start else 200, headers, body[:stop])

    def say(self, status, headers=(), body=b''):
        headers = dict(headers)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
        return True


@contextlib.contextmanager
def serving(*arguments, **settings):
    """Yield (Server, its address)."""
    told = Server(*arguments, **settings)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        server.daemon_threads, server.told = True, told
        thread = threading.Thread(target=server.serve_forever, args=(.01,), daemon=True)
        thread.start()
        try:
            yield told, f'http://127.0.0.1:{server.server_port}/net.caffemodel'
        finally:
            told.enough.set()
            server.shutdown()
            thread.join()
