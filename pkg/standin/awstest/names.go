package awstest

import (
	"encoding/base64"
	"slices"
	"strings"
)

// names are sorted, so that a page's cost depends on the page and not on the account.
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

// from returns the names from first on.
func (n names) from(first string) names {
	i, _ := slices.BinarySearch(n, first)
	return n[i:]
}

// A page token holds the name from which the next page starts.

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
