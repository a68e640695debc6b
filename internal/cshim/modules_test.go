package cshim_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The commands' dependencies stand in the same go.mod: no program that imports the libraries alone
// compiles them.
func TestLibrariesCompileOneOtherModule(t *testing.T) {
	list := goTool(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./gnutls",
		"./coap/...")
	modules := strings.Fields(list)
	slices.Sort(modules)
	assert.Equal(t, []string{module, "github.com/mattn/go-pointer"}, slices.Compact(modules))
}
