package main

import (
	"slices"
	"strings"

	"github.com/gnucoap/gnucoap/coap"
)

var linkCases = []testCase{
	{"LINK_01", "all links", func(t *tester) error {
		links, err := t.links("")
		if err != nil {
			return err
		}
		return check(len(links) > 0, "there are none")
	}},
	{"LINK_02", "links of a type",
		func(t *tester) error { return t.filtered("rt=Type1", "/link1", "/link3") }},
	{"LINK_03", "links of any type",
		func(t *tester) error { return t.filtered("rt=*", "/link1", "/link2", "/link3") }},
	{"LINK_04", "a type that is one of several",
		func(t *tester) error { return t.filtered("rt=Type2", "/link1", "/link2") }},
	{"LINK_05", "links of an interface, by its beginning",
		func(t *tester) error { return t.filtered("if=If*", "/link1", "/link2") }},
	{"LINK_06", "links with a size",
		func(t *tester) error { return t.filtered("sz=*", "/large", "/large-update") }},
	{"LINK_07", "one link, by its target",
		func(t *tester) error { return t.filtered("href=/link1", "/link1") }},
	{"LINK_08", "links, by the beginning of their targets",
		func(t *tester) error { return t.filtered("href=/link*", "/link1", "/link2", "/link3") }},
	{"LINK_09", "a list below a list", func(t *tester) error {
		links, err := t.listed("/path")
		if err != nil {
			return err
		}
		for _, link := range links {
			if err := t.read(link.Target); err != nil {
				return err
			}
		}
		return check(len(links) > 0, "the list is empty")
	}},
}

func (t *tester) links(query string) ([]coap.Link, error) {
	return t.listed("/.well-known/core" + query)
}

func (t *tester) listed(path string) ([]coap.Link, error) {
	response, err := t.expect(one(coap.CodeContent), coap.MethodGet, path)
	if err != nil {
		return nil, err
	}
	if format, _ := response.Options.ContentFormat(); format != coap.LinkFormat {
		return nil, check(false, "Content-Format is %v", format)
	}
	return coap.ParseLinks(response.Body)
}

// filtered asks for the links that a query selects. Those that are wanted must be
// there, and no others of the resources of the cases that the query does not select
// as well.
func (t *tester) filtered(query string, want ...string) error {
	all, err := t.links("")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(l coap.Link) bool { return l.Target == want[0] }) {
		return notOffered
	}
	links, err := t.links("?" + query)
	if err != nil {
		return err
	}
	expected := coap.FilterLinks(all, []string{query})
	if err := check(targets(links) == targets(expected), "%s selected %s, not %s", query,
		targets(links), targets(expected)); err != nil {
		return err
	}
	for _, target := range want {
		if err := check(slices.ContainsFunc(links, func(l coap.Link) bool { return l.Target == target }),
			"%s did not select %s", query, target); err != nil {
			return err
		}
	}
	return nil
}

// targets are the targets of links, in order.
func targets(links []coap.Link) string {
	var list []string
	for _, link := range links {
		list = append(list, link.Target)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
