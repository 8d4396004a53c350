"""Primaries, replicas and sentinels."""
import os

import redis

from lib.servers import ENGINE, Server, free_port
from lib.waiting import PATIENCE, wait_until

SLOW = 150  # seconds; a sentinel that finds itself too slow stands still for 30


def replica_of(primary):
    """Options of a server that follows another one from its start."""
    return {"replicaof": ["127.0.0.1", str(primary.port)]}


def facts_of(server):
    """INFO replication. A sentinel that makes a server a replica closes its clients' connections, ours as well."""
    for _ in range(3):
        try:
            return server.resp().info("replication")
        except redis.ConnectionError as error:
            closed = error
    raise closed


def is_replica(server):
    return facts_of(server)["role"] == "slave"


def is_following(replica, primary):
    """As both sides see it: FAILOVER asks the primary."""
    facts = facts_of(replica)
    if facts["role"] != "slave" or facts["master_port"] != primary.port or facts["master_link_status"] != "up":
        return False
    return any(fact["state"] == "online" and fact["port"] == replica.port
               for name, fact in facts_of(primary).items() if name.startswith("slave") and isinstance(fact, dict))


def wait_following(replica, primary, patience=PATIENCE):
    wait_until(lambda: is_following(replica, primary), f"{replica} to follow {primary}", patience)


def follow(replica, primary):
    replica.resp().execute_command("REPLICAOF", "127.0.0.1", primary.port)
    wait_following(replica, primary)


def promote(replica):
    """Without asking its primary."""
    replica.resp().execute_command("REPLICAOF", "NO", "ONE")


def hand_over(primary, replica):
    """FAILOVER: the primary holds writes back until the replica has everything, and then becomes its replica."""
    primary.resp().execute_command("FAILOVER", "TO", "127.0.0.1", replica.port)
    wait_following(primary, replica)


def syncs(primary):
    """(full, partial) synchronizations that a primary has given."""
    facts = primary.resp().info("stats")
    return facts["sync_full"], facts["sync_partial_ok"]


class Sentinel(Server):
    NAME = "cache"

    def __init__(self, primary):
        super().__init__("sentinel")
        self.port = free_port()
        path = os.path.join(self.directory, "sentinel.conf")
        with open(path, "w") as file:
            file.write(f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\n"
                       f"sentinel monitor {self.NAME} 127.0.0.1 {primary.port} 2\n"
                       f"sentinel down-after-milliseconds {self.NAME} 500\n"
                       f"sentinel failover-timeout {self.NAME} 3000\n")
        self.launch([*ENGINE, path, "--sentinel"])
        self.wait_ready(self.is_ready)

    def __str__(self):
        return f"sentinel on {self.port}"

    def resp(self):
        return redis.Redis(port=self.port, socket_timeout=PATIENCE, decode_responses=True)

    def is_ready(self):
        try:
            return self.resp().ping()
        except redis.RedisError:
            return False

    def facts(self):
        """What it knows of the group's primary."""
        words = self.resp().execute_command("SENTINEL", "MASTER", self.NAME)
        return words if isinstance(words, dict) else dict(zip(words[::2], words[1::2]))

    def primary_port(self):
        """As clients ask."""
        return int(self.resp().execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)[1])

    def is_watching(self, sentinels, replicas):
        """It knows all the others, and every replica."""
        facts = self.facts()
        return int(facts["num-other-sentinels"]) == sentinels - 1 and int(facts["num-slaves"]) == replicas


def start_sentinels(start_as, primary, replicas, count=3):
    sentinels = [start_as(Sentinel, primary) for _ in range(count)]
    wait_until(lambda: all(sentinel.is_watching(count, replicas) for sentinel in sentinels), "the sentinels to meet", SLOW)
    return sentinels


def wait_promoted(sentinels, server):
    """Until all sentinels send clients there, and it takes writes."""
    wait_until(lambda: {sentinel.primary_port() for sentinel in sentinels} == {server.port}
               and not is_replica(server), f"the sentinels to promote {server}", SLOW)


def door_of(sentinel):
    """The memcached port of the group's primary, as clients that know sentinels alone find it."""
    with redis.Redis(port=sentinel.primary_port(), decode_responses=True) as primary:
        return int(primary.config_get("diglot.port")["diglot.port"])
