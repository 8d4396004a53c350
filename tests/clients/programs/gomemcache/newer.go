//go:build newer

package main

import "github.com/bradfitz/gomemcache/memcache"

func newer(client *memcache.Client) {
	client.Set(item("k", "value", 7))
	expect("append", client.Append(item("k", "-end", 0)), nil)
	expect("prepend", client.Prepend(item("k", "start-", 0)), nil)
	expect("get joined", got(client, "k"), "start-value-end flags 7")
	expect("append absent", client.Append(item("absent", "x", 0)), memcache.ErrNotStored)
	expect("prepend absent", client.Prepend(item("absent", "x", 0)), memcache.ErrNotStored)
	expect("ping", client.Ping(), nil)
	expect("close", client.Close(), nil)
	expect("get behind close", got(client, "k"), "start-value-end flags 7")
}
