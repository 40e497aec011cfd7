package api

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

var errCursor = errors.New("the next of the former page, as it is")

// WriteCursor is the next of an answer whose following page begins after position; empty stays empty. It is made of letters
// that need no escaping in a query, and has a checksum, so that a text cut short is refused and not taken for another place.
func WriteCursor(position string) string {
	if position == "" {
		return ""
	}
	sum := crc32.ChecksumIEEE([]byte(position))
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, sum), position...))
}

// ReadCursor is the position in a query's next. valid says whether a position is one of the route's.
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
