"""Waiting for a condition with a deadline; the tests never sleep for a fixed time and hope."""
import time

PATIENCE = 20.0  # seconds; only a test that fails waits this long


def wait_until(condition, what, patience=PATIENCE):
    """Polls until condition() is true and returns its value; fails with `what` when the deadline passes."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain: {what}")
        time.sleep(0.005)
