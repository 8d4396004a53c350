"""FastLZ, as far as PHP's values do not show it (test_compatibility.py)."""
import pytest

from diglot.fastlz import decompress


def test_literals_and_copies():
    assert decompress(b"\x02abc") == b"abc"
    assert decompress(b"\x02abc" + b"\x20\x02") == b"abcabc"
    assert decompress(b"\x00a" + b"\xe0\x01\x00") == b"a" * 11  # a copy into itself, with a length that goes on
    assert decompress(b"\x20a" + b"\xe0\xff\x02\x00") == b"a" * (1 + 6 + 255 + 2 + 3)  # the second format


@pytest.mark.parametrize("data", [b"", b"\x02ab", b"\x00a\x20", b"\x00a\x20\x05", b"\x00a\xe0", b"\x20a\x3f\xff\x00"])
def test_damage(data):
    with pytest.raises(ValueError):
        decompress(data)
