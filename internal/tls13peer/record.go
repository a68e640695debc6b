package tls13peer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Record types that tests name.
const (
	RecordAlert           byte = 21
	RecordHandshake       byte = 22
	RecordApplicationData byte = 23
)

const (
	recordChangeCipherSpec byte  = 20
	recordAlert                  = RecordAlert
	recordHandshake              = RecordHandshake
	recordApplicationData        = RecordApplicationData
	recordHeader                 = 5
	maxPlaintext                 = 1 << 14
	alertCloseNotify       Alert = 0
)

// wait bounds a whole connection; nothing takes this long.
const wait = 30 * time.Second

// An Alert is the number of an alert that the other side sent, as an error.
type Alert uint8

func (a Alert) Error() string { return fmt.Sprintf("tls13peer: the peer sent alert %d", uint8(a)) }

// half protects one direction with one key.
type half struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64
}

func newHalf(secret []byte) *half {
	block, err := aes.NewCipher(expandLabel(secret, "key", nil, 16))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &half{aead: aead, iv: expandLabel(secret, "iv", nil, 12)}
}

func (h *half) nonce() []byte {
	nonce := slices.Clone(h.iv)
	last := nonce[len(nonce)-8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^h.seq)
	return nonce
}

func (h *half) seal(typ byte, data []byte) []byte {
	inner := append(slices.Clone(data), typ)
	header := append([]byte{recordApplicationData, 3, 3}, u16(uint16(len(inner)+h.aead.Overhead()))...)
	record := h.aead.Seal(header, h.nonce(), inner, header)
	h.seq++
	return record
}

func (h *half) open(record []byte) (typ byte, data []byte, err error) {
	inner, err := h.aead.Open(nil, h.nonce(), record[recordHeader:], record[:recordHeader])
	if err != nil {
		return 0, nil, err
	}
	h.seq++
	for len(inner) > 0 && inner[len(inner)-1] == 0 {
		inner = inner[:len(inner)-1]
	}
	if len(inner) == 0 {
		return 0, nil, errors.New("tls13peer: a record without a type")
	}
	return inner[len(inner)-1], inner[:len(inner)-1], nil
}

// Conn is what clients and servers have in common: records and messages. Close
// closes the transport and sends nothing.
type Conn struct {
	net.Conn
	in, out  *half // nil while nothing is encrypted
	skipping bool  // drops records of early data that were refused

	queued     []byte // to send before the next read
	sent       []byte
	messages   []byte // came in, not yet taken
	data       []byte // came in, not yet read
	transcript []byte
	before     int // length of transcript without the last message that came in

	// afterHandshake handles a message that comes between application data.
	afterHandshake func(raw []byte) error

	// Before, if set, is called before each handshake message of this side, with
	// its type. Where it reports false, nothing more is sent by the handshake,
	// which ends with ErrStopped.
	Before  func(typ byte) bool
	stopped bool
}

// ErrStopped is the error of a handshake that Before has ended.
var ErrStopped = errors.New("tls13peer: the script ends the handshake")

func newConn(c net.Conn) Conn {
	c.SetDeadline(time.Now().Add(wait))
	return Conn{Conn: c}
}

// Sent returns all bytes that were sent, as a test may send them again.
func (c *Conn) Sent() []byte { return slices.Clone(c.sent) }

// queue makes records that the next flush sends.
func (c *Conn) queue(typ byte, data []byte) {
	for {
		n := min(len(data), maxPlaintext)
		if c.out != nil {
			c.queued = append(c.queued, c.out.seal(typ, data[:n])...)
		} else {
			c.queued = append(c.queued, typ, 3, 3)
			c.queued = append(c.queued, vector(2, data[:n])...)
		}
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}

func (c *Conn) flush() error {
	out := c.queued
	if c.queued = nil; len(out) > 0 {
		c.sent = append(c.sent, out...)
		if _, err := c.Conn.Write(out); err != nil {
			return err
		}
	}
	if c.stopped {
		return ErrStopped
	}
	return nil
}

// queueMessage queues a handshake message and notes it.
func (c *Conn) queueMessage(raw []byte) {
	if c.stopped || c.Before != nil && !c.Before(raw[0]) {
		c.stopped = true
		return
	}
	c.transcript = append(c.transcript, raw...)
	c.queue(recordHandshake, raw)
}

// SendRecord sends data in records of a type, encrypted once this side has a key.
func (c *Conn) SendRecord(typ byte, data []byte) error {
	c.queue(typ, data)
	return c.flush()
}

// SendMessage sends a handshake message that is not part of the handshake.
func (c *Conn) SendMessage(typ byte, body []byte) error {
	return c.SendRecord(recordHandshake, message(typ, body))
}

// A Record is what came in one record.
type Record struct {
	Type byte
	Data []byte
}

// ReadRecords reads all that comes until the transport ends, or something comes
// that cannot be read.
func (c *Conn) ReadRecords() (all []Record, err error) {
	c.stopped = false
	for {
		typ, data, err := c.readRecord()
		var alert Alert
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil && !errors.As(err, &alert):
			return all, err
		}
		all = append(all, Record{typ, data})
	}
}

// readRecord returns the next record, but for those of the middlebox
// compatibility mode.
func (c *Conn) readRecord() (typ byte, data []byte, err error) {
	if err := c.flush(); err != nil {
		return 0, nil, err
	}
	for {
		record := make([]byte, recordHeader)
		if _, err := io.ReadFull(c.Conn, record); err != nil {
			return 0, nil, err
		}
		record = append(record, make([]byte, binary.BigEndian.Uint16(record[3:]))...)
		if _, err := io.ReadFull(c.Conn, record[recordHeader:]); err != nil {
			return 0, nil, err
		}
		typ, data = record[0], record[recordHeader:]
		switch {
		case typ == recordChangeCipherSpec:
			continue
		case typ == recordApplicationData && c.in != nil:
			typ, data, err = c.in.open(record)
			if err != nil && c.skipping {
				continue
			}
		case typ == recordApplicationData && c.skipping:
			continue
		}
		if err == nil && typ == recordAlert {
			if len(data) != 2 {
				return 0, nil, errors.New("tls13peer: malformed alert")
			}
			err = Alert(data[1])
		}
		return typ, data, err
	}
}

// ReadAlert reads until an alert comes, and returns it.
func (c *Conn) ReadAlert() (Alert, error) {
	for {
		_, _, err := c.readRecord()
		var alert Alert
		if errors.As(err, &alert) {
			return alert, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// takeMessage takes a whole handshake message from those that came in.
func (c *Conn) takeMessage() (raw []byte, ok bool) {
	if len(c.messages) < 4 {
		return nil, false
	}
	n := 4 + int(c.messages[1])<<16 + int(c.messages[2])<<8 + int(c.messages[3])
	if len(c.messages) < n {
		return nil, false
	}
	raw, c.messages = c.messages[:n], c.messages[n:]
	return raw, true
}

// readMessage returns the next handshake message and notes it. The error is an
// Alert where one came instead.
func (c *Conn) readMessage() ([]byte, error) {
	for {
		if raw, ok := c.takeMessage(); ok {
			c.before = len(c.transcript)
			c.transcript = append(c.transcript, raw...)
			return raw, nil
		}
		typ, data, err := c.readRecord()
		if err != nil {
			return nil, err
		}
		if typ != recordHandshake {
			return nil, fmt.Errorf("tls13peer: a record of type %d during the handshake", typ)
		}
		c.messages = append(c.messages, data...)
	}
}

// expect is readMessage for a message of one type.
func (c *Conn) expect(typ byte) ([]byte, error) {
	raw, err := c.readMessage()
	if err == nil && raw[0] != typ {
		err = fmt.Errorf("tls13peer: a message of type %d where %d was due", raw[0], typ)
	}
	return raw, err
}

// restart replaces a ClientHello in the transcript by its hash, as a
// HelloRetryRequest wants it (RFC 8446 section 4.4.1).
func (c *Conn) restart(hello []byte) {
	sum := sha256.Sum256(hello)
	c.transcript = message(typeMessageHash, sum[:])
}

// Read reads application data. It returns an Alert that comes as an error, and
// io.EOF for close_notify.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.data) == 0 {
		typ, data, err := c.readRecord()
		switch {
		case err == alertCloseNotify:
			return 0, io.EOF
		case err != nil:
			return 0, err
		case typ == recordApplicationData:
			c.data = data
		case typ == recordHandshake:
			c.messages = append(c.messages, data...)
			for raw, ok := c.takeMessage(); ok; raw, ok = c.takeMessage() {
				if err := c.afterHandshake(raw); err != nil {
					return 0, err
				}
			}
		}
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

// Write sends application data.
func (c *Conn) Write(p []byte) (int, error) {
	c.queue(recordApplicationData, p)
	return len(p), c.flush()
}
