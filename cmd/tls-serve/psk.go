package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// pskKeys are pre-shared keys by identity.
type pskKeys map[string][]byte

func (k pskKeys) get(_ context.Context, identity string) ([]byte, error) { return k[identity], nil }

// loadPSK reads lines of identity:hexkey. Its errors do not reveal the keys.
func loadPSK(file string) (pskKeys, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	keys := make(pskKeys)
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		colon := strings.LastIndexByte(line, ':')
		if colon < 1 {
			return nil, fmt.Errorf("line %d is not identity:hexkey", i+1)
		}
		identity := line[:colon]
		key, err := hex.DecodeString(line[colon+1:])
		if err != nil || len(key) == 0 {
			return nil, fmt.Errorf("line %d: the key is not hexadecimal", i+1)
		}
		if keys[identity] != nil {
			return nil, fmt.Errorf("line %d: %q already has a key", i+1, identity)
		}
		keys[identity] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}
