"""Programs of real client libraries that are run against memcached and against the subject: both must make the same of
them."""


class Log(list):
    """What a program saw, in order, each with the line that asked for it."""

    def note(self, what, result):
        self.append((what, result))
        return result

    def call(self, what, function, *arguments, **options):
        """Notes what a call returned or raised."""
        try:
            return self.note(what, function(*arguments, **options))
        except Exception as error:  # what the library makes of the server's answer
            return self.note(what, (type(error).__name__, str(error)))


def compare(program, oracle, server):
    """Runs the program on both; returns the subject's log when they are the same."""
    logs = []
    for one in (oracle, server):
        one.empty()
        log = Log()
        program(one, log)
        logs.append(log)
    expected, actual = logs
    for left, right in zip(expected, actual):
        assert right == left, f"{left[0]}:\n memcached {left[1]!r:.500}\n subject   {right[1]!r:.500}"
    assert len(expected) == len(actual)
    return actual
