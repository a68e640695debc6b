package wire

const (
	udpHeader     = 4
	payloadMarker = 1
)

// OptionSize returns the number of bytes that an option has in a message (RFC 7252, section
// 3.1), from the difference between its number and the one before, and the length of its
// value.
func OptionSize(delta, length int) int {
	return 1 + extension(delta) + extension(length) + length
}

// extension is how many bytes a delta or a length takes besides the four bits that it has in
// the first byte of an option.
func extension(n int) int {
	switch {
	case n < 13:
		return 0
	case n < 269:
		return 1
	}
	return 2
}

// Size returns the number of bytes that the options have in a message.
func (o Options) Size() (size int) {
	last := uint16(0)
	for number, value := range o.All() {
		size += OptionSize(int(number-last), len(value))
		last = number
	}
	return size
}

// DatagramSize returns the number of bytes that a message has over UDP, from the lengths of
// its token and body, and its options.
func DatagramSize(token int, options Options, body int) int {
	size := udpHeader + token + options.Size()
	if body > 0 {
		size += payloadMarker + body
	}
	return size
}
