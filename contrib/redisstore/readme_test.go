package redisstore

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCodeInReadmeIsThatOfTheExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	compiled := map[string]bool{}
	for line := range strings.Lines(string(example)) {
		compiled[strings.TrimSpace(line)] = true
	}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 1)
	for line := range strings.Lines(blocks[0][1]) {
		assert.True(t, compiled[strings.TrimSpace(line)], line)
	}
}
