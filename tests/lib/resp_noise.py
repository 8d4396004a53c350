"""A RESP client that does what a server's other users do: it renames, copies, moves, counts and overwrites items, those with
flags as well, in scripts and transactions too. What comes of it is for digests to compare."""
import random
import threading

from lib.resp import HungUp, RespError

KEYS = [f"noise:{i}" for i in range(30)] + [f"{{noise}}:{i}" for i in range(30)]


class RespNoise(threading.Thread):
    """As a context it works until the block ends. What its server answers with an error is all the same to it."""

    def __init__(self, server, seed):
        super().__init__(daemon=True)
        self.server = server
        self.random = random.Random(seed)
        self.sent = 0
        self.is_told_to_end = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_told_to_end = True
        self.join(30)

    def run(self):
        try:
            with self.server.resp_connection() as connection:
                while not self.is_told_to_end:
                    self.turn(connection)
        except (OSError, HungUp):
            pass  # the server is gone

    def turn(self, connection):
        """Some commands, at times as one."""
        commands = [self.command() for _ in range(self.random.randrange(1, 5))]
        if self.random.random() < 0.3:
            commands = [["MULTI"], *commands, ["EXEC"]]
        for words in commands:
            self.sent += 1
            try:
                connection.call(*words)
            except RespError:
                pass

    def command(self):
        key, other = self.random.choices(KEYS, k=2)
        number = self.random.randrange(1000)
        return self.random.choice([
            ["SET", key, "v" * self.random.randrange(200)], ["SET", key, number, "PX", 1 + self.random.randrange(2000)],
            ["DIGLOT.SET", key, "flagged", "FLAGS", number], ["DIGLOT.SET", key, number, "FLAGS", number, "EX", 1000],
            ["APPEND", key, "more"], ["INCR", key], ["SETRANGE", key, 3, "in"], ["DEL", key], ["UNLINK", key], ["GETDEL", key],
            ["RENAME", key, other], ["RENAME", key, other], ["COPY", key, other, "REPLACE"], ["COPY", key, other, "REPLACE"],
            ["EXPIRE", key, 1000], ["PEXPIRE", key, 1 + number], ["PERSIST", key], ["GETEX", key, "EX", 100],
            ["LPUSH", key, "a"], ["MSET", key, 1, other, 2], ["MOVE", key, 2], ["SWAPDB", 2, 3],
            ["EVAL", "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('RENAME', KEYS[1], KEYS[2])", 2, key, other, number]])
