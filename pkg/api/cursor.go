package api

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

var errCursor = errors.New("the next of the former page, as it is")

// WriteCursor encodes the position after which the next page begins as a cursor; empty stays empty. Cursors need no
// escaping in a query. A checksum detects truncated ones.
func WriteCursor(position string) string {
	if position == "" {
		return ""
	}
	sum := crc32.ChecksumIEEE([]byte(position))
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, sum), position...))
}

// ReadCursor decodes the position in a query's next. valid reports whether it is a position of this route.
func ReadCursor(next string, valid func(position string) bool) (position string, err error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(next)
	if err != nil || len(text) <= crc32.Size {
		return "", errCursor
	}
	position = string(text[crc32.Size:])
	if WriteCursor(position) != next || !valid(position) {
		return "", errCursor
	}
	return position, nil
}
