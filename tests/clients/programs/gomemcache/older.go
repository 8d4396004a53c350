//go:build !newer

package main

import (
	"fmt"

	"github.com/bradfitz/gomemcache/memcache"
)

func newer(client *memcache.Client) {
	fmt.Println("append, prepend, ping, close: not in this gomemcache")
}
