package awstest

import (
	"encoding/base64"
	"slices"
	"strings"
)

// names are in order, so that a page costs the page and not the whole account.
type names []string

func (n *names) add(name string) {
	if i, found := slices.BinarySearch(*n, name); !found {
		*n = slices.Insert(*n, i, name)
	}
}

func (n *names) remove(name string) {
	if i, found := slices.BinarySearch(*n, name); found {
		*n = slices.Delete(*n, i, i+1)
	}
}

// from is the names at or behind first.
func (n names) from(first string) names {
	i, _ := slices.BinarySearch(n, first)
	return n[i:]
}

// A page token holds the name that the next page starts at or behind.

func pageToken(next string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("from " + next))
}

func readPageToken(token string) (next string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), "from ")
}
