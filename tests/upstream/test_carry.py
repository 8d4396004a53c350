"""What an importer brings is stored by the rule of reading through, and counts as no change."""
from lib import servers


def test_never_over_what_was_changed_here(old_server, bridge):
    old = old_server()
    new = bridge(old, upstream_mirror="yes")

    def carry(client, key):
        return client.ask(b"ms %s 3 F7 T100 ME Pcarry\r\nold" % key.encode())
    with new.connect() as client:
        client.set("here", b"new")
        client.ask(b"delete deleted")
        client.set("expired", b"new", exptime=-1)
        assert carry(client, "missing") == b"HD"
        for key in ("here", "deleted", "expired", "missing"):
            assert carry(client, key) == b"NS"
        new.wait_mirrored()
        assert client.fetch("get here deleted expired missing") == {b"here": (b"new", 0, None), b"missing": (b"old", 7, None)}
        assert 95 <= new.resp().ttl("missing") <= 100
        assert client.ask(b"ms YSBi 3 b ME q Pcarry\r\nold\r\nmn") == b"MN"
        assert new.resp().get("a b") == b"old"
        new.configure(upstream_share=0)
        assert carry(client, "lives_there") == b"NS"
        state = new.state()
        assert (state["upstream_carried"], state["upstream_carried_not"]) == ("2", "5")
    assert b"missing" not in old.items and not any(b"missing" in line for line in old.asked if line.startswith(b"ms"))
    assert b"mg missing v f t" not in old.asked


def test_without_a_bridge_it_is_an_add(start_engine, newest_oracle):
    for server in (start_engine(), newest_oracle):
        with server.connect() as client:
            client.ask(b"delete carried")
            assert client.ask(b"ms carried 3 F7 ME Pcarry\r\nold") == b"HD"
            assert client.ask(b"ms carried 3 F7 ME Pcarry\r\nold") == b"NS"


def test_what_is_no_item_is_not_counted(old_server, bridge):
    new = bridge(old_server())
    with new.connect() as client:
        for i in range(50):
            client.set(f"k:{i}", b"v", flags=1)
        assert int(client.stats()["curr_items"]) == 50
    assert servers.is_diglot(new)
