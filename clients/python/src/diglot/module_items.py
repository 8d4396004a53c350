"""Items where the module is loaded: DIGLOT.GET and DIGLOT.SET know flags and tokens, and keep them true for the clients that still
speak memcached."""
import time

import redis


class ModuleItems:
    """Reads and writes items with their flags by the module's commands."""

    def get(self, name, on):
        """(value, flags, token), or None, also for a key of another type."""
        try:
            return on.execute_command("DIGLOT.GET", name)
        except redis.ResponseError as error:
            return self.item_of(error)

    @staticmethod
    def item_of(reply):
        """The same of a pipeline's reply, which may be an error."""
        if not isinstance(reply, redis.ResponseError):
            return reply
        if "WRONGTYPE" in str(reply):
            return None
        raise reply

    def set(self, name, value, flags, expires_ms, mode="set", token=b"", *, on):
        """True when it is stored, False when the mode or the token forbids it, None when a cas finds nothing."""
        words = ["DIGLOT.SET", name, value, "FLAGS", flags]
        if expires_ms:
            words += ["EX", max(1, -(-(expires_ms - int(time.time() * 1000)) // 1000))]
        words += {"add": ["NX"], "replace": ["XX"], "cas": ["CAS", token]}.get(mode, [])
        if on.execute_command(*words) is not None:
            return True
        return None if mode == "cas" and not on.exists(name) else False
