package cshim_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	// replacedRow is a line of the table in ccoap/interpose.h, with the comment above it.
	replacedRow  = regexp.MustCompile(`(?s)(?:/\*([^/]*?)\*/\s*)?\bX\((\w+), (cshim_\w+)\)`)
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	commentMark  = regexp.MustCompile(`(?m)^\s*\* ?|\\$|^/\*|\*/$`)
)

// missing returns what the description of a fault or a feature does not say: in which versions it
// is, what shows that, and which version makes ours superfluous. "none" says that no test does.
func missing(description string, tests []string) []string {
	text := strings.Join(strings.Fields(commentMark.ReplaceAllString(description, " ")), " ")
	var problems []string
	values := map[string]string{}
	for _, label := range []string{"In", "Test", "Until"} {
		value := regexp.MustCompile(`\b` + label + `: (.*?)(?:\.$|\. (?:In|Test|Until): )`)
		m := value.FindStringSubmatch(text)
		if m == nil {
			problems = append(problems, label)
			continue
		}
		values[label] = m[1]
	}
	for _, name := range strings.Split(values["Test"], ", ") {
		if name != "" && name != "none" && !slices.Contains(tests, name) {
			problems = append(problems, name)
		}
	}
	return problems
}

// testNames returns the names of the module's tests.
func testNames(files []source) []string {
	var names []string
	for _, s := range files {
		if !strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		for _, m := range testFunction.FindAllStringSubmatch(s.text, -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// Each function that is replaced in libcoap has its line in the table, which says why.
func TestTableOfReplacedFunctions(t *testing.T) {
	files := sources(t)
	tests := testNames(files)
	var symbols []string
	for _, s := range files {
		if s.path != "internal/cshim/ccoap/interpose.h" && s.path != "internal/cshim/ccoap/compat.h" {
			continue
		}
		text := strings.ReplaceAll(s.text, "\\\n", "\n")
		for _, row := range replacedRow.FindAllStringSubmatch(text, -1) {
			symbols = append(symbols, row[2])
			assert.Empty(t, missing(row[1], tests), row[2])
			assert.Regexp(t, `(?i)\b(feature|speed|faults?)\b`, row[1], row[2])
		}
	}
	for _, known := range []string{"recv", "gnutls_init", "coap_pdu_parse", "gnutls_bye"} {
		assert.Contains(t, symbols, known)
	}
}

// A file that mends something begins with the fault.
func TestMendingFilesBeginWithTheFault(t *testing.T) {
	files := sources(t)
	tests := testNames(files)
	has := func(name string) bool {
		return slices.ContainsFunc(files, func(s source) bool { return s.path == name })
	}
	n := 0
	for _, s := range files {
		if !s.isC() || !s.below("internal/cshim") || !strings.HasPrefix(path.Base(s.path), "fix_") ||
			strings.HasSuffix(s.path, ".c") && has(strings.TrimSuffix(s.path, ".c")+".h") {
			continue
		}
		n++
		text := strings.TrimPrefix(s.text, "//go:build libcoap2\n\n")
		comment, _, found := strings.Cut(text, "*/")
		require.True(t, found && strings.HasPrefix(comment, "/* Mends"), s.path)
		assert.Empty(t, missing(comment, tests), s.path)
	}
	assert.Greater(t, n, 10)
}

func TestWhatADescriptionDoesNotSay(t *testing.T) {
	tests := []string{"TestA", "TestB"}
	for description, want := range map[string][]string{
		"/* Mends: x.\n *\n * In: 4.2.1. Until: 4.3.1; the rest: none\n * yet. Test: TestA, TestB. */": nil,
		"\t/* Does y. Fault. In: all versions. Test:  \\\n\t * TestB. Until: none yet. */":             nil,
		"/* Does y. In: all versions. Test: none. Until: none yet. */":                                 nil,
		"/* Does y. In: all versions. Until: none yet. */":                                             {"Test"},
		"/* Does y. In: all versions. Test: TestC. Until: none yet. */":                                {"TestC"},
		"/* Does y, in 4.2.1. */": {"In", "Test", "Until"},
		"":                        {"In", "Test", "Until"},
	} {
		assert.Equal(t, want, missing(description, tests), description)
	}
	assert.Equal(t, "", replacedRow.FindStringSubmatch("/* of another */ Y(a) X(recv, cshim_recv)")[1])
}
