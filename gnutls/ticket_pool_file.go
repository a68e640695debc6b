package gnutls

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gnucoap/gnucoap/internal/secretfile"
)

const (
	poolMagic  = "gnucoap tickets\n"
	poolFormat = 1
	// poolHead is the length of the magic, the format and the length of the
	// rest, which is the entries and a hash over all that comes before it.
	poolHead = len(poolMagic) + 4 + 8
	// maxPoolData bounds the rest: four tickets of each of 10,000 servers take
	// about 100 MiB.
	maxPoolData = 256 << 20
	// lockWait is how long Save and Load wait for others that use the file.
	lockWait = 5 * time.Second
)

// A poolEntry is an entry of an encoded pool: the key and the session, each
// after its length in 4 bytes.
type poolEntry struct {
	key  string
	data *SessionData
}

func encodePool(sessions []poolEntry) ([]byte, error) {
	b := append([]byte(poolMagic), make([]byte, poolHead-len(poolMagic))...)
	for _, s := range sessions {
		session, err := s.data.MarshalBinary()
		if err != nil {
			return nil, err
		}
		for _, field := range [][]byte{[]byte(s.key), session} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
			b = append(b, field...)
		}
	}
	size := len(b) - poolHead + sha256.Size
	if size > maxPoolData {
		return nil, fmt.Errorf("they take %d bytes, more than %d", size, maxPoolData)
	}
	binary.BigEndian.PutUint32(b[len(poolMagic):], poolFormat)
	binary.BigEndian.PutUint64(b[len(poolMagic)+4:], uint64(size))
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// readPool reads and decodes all of r. n is the number of bytes read.
func readPool(r io.Reader) (sessions []poolEntry, n int64, err error) {
	head := make([]byte, poolHead)
	got, err := io.ReadFull(r, head)
	n = int64(got)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, n, err
	}
	magic := head[:min(got, len(poolMagic))]
	switch {
	case got == 0 || string(magic) != poolMagic[:len(magic)]:
		return nil, n, refused(ErrSessionForeign, "")
	case got < poolHead:
		return nil, n, refused(ErrSessionDamaged, "")
	}
	if format := binary.BigEndian.Uint32(head[len(poolMagic):]); format != poolFormat {
		return nil, n, refused(ErrSessionFormat, "%d", format)
	}
	size := binary.BigEndian.Uint64(head[len(poolMagic)+4:])
	if size < sha256.Size || size > maxPoolData {
		return nil, n, refused(ErrSessionDamaged, "a size of %d bytes", size)
	}
	// The buffer grows with the data, not with the size that the head announces.
	rest, err := io.ReadAll(io.LimitReader(r, int64(size)+1))
	n += int64(len(rest))
	if err != nil {
		return nil, n, err
	}
	if uint64(len(rest)) != size {
		return nil, n, refused(ErrSessionDamaged, "")
	}
	body, sum := rest[:size-sha256.Size], rest[size-sha256.Size:]
	hash := sha256.New()
	hash.Write(head)
	hash.Write(body)
	if !bytes.Equal(hash.Sum(nil), sum) {
		return nil, n, refused(ErrSessionDamaged, "")
	}
	for len(body) > 0 {
		key, rest, ok := cutLong(body)
		session, rest, ok2 := cutLong(rest)
		if !ok || !ok2 {
			return nil, n, refused(ErrSessionDamaged, "")
		}
		d := new(SessionData)
		if err := d.UnmarshalBinary(session); err != nil {
			return nil, n, err
		}
		sessions = append(sessions, poolEntry{string(key), d})
		body = rest
	}
	return sessions, n, nil
}

// cutLong splits a vector with a length prefix of 4 bytes off b.
func cutLong(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// sessions returns all sessions that have not expired, so that putting them
// into another pool in this order gives the same pool. move takes them out of
// the pool, to be saved.
func (p *TicketPool) sessions(move bool) (all []poolEntry) {
	now := time.Now().UnixMilli()
	var servers []pooledServer
	for i := range p.shards {
		servers = append(servers, p.shardServers(&p.shards[i], now, move)...)
	}
	slices.SortFunc(servers, func(a, b pooledServer) int { return cmp.Compare(a.used, b.used) })
	for _, s := range servers {
		for _, session := range s.sessions {
			all = append(all, poolEntry{s.key, session.data})
		}
	}
	return all
}

// shardServers returns copies of the servers of a shard.
func (p *TicketPool) shardServers(sh *poolShard, now int64, move bool) (servers []pooledServer) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for e := sh.order.Front(); e != nil; {
		s, next := e.Value.(*pooledServer), e.Next()
		sh.stats.Expired += s.dropDead(now)
		servers = append(servers,
			pooledServer{key: s.key, used: s.used, sessions: slices.Clone(s.sessions)})
		if move {
			sh.stats.Saved += uint64(len(s.sessions))
			s.sessions = nil
		}
		p.forgetEmpty(sh, e)
		e = next
	}
	return servers
}

func (p *TicketPool) putAll(sessions []poolEntry) {
	for _, s := range sessions {
		p.Put(s.key, s.data)
	}
}

// moveBack puts back what sessions has moved.
func (p *TicketPool) moveBack(sessions []poolEntry) {
	now := time.Now().UnixMilli()
	for _, s := range sessions {
		sh := p.shard(s.key)
		sh.mu.Lock()
		sh.stats.Saved--
		sh.stats.Stored--
		p.put(sh, s.key, newPooledSession(s.data), now)
		sh.mu.Unlock()
	}
	p.bound()
}

// WriteTo writes all sessions that have not expired, for ReadFrom, and returns
// the number of bytes. The pool keeps them. What is written is as secret as a
// private key.
//
// A TLS 1.3 ticket should be used for one connection only, so do not use both
// the copy and the pool. Save does not make a copy.
func (p *TicketPool) WriteTo(w io.Writer) (int64, error) {
	b, err := encodePool(p.sessions(false))
	if err != nil {
		return 0, fmt.Errorf("gnutls: writing tickets: %w", err)
	}
	n, err := w.Write(b)
	return int64(n), err
}

// ReadFrom adds to the pool what WriteTo wrote, apart from sessions that have
// expired since, and returns the number of bytes read. It reads to the end of r,
// at most about 256 MiB. Any other data give a *SessionDataError. If there is an
// error nothing is added.
//
// The hash in the data detects damage, not forgery: read only data from sources that
// you trust as you trust your certificate authorities.
func (p *TicketPool) ReadFrom(r io.Reader) (int64, error) {
	sessions, n, err := readPool(r)
	if err != nil {
		return n, err
	}
	p.putAll(sessions)
	return n, nil
}

// Save moves all sessions into a file: those that have not expired are added to the
// contents of the file, and leave the pool. Tickets and Servers bound the contents of
// the file too. The file is replaced as a whole, with mode 0600, and made if it
// is missing.
//
// Any number of processes and pools may use the same file with Save and Load. A
// lock keeps them apart. Save waits for it up to 5 seconds, and then fails with an
// error that matches os.ErrDeadlineExceeded.
//
// A file is refused with an error that matches fs.ErrPermission if it is not a regular
// file (a symbolic link is not), if others than its owner have access to it, or if it
// belongs to a user other than this one or root. A file that is not an intact pool is
// refused with a *SessionDataError, and is not changed. If there is an error the pool
// keeps its sessions.
func (p *TicketPool) Save(path string) error {
	empty, err := encodePool(nil)
	if err != nil {
		return err
	}
	var moved []poolEntry
	err = secretfile.Update(path, lockWait, empty, func(old io.Reader) ([]byte, error) {
		sessions, _, err := readPool(old)
		if err != nil {
			return nil, err
		}
		moved = p.sessions(true)
		merged := TicketPool{Tickets: p.Tickets, Servers: p.Servers}
		merged.putAll(sessions)
		merged.putAll(moved)
		return encodePool(merged.sessions(false))
	})
	if err != nil {
		p.moveBack(moved)
		return fileError("saving tickets", path, err)
	}
	return nil
}

// Load moves all sessions of a file into the pool. Those that have expired are
// dropped, and an empty pool is left in the file, so that no ticket is used twice
// when several processes use the file. Tickets of other processes arrive with their
// next Save.
//
// Load waits and refuses files as Save does. A missing file gives an error that
// matches fs.ErrNotExist. If there is an error nothing is added.
func (p *TicketPool) Load(path string) error {
	var sessions []poolEntry
	err := secretfile.Update(path, lockWait, nil, func(old io.Reader) (_ []byte, err error) {
		if sessions, _, err = readPool(old); err != nil {
			return nil, err
		}
		return encodePool(nil)
	})
	if err != nil {
		return fileError("loading tickets", path, err)
	}
	p.putAll(sessions)
	return nil
}

// fileError adds to an error what was done with which file.
func fileError(op, path string, err error) error {
	var data *SessionDataError
	if !errors.As(err, &data) {
		return fmt.Errorf("gnutls: %s: %w", op, err)
	}
	detail := fmt.Sprintf("%q", path)
	if data.Detail != "" {
		detail += ", " + data.Detail
	}
	return &SessionDataError{Reason: data.Reason, Detail: detail}
}
