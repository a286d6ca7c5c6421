"""Servers that send back what they get, to be measured: echo.py threading|forking|gevent. Tells its address, and serves."""
import socket
import sys

ADDRESS = ('127.0.0.1', 0)
# As the other servers have it, and as much as they read at once.
BACKLOG, BUFFER = 1024, 1024


def echo(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(BUFFER):
        connection.sendall(data)


def tell(address):
    print('%s:%d' % address[:2], flush=True)


def by_socketserver(mixin):
    import socketserver

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            try:
                echo(self.request)
            except ConnectionError:
                pass

    class Server(mixin(socketserver), socketserver.TCPServer):
        request_queue_size = BACKLOG
        daemon_threads = True
        block_on_close = False
        # Its 40 would be too few for the connections that there will be.
        max_children = 100_000

    with Server(ADDRESS, Handler) as server:
        tell(server.server_address)
        server.serve_forever()


def threading():
    by_socketserver(lambda module: module.ThreadingMixIn)


def forking():
    by_socketserver(lambda module: module.ForkingMixIn)


def gevent():
    from gevent.server import StreamServer

    def handle(connection, _address):
        try:
            echo(connection)
        except ConnectionError:
            pass

    server = StreamServer(ADDRESS, handle, backlog=BACKLOG)
    server.start()
    tell(server.address)
    server.serve_forever()


if __name__ == '__main__':
    globals()[sys.argv[1]]()
