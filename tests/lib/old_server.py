"""An old memcached in the tests' own hands: it answers when it is told to, says what it was asked, and may misbehave."""
import socket
import threading

from lib.servers import free_port
from lib.waiting import wait_until


class OldServer:
    """Speaks as much of memcached as the module asks. `items`: key -> (value, flags, seconds to live or -1)."""

    def __init__(self, has_meta=True, port=None):
        self.items = {}
        self.has_meta = has_meta
        self.asked = []  # the lines of requests on keys, in the order of their coming
        self.is_silent = False
        self.answers_garbage = False
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.port = port or free_port()
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.may_answer.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop_connections()

    def drop_connections(self):
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hold(self):
        """Requests on keys are read, and answered behind release()."""
        self.may_answer.clear()

    def release(self):
        self.may_answer.set()

    def wait_asked(self, count):
        wait_until(lambda: len(self.asked) >= count, f"{count} requests at the old server")

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = connection.makefile("rb")
        try:
            for line in stream:
                if self.is_silent:
                    continue
                connection.sendall(self._answer(line.rstrip(b"\r\n"), stream))
        except (OSError, ValueError):
            pass

    def _answer(self, line, stream):
        command, *words = line.split(b" ")
        if command == b"version":
            return b"VERSION 1.6.99\r\n" if self.has_meta else b"VERSION 1.4.39\r\n"
        if command == b"mn":
            return b"MN\r\n" if self.has_meta else b"ERROR\r\n"
        self.asked.append(line)
        data = None
        if command == b"ms":
            data = stream.read(int(words[1]) + 2)[:-2]
        elif command == b"set":
            data = stream.read(int(words[3]) + 2)[:-2]
        self.may_answer.wait()
        if self.answers_garbage:
            return b"VALUE x y z\r\n"
        return getattr(self, "_" + command.decode())(words, data)

    def _mg(self, words, _):
        item = self.items.get(words[0])
        return b"VA %d f%d t%d\r\n%s\r\n" % (len(item[0]), item[1], item[2], item[0]) if item else b"EN\r\n"

    def _get(self, words, _):
        item = self.items.get(words[0])
        return b"VALUE %s %d %d\r\n%s\r\nEND\r\n" % (words[0], item[1], len(item[0]), item[0]) if item else b"END\r\n"

    def _ms(self, words, data):
        flags, exptime = (int(next(word[1:] for word in words if word[:1] == letter)) for letter in (b"F", b"T"))
        self.items[words[0]] = (data, flags, exptime or -1)
        return b"HD\r\n"

    def _md(self, words, _):
        return b"HD\r\n" if self.items.pop(words[0], None) else b"NF\r\n"

    def _set(self, words, data):
        self.items[words[0]] = (data, int(words[1]), int(words[2]) or -1)
        return b"STORED\r\n"

    def _delete(self, words, _):
        return b"DELETED\r\n" if self.items.pop(words[0], None) else b"NOT_FOUND\r\n"

    def _flush_all(self, _words, _data):
        self.items.clear()
        return b"OK\r\n"
