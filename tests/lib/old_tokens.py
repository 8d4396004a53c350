"""CAS tokens that servers told before something happened to them: none of them may succeed behind it."""
from lib import binary
from lib.resp import RespError

KEYS = [b"token%d" % i for i in range(20)]
VALUE = b"as it was"


class OldTokens:
    """Of items that nobody else writes."""

    def __init__(self, server):
        with server.connect() as client:
            for i, key in enumerate(KEYS):
                client.set(key, VALUE, flags=i)
        self.tokens = {key: [] for key in KEYS}

    def collect(self, server):
        """Those that the server tells now."""
        with server.connect() as client:
            for key in KEYS:
                self.tokens[key].append(client.token(key))

    def check(self, server):
        """No protocol takes them, and the items are what they were."""
        with server.connect() as text, server.connect() as packets, server.resp_connection() as resp:
            for i, key in enumerate(KEYS):
                for token in self.tokens[key]:
                    assert text.cas(key, b"wrong", token) == b"EXISTS", (key, token)
                    assert text.ask(b"ms %s 5 C%d\r\nwrong" % (key, token)) == b"EX", (key, token)
                    assert text.ask(b"md %s C%d" % (key, token)) == b"EX", (key, token)
                    answer = binary.ask(packets, binary.store(binary.SET, key, b"wrong", cas=token))[0]
                    assert answer.status == 2, (key, token, answer)
                    assert is_refused(resp, key, token), (key, token)
                assert text.get(key) == (VALUE, i)

    def check_distinct(self):
        assert all(len(set(tokens)) == len(tokens) for tokens in self.tokens.values())


def is_refused(resp, key, token):
    try:
        return resp.call("DIGLOT.SET", key, "wrong", "CAS", token) != b"OK"
    except RespError:
        return False
