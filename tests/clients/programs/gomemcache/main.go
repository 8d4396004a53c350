// Everything that gomemcache offers, on one server.
//
//	gomemcache HOST PORT ascii
//
// Built with the tag `newer`, also what the library has learnt since Debian 12's version of 2014 (newer.go).
// Prints a line per step, `name = value`, with ` !! not EXPECTED` behind what is not as it must be; the status is 1 then.
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

var steps, faults int

func text(value interface{}) string {
	shown := fmt.Sprintf("%v", value)
	if len(shown) > 200 {
		return fmt.Sprintf("%d bytes", len(shown))
	}
	return strings.ReplaceAll(shown, "\n", " ")
}

func expect(name string, actual, expected interface{}) {
	steps++
	fmt.Printf("%s = %s", name, text(actual))
	if fmt.Sprint(actual) != fmt.Sprint(expected) {
		faults++
		fmt.Printf(" !! not %s", text(expected))
	}
	fmt.Println()
}

// The value and flags of a key, or the error.
func got(client *memcache.Client, key string) string {
	item, err := client.Get(key)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s flags %d", item.Value, item.Flags)
}

func item(key, value string, flags uint32) *memcache.Item {
	return &memcache.Item{Key: key, Value: []byte(value), Flags: flags}
}

func storage(client *memcache.Client) {
	expect("get absent", got(client, "absent"), memcache.ErrCacheMiss)
	expect("set", client.Set(item("k", "value", 7)), nil)
	expect("get", got(client, "k"), "value flags 7")
	expect("add there", client.Add(item("k", "other", 0)), memcache.ErrNotStored)
	expect("add", client.Add(item("added", "a", 1<<32-1)), nil)
	expect("get added", got(client, "added"), "a flags 4294967295")
	expect("replace", client.Replace(item("added", "b", 1)), nil)
	expect("replace absent", client.Replace(item("absent", "x", 0)), memcache.ErrNotStored)
	expect("get replaced", got(client, "added"), "b flags 1")
	expect("set empty", client.Set(item("empty", "", 3)), nil)
	expect("get empty", got(client, "empty"), " flags 3")
	expect("delete", client.Delete("k"), nil)
	expect("delete again", client.Delete("k"), memcache.ErrCacheMiss)
	expect("get deleted", got(client, "k"), memcache.ErrCacheMiss)
	binary := "\x00\r\n\xff END\r\n"
	expect("set bytes", client.Set(item("bytes", binary, 0)), nil)
	found, err := client.Get("bytes")
	expect("get bytes", err == nil && string(found.Value) == binary, true)
}

func compareAndSwap(client *memcache.Client) {
	client.Set(item("k", "one", 7))
	first, err := client.Get("k")
	expect("get for cas", err, nil)
	second, _ := client.Get("k")
	first.Value, first.Flags = []byte("two"), 8
	second.Value = []byte("three")
	expect("cas", client.CompareAndSwap(first), nil)
	expect("cas of an old token", client.CompareAndSwap(second), memcache.ErrCASConflict)
	expect("get cas", got(client, "k"), "two flags 8")
	third, _ := client.Get("k")
	client.Delete("k")
	expect("cas of a deleted key", client.CompareAndSwap(third), memcache.ErrCacheMiss)
	many, err := client.GetMulti([]string{"added", "absent"})
	expect("get many for cas", err, nil)
	many["added"].Value = []byte("c")
	expect("cas behind get many", client.CompareAndSwap(many["added"]), nil)
	expect("get behind it", got(client, "added"), "c flags 1")
}

func counters(client *memcache.Client) {
	client.Set(item("n", "10", 5))
	number, err := client.Increment("n", 5)
	expect("increment", fmt.Sprint(number, err), "15 <nil>")
	number, err = client.Decrement("n", 3)
	expect("decrement", fmt.Sprint(number, err), "12 <nil>")
	expect("get counter", got(client, "n"), "12 flags 5")
	number, err = client.Decrement("n", 100)
	expect("decrement below 0", fmt.Sprint(number, err), "0 <nil>")
	client.Set(item("n", "10", 0))
	number, err = client.Increment("n", 1<<64-1)
	expect("wraps", fmt.Sprint(number, err), "9 <nil>")
	_, err = client.Increment("absent", 1)
	expect("increment absent", err, memcache.ErrCacheMiss)
	client.Set(item("text", "abc", 0))
	_, err = client.Increment("text", 1)
	expect("increment text", err, "memcache: client error: cannot increment or decrement non-numeric value")
	expect("text stays", got(client, "text"), "abc flags 0")
}

func many(client *memcache.Client) {
	var keys []string
	for i := 0; i < 300; i++ {
		key := fmt.Sprintf("many-%d", i)
		if err := client.Set(item(key, key, uint32(i))); err != nil {
			expect("set "+key, err, nil)
		}
		keys = append(keys, key)
	}
	found, err := client.GetMulti(append(keys, "absent"))
	expect("get many", fmt.Sprint(len(found), err), "300 <nil>")
	wrong := 0
	for i, key := range keys {
		if found[key] == nil || string(found[key].Value) != key || found[key].Flags != uint32(i) {
			wrong++
		}
	}
	expect("wrong", wrong, 0)
	found, err = client.GetMulti([]string{"absent"})
	expect("get many of nothing", fmt.Sprint(len(found), err), "0 <nil>")
}

func expiry(client *memcache.Client) {
	now := time.Now().Unix()
	client.Set(&memcache.Item{Key: "t", Value: []byte("v"), Expiration: 1000})
	client.Set(&memcache.Item{Key: "u", Value: []byte("v"), Expiration: int32(now + 1000)})
	client.Set(&memcache.Item{Key: "p", Value: []byte("v"), Expiration: -1})
	client.Set(&memcache.Item{Key: "q", Value: []byte("v"), Expiration: int32(now - 1000)})
	expect("get for long", got(client, "t"), "v flags 0")
	expect("get until", got(client, "u"), "v flags 0")
	expect("get past", got(client, "p"), memcache.ErrCacheMiss)
	expect("get past time", got(client, "q"), memcache.ErrCacheMiss)
	expect("touch", client.Touch("t", 2000), nil)
	expect("touch absent", client.Touch("absent", 10), memcache.ErrCacheMiss)
	expect("touch into the past", client.Touch("u", -1), nil)
	expect("get past touch", got(client, "u"), memcache.ErrCacheMiss)
	client.Set(&memcache.Item{Key: "s", Value: []byte("v"), Expiration: 1})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && got(client, "s") != memcache.ErrCacheMiss.Error(); {
		time.Sleep(20 * time.Millisecond)
	}
	expect("get behind a second", got(client, "s"), memcache.ErrCacheMiss)
}

func keysAndSizes(client *memcache.Client) {
	longest := strings.Repeat("k", 250)
	expect("longest key", client.Set(item(longest, "v", 9)), nil)
	expect("get longest key", got(client, longest), "v flags 9")
	expect("key too long", client.Set(item(longest+"k", "v", 0)), memcache.ErrMalformedKey)
	expect("key with a space", client.Set(item("a b", "v", 0)), memcache.ErrMalformedKey)
	for _, key := range []string{"!\"$%&/()=?{[]}\\'#+*~<>|;:,._-^", "grüße-☃"} {
		err := client.Set(item(key, "odd", 0))
		if err == nil {
			expect("get odd key", got(client, key), "odd flags 0")
		} else {
			// The version of 2014 takes ASCII alone.
			expect("odd key", err, memcache.ErrMalformedKey)
		}
	}
	for _, size := range []int{1, 65536, 1048576 - 300} {
		value := bytes.Repeat([]byte("x"), size)
		expect(fmt.Sprintf("set %d bytes", size), client.Set(&memcache.Item{Key: "size", Value: value}), nil)
		found, err := client.Get("size")
		expect(fmt.Sprintf("get %d bytes", size), err == nil && bytes.Equal(found.Value, value), true)
	}
	err := client.Set(&memcache.Item{Key: "size", Value: bytes.Repeat([]byte("x"), 1048577)})
	expect("too large", err != nil && strings.Contains(err.Error(), "SERVER_ERROR object too large for cache"), true)
	expect("too large takes the old value away", got(client, "size"), memcache.ErrCacheMiss)
}

func manyRoutines(client *memcache.Client) {
	client.Set(item("counter", "0", 0))
	var group sync.WaitGroup
	failed := make(chan string, 10000)
	for routine := 0; routine < 8; routine++ {
		group.Add(1)
		go func(routine int) {
			defer group.Done()
			for i := 0; i < 100; i++ {
				key := fmt.Sprintf("routine-%d-%d", routine, i)
				if err := client.Set(item(key, key, uint32(i))); err != nil {
					failed <- err.Error()
				}
				if value := got(client, key); value != fmt.Sprintf("%s flags %d", key, i) {
					failed <- value
				}
				if _, err := client.Increment("counter", 1); err != nil {
					failed <- err.Error()
				}
			}
		}(routine)
	}
	group.Wait()
	close(failed)
	var faults []string
	for fault := range failed {
		faults = append(faults, fault)
	}
	sort.Strings(faults)
	expect("faults of many routines", faults, []string{})
	expect("their counter", got(client, "counter"), "800 flags 0")
}

func flush(client *memcache.Client) {
	expect("delete all", client.DeleteAll(), nil)
	expect("get deleted", got(client, "added"), memcache.ErrCacheMiss)
	client.Set(item("k", "v", 0))
	expect("flush", client.FlushAll(), nil)
	expect("get flushed", got(client, "k"), memcache.ErrCacheMiss)
	expect("set behind flush", client.Set(item("k", "v", 0)), nil)
	expect("get behind flush", got(client, "k"), "v flags 0")
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: gomemcache HOST PORT ascii")
		os.Exit(2)
	}
	client := memcache.New(net.JoinHostPort(os.Args[1], os.Args[2]))
	client.Timeout = 20 * time.Second
	storage(client)
	compareAndSwap(client)
	counters(client)
	many(client)
	expiry(client)
	keysAndSizes(client)
	manyRoutines(client)
	newer(client)
	flush(client)
	fmt.Printf("%d steps, %d faults\n", steps, faults)
	if faults > 0 {
		os.Exit(1)
	}
}
