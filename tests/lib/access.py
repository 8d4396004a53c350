"""Users, logins and denials, for the tests of who may do what."""
import redis

PASSWORD = "secret"


def start_guarded(start_engine, **options):
    """A server whose default user needs a password, with one user, "app", who may do everything."""
    engine = start_engine(start=False, **options)
    engine.config["requirepass"] = "master"
    engine.is_ready = lambda: answers_nobody(engine)
    engine.resp = lambda db=0: redis.Redis(port=engine.port, db=db, password="master", socket_timeout=20)
    engine.start()
    engine.resp().execute_command("ACL", "SETUSER", "app", "on", f">{PASSWORD}", "+@all", "~*")
    return engine


def answers_nobody(engine):
    """Whether the server is up and its door asks for a login."""
    try:
        if not engine.resp().ping():
            return False
        with engine.connect() as connection:
            return connection.ask(b"version") == b"CLIENT_ERROR unauthenticated"
    except (OSError, redis.RedisError):
        return False


def token(user, password=PASSWORD):
    text = f"{user} {password}".encode()
    return b"set login 0 0 %d\r\n%s\r\n" % (len(text), text)


def offer(connection, user, password=PASSWORD):
    connection.send(token(user, password))
    return connection.read_line()


def login(engine, user, password=PASSWORD):
    connection = engine.connect()
    assert offer(connection, user, password) == b"STORED"
    return connection


def setuser(engine, *words):
    assert engine.resp().execute_command("ACL", "SETUSER", *words) == b"OK"


def acl_log(engine):
    """The entries as dictionaries of texts, the newest first."""
    entries = engine.resp().execute_command("ACL", "LOG")
    return [{_text(key): _text(value) for key, value in (entry.items() if isinstance(entry, dict)
                                                         else zip(entry[::2], entry[1::2]))} for entry in entries]


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


NO_COMMAND = b"CLIENT_ERROR NOPERM this user has no permissions to run the '%s' command"
NO_KEY = b"CLIENT_ERROR NOPERM this user has no permissions to access one of the keys used as arguments"
NOBODY = b"CLIENT_ERROR unauthenticated"
WRONG = b"CLIENT_ERROR authentication failure"
