package wire

// EncodeUint returns a number as the value of an option: in the fewest bytes, none for 0 (RFC
// 7252, section 3.2).
func EncodeUint(n uint64) []byte {
	size := 0
	for m := n; m > 0; m >>= 8 {
		size++
	}
	b := make([]byte, size)
	for i := range b {
		b[size-1-i] = byte(n >> (8 * i))
	}
	return b
}

// ParseUint returns the number that a value stands for, which may begin with zeros. It keeps
// the last 8 bytes of a longer one.
func ParseUint(value []byte) (n uint64) {
	for _, b := range value {
		n = n<<8 | uint64(b)
	}
	return n
}
