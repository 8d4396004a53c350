"""A proxy between a client library and a server that keeps what both said, to see which protocol a library really speaks, and
which bytes differ where its results do."""
import socket
import threading

from lib.waiting import PATIENCE

SHOWN = 400  # bytes of one piece in a transcript


class Conversation:
    """One connection: the pieces in the order that they passed, and everything that the client said."""

    def __init__(self):
        self.pieces = []
        self.requests = bytearray()

    def note(self, is_request, data):
        self.pieces.append((is_request, data[:SHOWN], len(data)))
        if is_request:
            self.requests += data

    def transcript(self):
        for is_request, shown, size in self.pieces:
            rest = f" … {size} bytes" if size > len(shown) else ""
            yield f"{'>' if is_request else '<'} {shown!r}{rest}"


class Recorder:
    """Listens on a port of its own and passes everything on to `target`, a port of this machine."""

    def __init__(self, target):
        self.target = target
        self.conversations = []
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.sockets]:
            _shut(one)

    def transcript(self):
        lines = []
        for number, conversation in enumerate(self.conversations, 1):
            lines += [f"connection {number}", *conversation.transcript(), ""]
        return "\n".join(lines)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(("127.0.0.1", self.target), PATIENCE)
            except OSError:
                client.close()
                continue
            conversation = Conversation()
            self.conversations.append(conversation)
            self.sockets += [client, server]
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, is_request in ((client, server, True), (server, client, False)):
                threading.Thread(target=_pump, args=(source, sink, conversation, is_request), daemon=True).start()


def _pump(source, sink, conversation, is_request):
    try:
        while data := source.recv(1 << 16):
            conversation.note(is_request, data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one of them is gone: so is the other
        _shut(source)
        _shut(sink)


def _shut(one):
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    one.close()
