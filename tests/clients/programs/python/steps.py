"""What the programs share: a line per step, `name = value`, with ` !! not EXPECTED` behind what is not as it must be."""
import hashlib
import sys
import time

ABSENT = object()


class Steps:
    def __init__(self):
        self.count = self.faults = 0

    def expect(self, name, actual, expected):
        self.count += 1
        wrong = actual != expected or type(actual) is not type(expected)
        self.faults += wrong
        print(f"{name} = {text(actual)}" + (f" !! not {text(expected)}" if wrong else ""))

    def finish(self):
        print(f"{self.count} steps, {self.faults} faults")
        sys.exit(1 if self.faults else 0)


def text(value):
    shown = repr(sorted(value.items(), key=repr)) if isinstance(value, dict) else repr(value)
    return shown if len(shown) <= 200 else f"{len(shown)} characters {hashlib.md5(shown.encode()).hexdigest()}"


def raised(function, *arguments, **options):
    """The name of what a call raises, or "nothing"."""
    try:
        function(*arguments, **options)
    except Exception as error:  # whatever the library has for it
        return type(error).__name__
    return "nothing"


def wait_gone(find):
    """Waits until find() gives nothing any more."""
    deadline = time.monotonic() + 20
    while find() and time.monotonic() < deadline:
        time.sleep(0.02)


OBJECTS = {"text": "text", "unicode": "gr\u00fc\u00dfe \u2603", "bytes": b"\0\xff\r\nEND\r\n", "int": 42, "negative": -7, "large": 10**30, "float": 1.5,
           "true": True, "false": False, "list": [1, "two", b"three"], "dict": {"a": [1, {"b": None}]}, "tuple": (1, 2), "set": {1, 2},
           "empty": "", "long": "abc" * 100000}
