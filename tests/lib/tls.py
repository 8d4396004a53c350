"""Certificates, and TLS connections to the memcached door."""
import datetime
import ipaddress
import os
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lib.kernel import input_size
from lib.servers import Engine, Memcached, free_port
from lib.wire import Connection

DAY = datetime.timedelta(days=1)
LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Authority:
    """Signs certificates; each is a pair of files in its directory, and so is its own."""

    def __init__(self, directory, name="authority"):
        self.directory = directory
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file, _ = self._write(name, self._sign(self.name, self.key.public_key(), True, DAY), self.key)

    def _sign(self, name, key, is_authority, lifetime):
        now = datetime.datetime.utcnow()
        begin, end = min(now, now + lifetime) - 2 * DAY, now + lifetime
        builder = x509.CertificateBuilder(self.name, name, key, x509.random_serial_number(), begin, end)
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(LOOPBACK)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, file_name, certificate, key, password=None):
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        contents = {"crt": certificate.public_bytes(serialization.Encoding.PEM),
                    "key": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)}
        for ending, content in contents.items():
            with open(os.path.join(self.directory, f"{file_name}.{ending}"), "wb") as file:
                file.write(content)
        return tuple(os.path.join(self.directory, f"{file_name}.{ending}") for ending in contents)

    def issue(self, file_name, lifetime=DAY, password=None):
        """A new certificate: the paths of its file and of its key's."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file_name)])
        return self._write(file_name, self._sign(name, key.public_key(), False, lifetime), key, password)

    def context(self, client=None, version=None):
        """What a client needs that trusts this authority and shows `client`, a pair of paths."""
        context = ssl.create_default_context(cafile=self.file)
        if client:
            context.load_cert_chain(*client)
        if version:
            context.minimum_version = context.maximum_version = version
        return context


def serial_of(connection):
    """The serial number of the certificate that the server has shown."""
    return x509.load_der_x509_certificate(connection.socket.peer_certificate()).serial_number


class TlsSocket:
    """TLS over a connected socket, with the methods of a socket. One thread may send while another receives."""

    def __init__(self, raw, context):
        self.raw = raw
        self.is_ended = False  # the server has said, within TLS, that nothing more comes
        self.lock = threading.Lock()  # of the TLS state
        self.send_lock = threading.Lock()  # of the order of what is sent
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def __getattr__(self, name):
        return getattr(self.raw, name)

    def _flush(self):
        with self.send_lock:
            with self.lock:
                data = self.outgoing.read()
            self.raw.sendall(data)

    def _feed(self):
        data = self.raw.recv(1 << 18)
        with self.lock:
            self.incoming.write(data) if data else self.incoming.write_eof()

    def handshake(self):
        while True:
            try:
                with self.lock:
                    self.tls.do_handshake()
                return self._flush()
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                self._flush()  # tells the server why
                raise

    def encrypt(self, data):
        """The bytes that carry `data`; whoever takes them sends them."""
        with self.lock:
            for begin in range(0, len(data), 1 << 16):
                self.tls.write(data[begin:begin + (1 << 16)])
            return self.outgoing.read()

    def sendall(self, data):
        for begin in range(0, len(data), 1 << 16):
            with self.send_lock:
                self.raw.sendall(self.encrypt(data[begin:begin + (1 << 16)]))

    def recv(self, size):
        while True:
            try:
                with self.lock:
                    data = self.tls.read(size)
                    self.is_ended = not data
                    return data
            except ssl.SSLWantReadError:
                self._feed()
            except ssl.SSLEOFError:
                return b""

    def pending(self):
        """Whether there is anything to receive without waiting."""
        while input_size(self.raw) > 0:
            self._feed()
        with self.lock:
            try:
                self.tls.read(0)
            except ssl.SSLError:
                pass
            return self.tls.pending() > 0

    def peer_certificate(self):
        return self.tls.getpeercert(True)


class TlsConnection(Connection):
    """A client connection with TLS."""

    def __init__(self, port, context, handshake=True, **options):
        super().__init__(port, **options)
        self.socket = TlsSocket(self.socket, context)
        if handshake:
            try:
                self.socket.handshake()
            except BaseException:
                self.socket.close()
                raise

    def has_input(self):
        return bool(self.pending) or self.socket.pending()


class TlsEngine(Engine):
    """An engine whose memcached clients come with TLS; in the clear it is open at memcached_port, too."""

    def __init__(self, authority, certificate=None, **options):
        self.authority = authority
        self.tls_port = free_port()
        cert_file, key_file = certificate or authority.issue(f"server-{self.tls_port}")
        self.context = authority.context()
        super().__init__(**{"tls_port": self.tls_port, "tls_cert_file": cert_file, "tls_key_file": key_file,
                            "tls_auth_clients": "no", **options})

    def connect(self, context=None, **options):
        return TlsConnection(self.tls_port, context or self.context, **options)

    def connect_in_clear(self, **options):
        return Connection(self.memcached_port, **options)

    def answers(self):
        """At the clear door: there no client certificates are needed."""
        try:
            with self.connect_in_clear() as connection:
                return connection.ask(b"version").startswith(b"VERSION ")
        except OSError:
            return False


class TlsMemcached(Memcached):
    """A memcached whose clients come with TLS alone; `program` has the options for that."""

    def __init__(self, authority, program, **options):
        self.context = authority.context()
        super().__init__(program, **options)

    def connect(self, **options):
        return TlsConnection(self.memcached_port, self.context, **options)
