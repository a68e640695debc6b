package gnutls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encoded returns what a pool writes.
func encoded(t testing.TB, p *TicketPool) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := p.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	return b.Bytes()
}

// texts describes sessions so that copies of them are equal.
func texts(sessions ...*SessionData) (list []string) {
	for _, d := range sessions {
		list = append(list,
			fmt.Sprintf("%s %x %d %s %x", d, d.family, d.arrived.UnixMilli(), d.lifetime, d.data))
	}
	return list
}

// poolData returns pool data with other entries and a matching hash.
func poolData(format uint32, entries []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte(poolMagic), format)
	b = binary.BigEndian.AppendUint64(b, uint64(len(entries)+sha256.Size))
	b = append(b, entries...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// poolField returns a field of an entry.
func poolField(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func poolFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pool")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// assertPoolFile checks what a file holds, and that it is alone and secret.
func assertPoolFile(t testing.TB, path string, tickets int) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var p TicketPool
	_, err = p.ReadFrom(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, tickets, p.Stats().Tickets)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing else is left")
}

func TestPoolsAreWrittenAndRead(t *testing.T) {
	var p TicketPool
	one := fill(&p, "one:1", newSessionFamily(), 3)
	two := fakeSession(VersionTLS12, time.Minute)
	p.Put("two:2", two)
	nameless := fill(&p, "", newSessionFamily(), 1)
	data := encoded(t, &p)
	assert.Equal(t, TicketPoolStats{Stored: 5, Tickets: 5, Servers: 3}, p.Stats(),
		"the pool keeps them")

	var read TicketPool
	n, err := read.ReadFrom(bytes.NewReader(data))
	require.NoError(t, err)
	assert.EqualValues(t, len(data), n)
	assert.Equal(t, TicketPoolStats{Stored: 5, Tickets: 5, Servers: 3}, read.Stats())
	assert.Equal(t, data, encoded(t, &read), "the same servers are the ones used last")
	assert.Equal(t, texts(one...), texts(drain(&read, "one:1")...))
	assert.Equal(t, texts(nameless...), texts(drain(&read, "")...))
	assert.Equal(t, texts(two), texts(read.Get("two:2")))
}

func TestReadFromAddsToThePool(t *testing.T) {
	p := TicketPool{Servers: 2}
	fill(&p, "one:1", sessionFamily{}, 3)
	fill(&p, "two:2", sessionFamily{}, 2)
	data := encoded(t, &p)

	other := TicketPool{Servers: 2}
	fill(&other, "one:1", sessionFamily{}, 3)
	fill(&other, "old:3", sessionFamily{}, 1)
	_, err := other.ReadFrom(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, 4, other.Len("one:1"), "its bounds hold")
	assert.Equal(t, TicketPoolStats{Stored: 9, Evicted: 3, Tickets: 6, Servers: 2}, other.Stats())

	_, err = p.ReadFrom(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, TicketPoolStats{Stored: 10, Evicted: 5, Tickets: 5, Servers: 2}, p.Stats(),
		"no ticket is there twice")
}

func TestExpiredTicketsAreNotReadAndNotSaved(t *testing.T) {
	young, old := fakeTicket(sessionFamily{}, 0), fakeTicket(sessionFamily{}, 2*time.Hour)
	data, err := encodePool([]poolEntry{{poolKey, old}, {poolKey, young}, {"old:1", old}})
	require.NoError(t, err)
	var p TicketPool
	_, err = p.ReadFrom(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, TicketPoolStats{Stored: 3, Expired: 2, Tickets: 1, Servers: 1}, p.Stats())

	path := poolFile(t, data)
	fill(&p, "expired:2", sessionFamily{}, 2)
	expireAll(&p, "expired:2")
	require.NoError(t, p.Save(path))
	assertPoolFile(t, path, 1)
	assert.Equal(t, TicketPoolStats{Stored: 5, Expired: 4, Saved: 1}, p.Stats())
	require.NoError(t, p.Load(path))
	assert.Equal(t, texts(young), texts(drain(&p, poolKey)...))
}

func TestEmptyPoolsAreWrittenAndRead(t *testing.T) {
	var p TicketPool
	n, err := p.ReadFrom(bytes.NewReader(encoded(t, new(TicketPool))))
	require.NoError(t, err)
	assert.EqualValues(t, poolHead+sha256.Size, n)
	assert.Zero(t, p.Stats())
}

// badPools returns bytes that are no pool, and why they are refused.
func badPools(t testing.TB) map[string]struct {
	data   []byte
	reason error
} {
	var p TicketPool
	fill(&p, poolKey, newSessionFamily(), 2)
	good := encoded(t, &p)
	d := fill(&p, "x", newSessionFamily(), 1)[0]
	session, err := d.MarshalBinary()
	require.NoError(t, err)
	sized := func(size uint64) []byte {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint64(b[poolHead-8:], size)
		return b
	}
	key, whole := poolField([]byte(poolKey)), poolField(session)
	return map[string]struct {
		data   []byte
		reason error
	}{
		"nothing":              {nil, ErrSessionForeign},
		"text":                 {[]byte("-----BEGIN CERTIFICATE-----\n"), ErrSessionForeign},
		"a short text":         {[]byte("hello\n"), ErrSessionForeign},
		"session data":         {session, ErrSessionForeign},
		"the version to come":  {poolData(poolFormat+1, nil), ErrSessionFormat},
		"version 0":            {poolData(0, nil), ErrSessionFormat},
		"bytes after the end":  {append(bytes.Clone(good), 0), ErrSessionDamaged},
		"no room for the hash": {sized(31), ErrSessionDamaged},
		"size 0":               {sized(0), ErrSessionDamaged},
		"a size beyond bounds": {sized(maxPoolData + 1), ErrSessionDamaged},
		"an absurd size":       {sized(math.MaxUint64), ErrSessionDamaged},
		"a size that is wrong": {sized(maxPoolData), ErrSessionDamaged},
		"half a length":        {poolData(poolFormat, []byte{0, 0}), ErrSessionDamaged},
		"a length beyond bounds": {poolData(poolFormat, []byte{0xff, 0xff, 0xff, 0xff, 1}),
			ErrSessionDamaged},
		"a key alone": {poolData(poolFormat, key), ErrSessionDamaged},
		"an entry and a key": {poolData(poolFormat, bytes.Join([][]byte{key, whole, key}, nil)),
			ErrSessionDamaged},
		"an empty session": {poolData(poolFormat, append(bytes.Clone(key), poolField(nil)...)),
			ErrSessionForeign},
		"a damaged session": {poolData(poolFormat,
			bytes.Join([][]byte{key, whole, key, poolField(session[:len(session)-1])}, nil)),
			ErrSessionDamaged},
		"a session of another format": {poolData(poolFormat, append(bytes.Clone(key),
			poolField(reencode(t, d, func(e *sessionEnvelope) { e.Format = 9 }))...)), ErrSessionFormat},
	}
}

func TestBadPoolDataAreRefused(t *testing.T) {
	for name, bad := range badPools(t) {
		t.Run(name, func(t *testing.T) {
			var p TicketPool
			fill(&p, "other", sessionFamily{}, 1)
			before := p.Stats()
			n, err := p.ReadFrom(bytes.NewReader(bad.data))
			assertRefused(t, &p, before, err)
			assert.ErrorIs(t, err, bad.reason)
			assert.LessOrEqual(t, n, int64(len(bad.data)))

			path := poolFile(t, bad.data)
			for _, use := range []func(string) error{p.Load, p.Save} {
				err := use(path)
				assertRefused(t, &p, before, err)
				assert.ErrorIs(t, err, bad.reason)
				assert.ErrorContains(t, err, path)
				assert.NotContains(t, err.Error(), "\n")
			}
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(bad.data, data), "the file stays as it is")
		})
	}
}

// assertRefused checks the error of a read, and that the pool is as before.
func assertRefused(t testing.TB, p *TicketPool, before TicketPoolStats, err error) {
	t.Helper()
	var refused *SessionDataError
	require.ErrorAs(t, err, &refused)
	require.Error(t, refused.Reason)
	require.Equal(t, before, p.Stats(), "nothing is added")
}

func TestPoolDataCutOffOrChangedAnywhereAreRefused(t *testing.T) {
	var source, p TicketPool
	fill(&source, poolKey, newSessionFamily(), 2)
	good := encoded(t, &source)
	for n := range good {
		_, err := p.ReadFrom(bytes.NewReader(good[:n]))
		assertRefused(t, &p, TicketPoolStats{}, err)
		if n > 0 {
			require.ErrorIs(t, err, ErrSessionDamaged, "cut off after %d bytes", n)
		}
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			_, err := p.ReadFrom(bytes.NewReader(bad))
			assertRefused(t, &p, TicketPoolStats{}, err)
		}
	}

	path := poolFile(t, good)
	for n := len(good) - 1; n >= 0; n -= 7 {
		require.NoError(t, os.Truncate(path, int64(n)))
		assertRefused(t, &p, TicketPoolStats{}, p.Load(path))
		assertRefused(t, &p, TicketPoolStats{}, p.Save(path))
	}
}

// endless fails a test that reads more than is sensible.
type endless struct {
	t    *testing.T
	left int
}

func (e *endless) Read(b []byte) (int, error) {
	if e.left -= len(b); e.left < 0 {
		e.t.Fatal("too much is read")
	}
	clear(b)
	return len(b), nil
}

func TestReadFromIsBounded(t *testing.T) {
	var p TicketPool
	_, err := p.ReadFrom(&endless{t, 1 << 10})
	assert.ErrorIs(t, err, ErrSessionForeign)
	head := poolData(poolFormat, nil)[:poolHead]
	_, err = p.ReadFrom(io.MultiReader(bytes.NewReader(head), &endless{t, 1 << 10}))
	assert.ErrorIs(t, err, ErrSessionDamaged)

	binary.BigEndian.PutUint64(head[poolHead-8:], maxPoolData)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = p.ReadFrom(bytes.NewReader(head))
	runtime.ReadMemStats(&after)
	assert.ErrorIs(t, err, ErrSessionDamaged)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "a promise allocates nothing")
	assert.Zero(t, p.Stats())
}

func TestErrorsOfReadersAndWritersAreReturned(t *testing.T) {
	broken := errors.New("broken")
	var p, read TicketPool
	fill(&p, poolKey, sessionFamily{}, 1)
	data := encoded(t, &p)
	for _, n := range []int{0, 10, poolHead, poolHead + 10, len(data)} {
		got, err := read.ReadFrom(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken)))
		assert.ErrorIs(t, err, broken, n)
		assert.EqualValues(t, n, got)
		assert.Zero(t, read.Stats())
	}
	_, err := read.ReadFrom(iotest.OneByteReader(bytes.NewReader(data)))
	assert.NoError(t, err)
	assert.Equal(t, 1, read.Len(poolKey))

	reader, writer := io.Pipe()
	reader.CloseWithError(broken)
	_, err = p.WriteTo(writer)
	assert.ErrorIs(t, err, broken)
	assert.Equal(t, 1, p.Len(poolKey))
}

func TestSaveAndLoadMoveTheTickets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	var p, other TicketPool
	require.ErrorIs(t, p.Load(path), fs.ErrNotExist)
	assert.NoFileExists(t, path)

	tickets := fill(&p, poolKey, newSessionFamily(), 3)
	require.NoError(t, p.Save(path))
	assert.Equal(t, TicketPoolStats{Stored: 3, Saved: 3}, p.Stats())
	assert.Nil(t, p.Get(poolKey))
	assertPoolFile(t, path, 3)

	require.NoError(t, other.Load(path))
	assertPoolFile(t, path, 0)
	assert.Equal(t, texts(tickets...), texts(drain(&other, poolKey)...))
	require.NoError(t, other.Load(path))
	assert.Equal(t, TicketPoolStats{Stored: 3, Taken: 3}, other.Stats())

	fill(&p, poolKey, newSessionFamily(), 1)
	assert.Equal(t, 1, p.Len(poolKey), "a pool that was saved may be used on")
	require.NoError(t, p.Save(path))
	require.NoError(t, p.Save(path))
	assertPoolFile(t, path, 1)
	assertBalance(t, &p)
}

func TestSaveAddsToWhatTheFileHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	one, other := TicketPool{Servers: 2}, TicketPool{Servers: 2}
	fill(&one, "one", sessionFamily{}, 3)
	fill(&other, "one", sessionFamily{}, 3)
	fill(&other, "two", sessionFamily{}, 1)
	require.NoError(t, one.Save(path))
	require.NoError(t, other.Save(path))
	assertPoolFile(t, path, 5) // at most four a server

	fill(&one, "three", sessionFamily{}, 2)
	require.NoError(t, one.Save(path))
	assertPoolFile(t, path, 3) // at most two servers
	require.NoError(t, other.Load(path))
	assert.Zero(t, other.Len("one"), "the server used least recently went")
	assert.Equal(t, 1, other.Len("two"))
	assert.Equal(t, 2, other.Len("three"))
}

func TestPoolFilesThatOthersCanChangeAreRefused(t *testing.T) {
	tests := map[string]func(path string) error{
		"0644": func(path string) error { return os.Chmod(path, 0o644) },
		"0620": func(path string) error { return os.Chmod(path, 0o620) },
		"symbolic link": func(path string) error {
			return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path))
		},
		"regular file": func(path string) error {
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))
		},
	}
	if os.Geteuid() == 0 {
		tests["user 65534"] = func(path string) error { return os.Chown(path, 65534, 65534) }
	}
	for reason, change := range tests {
		t.Run(reason, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pool")
			var p TicketPool
			fill(&p, "saved", sessionFamily{}, 1)
			require.NoError(t, p.Save(path))
			require.NoError(t, change(path))
			before, err := os.Lstat(path)
			require.NoError(t, err)
			fill(&p, poolKey, sessionFamily{}, 2)
			for _, use := range []func(string) error{p.Load, p.Save} {
				err := use(path)
				assert.ErrorIs(t, err, fs.ErrPermission)
				assert.ErrorContains(t, err, path)
				assert.ErrorContains(t, err, reason)
				assert.True(t, strings.HasPrefix(err.Error(), "gnutls: "))
			}
			assert.Equal(t, TicketPoolStats{Stored: 3, Saved: 1, Tickets: 2, Servers: 1}, p.Stats(),
				"the tickets stay")
			after, err := os.Lstat(path)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
		})
	}
}

func TestSaveThatCannotWriteKeepsTheTickets(t *testing.T) {
	var p TicketPool
	tickets := fill(&p, poolKey, sessionFamily{}, 3)
	err := p.Save(filepath.Join(t.TempDir(), "no", "pool"))
	assert.ErrorIs(t, err, fs.ErrNotExist)

	// There is no room for the longer name of the temporary file. That is found
	// when the tickets have left the pool.
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 255))
	require.NoError(t, os.WriteFile(path, poolData(poolFormat, nil), 0o600))
	for range 2 {
		assert.ErrorIs(t, p.Save(path), syscall.ENAMETOOLONG)
		assertPoolFile(t, path, 0)
	}
	assert.ErrorIs(t, p.Load(path), syscall.ENAMETOOLONG)
	assert.Equal(t, TicketPoolStats{Stored: 3, Tickets: 3, Servers: 1}, p.Stats())
	assert.Equal(t, tickets, drain(&p, poolKey))
}

func TestSaveWaitsForTheLock(t *testing.T) {
	path := poolFile(t, poolData(poolFormat, nil))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	var p TicketPool
	fill(&p, poolKey, sessionFamily{}, 1)
	saved := make(chan error, 1)
	go func() { saved <- p.Save(path) }()
	select {
	case err := <-saved:
		t.Fatal("Save did not wait:", err)
	case <-time.After(50 * time.Millisecond):
	}
	assert.Equal(t, 1, p.Len(poolKey), "until then the tickets can be used")
	require.NoError(t, f.Close())
	require.NoError(t, <-saved)
	assertPoolFile(t, path, 1)
}

// TestProcessesShareAPoolFile runs itself in other processes, which save and
// load tickets all at once.
func TestProcessesShareAPoolFile(t *testing.T) {
	const (
		variable           = "GNUCOAP_TEST_POOL"
		processes          = 3
		rounds, perRound   = 20, 4
		want               = processes * rounds * perRound
		servers, perServer = 8, 255 // more room than the tickets need
	)
	if path := os.Getenv(variable); path != "" {
		for range rounds {
			made, p := TicketPool{Tickets: perServer}, TicketPool{Tickets: perServer}
			for i := range perRound {
				made.Put(fmt.Sprint(i%servers), fakeTicket(newSessionFamily(), 0))
			}
			require.NoError(t, made.Save(path))
			require.NoError(t, p.Load(path))
			for i := range servers {
				key := fmt.Sprint(i)
				if d := p.Get(key); d != nil {
					fmt.Printf("spent %s\n", d.data)
				}
			}
			require.NoError(t, p.Save(path))
		}
		return
	}

	path := filepath.Join(t.TempDir(), "pool")
	outputs := make([]bytes.Buffer, processes)
	var wg sync.WaitGroup
	for i := range outputs {
		cmd := exec.CommandContext(waitContext(t), os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), variable+"="+path)
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
		require.NoError(t, cmd.Start())
		wg.Add(1)
		go func() {
			defer wg.Done()
			assert.NoError(t, cmd.Wait())
		}()
	}
	wg.Wait()

	seen := make(map[string]int)
	spent := 0
	for i := range outputs {
		for line := range strings.Lines(outputs[i].String()) {
			if ticket, ok := strings.CutPrefix(strings.TrimSpace(line), "spent "); ok {
				seen[ticket]++
				spent++
			}
		}
		if t.Failed() {
			t.Log(outputs[i].String())
		}
	}
	p := TicketPool{Tickets: perServer}
	require.NoError(t, p.Load(path))
	for i := range servers {
		for _, d := range drain(&p, fmt.Sprint(i)) {
			seen[string(d.data)]++
		}
	}
	assert.Greater(t, spent, processes, "the processes used tickets")
	assert.Len(t, seen, want, "no ticket is lost")
	for _, n := range seen {
		assert.Equal(t, 1, n, "a ticket was handed out twice")
	}
	assertPoolFile(t, path, 0)
}

func TestConnectionsResumeWithASavedPool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool")
	config := serverConfig(t)
	config.SessionTickets = 3
	server := newPoolServer(t, config)
	for i := range 3 {
		pool := new(TicketPool)
		if i > 0 {
			require.NoError(t, pool.Load(path))
		}
		client := clientConfig(t)
		client.ClientSessionCache = pool
		assert.Equal(t, i > 0, server.connect(t, client))
		require.NoError(t, pool.Save(path))
		assertBalance(t, pool)
	}
	assertPoolFile(t, path, 4)
}

func FuzzTicketPoolReadFrom(f *testing.F) {
	var p TicketPool
	fill(&p, "one:1", newSessionFamily(), 2)
	good := encoded(f, &p)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("gnucoap"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p TicketPool
		if _, err := p.ReadFrom(bytes.NewReader(b)); err != nil {
			var refused *SessionDataError
			require.ErrorAs(t, err, &refused)
			require.Zero(t, p.Stats().Tickets)
		}
	})
}
