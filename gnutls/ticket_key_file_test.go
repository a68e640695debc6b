package gnutls

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// keyOf returns a ticket key of one byte over and over.
func keyOf(b byte) *TicketKey {
	return &TicketKey{[TicketKeySize]byte(bytes.Repeat([]byte{b}, TicketKeySize))}
}

func keysOf(bs ...byte) []*TicketKey {
	var keys []*TicketKey
	for _, b := range bs {
		keys = append(keys, keyOf(b))
	}
	return keys
}

func keyBytes(bs ...byte) []byte {
	var data []byte
	for _, k := range keysOf(bs...) {
		data = append(data, k.Bytes()...)
	}
	return data
}

// keyFile is a file of ticket keys under test, with a clock of its own.
type keyFile struct {
	*TicketKeyFile
	path string
	late atomic.Int64 // how much the clock is ahead
	log  logBuffer
}

// newKeyFile writes a file of keys and opens it.
func newKeyFile(t testing.TB, keys ...byte) *keyFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ticket.keys")
	require.NoError(t, WriteTicketKeyFile(path, keysOf(keys...)...))
	return openKeyFile(t, path)
}

func openKeyFile(t testing.TB, path string) *keyFile {
	t.Helper()
	f, err := OpenTicketKeyFile(path)
	require.NoError(t, err)
	return withClock(f, path)
}

func withClock(f *TicketKeyFile, path string) *keyFile {
	k := &keyFile{TicketKeyFile: f, path: path}
	f.now = func() time.Time { return time.Now().Add(time.Duration(k.late.Load())) }
	return k
}

func (k *keyFile) pass(d time.Duration) { k.late.Add(int64(d)) }

// write replaces the file, and lets the time pass until that is noticed.
func (k *keyFile) write(t testing.TB, keys ...byte) {
	t.Helper()
	require.NoError(t, WriteTicketKeyFile(k.path, keysOf(keys...)...))
	k.pass(ticketKeyInterval)
}

// connection returns the keys for a connection that starts now, those of keyOf
// as their byte.
func (k *keyFile) connection() (keys []byte) {
	logger := k.log.logger()
	for _, got := range k.current(func(level slog.Level, msg string, args ...any) {
		logger.Log(context.Background(), level, msg, args...)
	}) {
		for b := byte(1); b < 100; b++ {
			if got == cgnutls.NewNamedTicketKey(keyOf(b).key, k.now()) {
				keys = append(keys, b)
			}
		}
	}
	return keys
}

func TestTicketKeyFileIsWrittenAsAWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ticket.keys")
	for _, keys := range [][]byte{{1}, {2, 1}, {4, 3, 2, 1}} {
		require.NoError(t, WriteTicketKeyFile(path, keysOf(keys...)...))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, keyBytes(keys...), content)
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode())
		assert.Equal(t, keys, openKeyFile(t, path).connection())
	}
	for name, keys := range map[string][]*TicketKey{"none": nil, "five": keysOf(1, 2, 3, 4, 5),
		"nil": {keyOf(1), nil}} {
		err := WriteTicketKeyFile(path, keys...)
		assert.ErrorContains(t, err, "1 to 4", name)
		assert.ErrorContains(t, err, path, name)
	}
	assert.Equal(t, []byte{4, 3, 2, 1}, openKeyFile(t, path).connection(), "the file is as before")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left beside it")

	missing := filepath.Join(dir, "none", "ticket.keys")
	err = WriteTicketKeyFile(missing, keyOf(1))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, missing)
}

// spoiled are files that cannot be used, and what their errors say.
var spoiled = []struct {
	name string
	make func(path string) error
	want string
}{
	{"missing", func(string) error { return nil }, "no such file"},
	{"empty", func(path string) error { return os.WriteFile(path, nil, 0o600) }, "0 bytes"},
	{"one byte short", func(path string) error { return os.WriteFile(path, keyBytes(1)[1:], 0o600) },
		"63 bytes"},
	{"one byte long", func(path string) error {
		return os.WriteFile(path, append(keyBytes(1), 1), 0o600)
	}, "65 bytes"},
	{"between two and three", func(path string) error {
		return os.WriteFile(path, keyBytes(1, 2, 3)[:150], 0o600)
	}, "150 bytes"},
	{"five keys", func(path string) error {
		return os.WriteFile(path, keyBytes(1, 2, 3, 4, 5), 0o600)
	}, "more than 4 keys"},
	{"huge", func(path string) error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) },
		"more than 4 keys"},
	{"zeros, as after a crash",
		func(path string) error { return os.WriteFile(path, keyBytes(1, 0), 0o600) }, "zeros"},
	{"group may write", func(path string) error { return writeWithMode(path, 0o620) }, "0620"},
	{"others may write", func(path string) error { return writeWithMode(path, 0o602) }, "0602"},
	{"directory", func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
	{"pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file"},
}

func writeWithMode(path string, mode fs.FileMode) error {
	if err := os.WriteFile(path, keyBytes(1), 0o600); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func TestTicketKeyFileThatCannotBeUsed(t *testing.T) {
	for _, tt := range spoiled {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ticket.keys")
			require.NoError(t, tt.make(path))
			_, err := OpenTicketKeyFile(path)
			require.Error(t, err)
			assert.Regexp(t, `^gnutls: ticket key file "`+path+`": [^\n/]*`+tt.want+`[^\n/]*$`, err.Error())
		})
	}
	_, err := OpenTicketKeyFile(filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestTicketKeyFileThatOthersMayReadIsAccepted(t *testing.T) {
	for _, mode := range []fs.FileMode{0o400, 0o440, 0o444, 0o600, 0o640, 0o644} {
		path := filepath.Join(t.TempDir(), "ticket.keys")
		require.NoError(t, writeWithMode(path, mode))
		_, err := OpenTicketKeyFile(path)
		assert.NoError(t, err, mode)
	}
}

func TestTicketKeyFileIsReadAgainAfterASecond(t *testing.T) {
	k := newKeyFile(t, 1)
	require.NoError(t, WriteTicketKeyFile(k.path, keysOf(2, 1)...))
	assert.Equal(t, []byte{1}, k.connection())
	k.pass(ticketKeyInterval)
	assert.Equal(t, []byte{2, 1}, k.connection())
	assert.Equal(t, 1, strings.Count(k.log.String(), `msg="ticket keys reloaded"`))
	k.pass(ticketKeyInterval)
	assert.Equal(t, []byte{2, 1}, k.connection())
	assert.Equal(t, 1, strings.Count(k.log.String(), "msg="), "nothing has changed since: %s", &k.log)

	// A change in place, of the same size.
	require.NoError(t, os.WriteFile(k.path, keyBytes(3, 2), 0o600))
	k.pass(ticketKeyInterval)
	assert.Equal(t, []byte{3, 2, 1}, k.connection())
}

func TestPreviousTicketKeyIsAcceptedForTheLifetimeOfATicket(t *testing.T) {
	require.Equal(t, 6*time.Hour, cgnutls.TicketLifetime(), "as the documents say")
	k := newKeyFile(t, 1)
	k.write(t, 2)
	assert.Equal(t, []byte{2, 1}, k.connection())
	k.pass(3 * time.Hour)
	k.write(t, 3)
	assert.Equal(t, []byte{3, 2, 1}, k.connection())
	k.pass(3 * time.Hour)
	assert.Equal(t, []byte{3, 2}, k.connection())
	k.pass(3 * time.Hour)
	assert.Equal(t, []byte{3}, k.connection())
}

func TestWhichPreviousTicketKeysAreAccepted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		writes [][]byte
		want   []byte
	}{
		{"the usual three steps", [][]byte{{1, 2}, {2, 1}, {2}}, []byte{2, 1}},
		{"a key that never was the first", [][]byte{{1, 2}, {1}}, []byte{1}},
		{"back to an old key", [][]byte{{1}, {2}, {1}}, []byte{1, 2}},
		{"to and fro", [][]byte{{1}, {2}, {1}, {2}, {3}}, []byte{3, 2, 1}},
		{"no more than four", [][]byte{{1}, {2}, {3}, {4}, {5}, {6}, {7}}, []byte{7, 6, 5, 4, 3}},
		{"four in the file and four others", [][]byte{{1}, {2}, {3}, {4}, {5, 6, 7, 8}},
			[]byte{5, 6, 7, 8, 4, 3, 2, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKeyFile(t, tt.writes[0]...)
			for _, keys := range tt.writes[1:] {
				k.write(t, keys...)
				k.connection()
			}
			assert.Equal(t, tt.want, k.connection())
		})
	}
}

func TestTicketKeysStayWhenTheFileGoesBad(t *testing.T) {
	for _, tt := range spoiled {
		t.Run(tt.name, func(t *testing.T) {
			k := newKeyFile(t, 2, 3)
			require.NoError(t, os.Remove(k.path))
			require.NoError(t, tt.make(k.path))
			for range 3 {
				k.pass(ticketKeyInterval)
				assert.Equal(t, []byte{2, 3}, k.connection())
			}
			assert.ErrorContains(t, k.Err(), tt.want)
			assert.ErrorContains(t, k.Err(), k.path)
			assert.Equal(t, 1, strings.Count(k.log.String(), "msg="), "logged once")
			assert.Contains(t, k.log.String(), `level=WARN msg="ticket keys not reloaded"`)
			assert.Contains(t, k.log.String(), tt.want)

			os.Remove(k.path)
			k.write(t, 3)
			assert.Equal(t, []byte{3, 2}, k.connection())
			assert.NoError(t, k.Err())
		})
	}
}

func TestEachFaultOfATicketKeyFileIsLogged(t *testing.T) {
	k := newKeyFile(t, 1)
	for range 2 {
		require.NoError(t, os.Remove(k.path))
		k.pass(ticketKeyInterval)
		k.connection()
		require.NoError(t, os.WriteFile(k.path, []byte("short"), 0o600))
		k.pass(ticketKeyInterval)
		k.connection()
		k.write(t, 1)
		k.connection()
	}
	assert.Equal(t, 2, strings.Count(k.log.String(), "no such file"))
	assert.Equal(t, 2, strings.Count(k.log.String(), "5 bytes"))
	assert.NotContains(t, k.log.String(), `msg="ticket keys reloaded"`)
}

// Kubernetes mounts a secret as links into a directory, which is itself reached
// by a link that changes.
func TestTicketKeyFileBehindALinkThatChanges(t *testing.T) {
	dir := t.TempDir()
	release := func(name string, keys ...byte) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		require.NoError(t,
			os.WriteFile(filepath.Join(dir, name, "ticket.keys"), keyBytes(keys...), 0o600))
		require.NoError(t, os.Chmod(filepath.Join(dir, name, "ticket.keys"), 0o644))
		require.NoError(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	release("..first", 1)
	path := filepath.Join(dir, "ticket.keys")
	require.NoError(t, os.Symlink("..data/ticket.keys", path))
	k := openKeyFile(t, path)
	assert.Equal(t, []byte{1}, k.connection())
	release("..second", 2)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..first")))
	k.pass(ticketKeyInterval)
	assert.Equal(t, []byte{2, 1}, k.connection())
}

func TestTicketKeysOfAFileSystem(t *testing.T) {
	// without times, as embed has it
	fsys := fstest.MapFS{"secrets/ticket.keys": {Data: keyBytes(1), Mode: 0o444}}
	f, err := OpenTicketKeyFS(fsys, "secrets/ticket.keys")
	require.NoError(t, err)
	k := withClock(f, "")
	k.pass(ticketKeyInterval)
	assert.Equal(t, []byte{1}, k.connection())
	fsys["secrets/ticket.keys"].Data = keyBytes(2)
	k.pass(ticketKeyInterval)
	assert.Equal(t, []byte{2, 1}, k.connection())
	delete(fsys, "secrets/ticket.keys")
	k.pass(ticketKeyInterval)
	assert.Equal(t, []byte{2, 1}, k.connection())
	assert.ErrorIs(t, k.Err(), fs.ErrNotExist)

	for name, want := range map[string]string{"none": "not exist", "../out": "not exist",
		"secrets": "not a regular file"} {
		_, err := OpenTicketKeyFS(fstest.MapFS{"secrets/other": {}}, name)
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, `"`+name+`"`)
	}
}

func TestOneConnectionReadsTheTicketKeyFileAndNobodyWaits(t *testing.T) {
	opened, goOn := make(chan struct{}, 100), make(chan struct{})
	fsys := slowFS{fstest.MapFS{"keys": {Data: keyBytes(1)}}, opened, goOn}
	f, err := OpenTicketKeyFS(fsys.FS, "keys")
	require.NoError(t, err)
	f.open = func() (fs.File, error) { return fsys.Open("keys") }
	k := withClock(f, "")
	k.pass(ticketKeyInterval)
	reader := make(chan []byte)
	go func() { reader <- k.connection() }()
	<-opened
	for range 3 {
		k.pass(ticketKeyInterval)
		assert.Equal(t, []byte{1}, k.connection(), "while another reads")
	}
	close(goOn)
	assert.Equal(t, []byte{1}, <-reader)
	assert.Empty(t, opened)
}

// slowFS tells that a file is opened, and waits.
type slowFS struct {
	fs.FS
	opened chan<- struct{}
	goOn   <-chan struct{}
}

func (s slowFS) Open(name string) (fs.File, error) {
	s.opened <- struct{}{}
	select {
	case <-s.goOn:
		return s.FS.Open(name)
	case <-time.After(wait):
		return nil, os.ErrDeadlineExceeded
	}
}

func TestTicketKeyFilesStaySecret(t *testing.T) {
	k := newKeyFile(t, 0xab)
	k.write(t, 0xcd)
	require.NoError(t, os.WriteFile(k.path, keyBytes(0xef)[1:], 0o600))
	k.pass(ticketKeyInterval)
	k.connection()
	config := &Config{TicketKeyFile: k.TicketKeyFile}
	text := fmt.Sprint(k.log.String(), k.Err())
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		text += fmt.Sprintf(format, k.TicketKeyFile) + fmt.Sprintf(format, config)
	}
	for _, secret := range []string{"abab", "cdcd", "efef", "171 171", "171, 171", "205 205",
		"239 239", "\xab\xab", "0xab, 0xab", `\xab\xab`} {
		assert.NotContains(t, text, secret)
	}
	assert.Contains(t, text, k.path)
}

func TestTicketKeyAndTicketKeyFileExcludeEachOther(t *testing.T) {
	config := serverConfig(t)
	config.TicketKey, config.TicketKeyFile = keyOf(1), newKeyFile(t, 1).TicketKeyFile
	_, err := Listen("tcp", "127.0.0.1:0", config)
	assert.EqualError(t, err, "gnutls: Config.TicketKey and TicketKeyFile are both set")
}

// server returns the configuration of a server that takes its keys from the
// file, and resumes by ticket only.
func (k *keyFile) server(t testing.TB) *Config {
	config := serverConfig(t)
	config.TicketKeyFile = k.TicketKeyFile
	config.Logger = k.log.logger()
	config.SessionStore = brokenStore{func() error { return nil }}
	return config
}

func TestSessionsOutliveTheTicketKey(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client := withVersion(clientConfig(t), version)
			k := newKeyFile(t, 1)
			server := k.server(t)
			established, peer := connect(t, client, server)
			echo(t, established, peer)
			old := func() *SessionData { return newSessionData(t, client, newKeyFile(t, 1).server(t)) }
			d := newSessionData(t, client, server)

			k.write(t, 2)
			assert.True(t, resume(t, client, server, d), "in the same process")
			assert.Contains(t, k.log.String(), `msg="ticket keys reloaded"`)
			assert.True(t, resume(t, client, server, newSessionData(t, client, server)), "with the new key")
			assert.True(t, resume(t, client, server, newSessionData(t, client, newKeyFile(t, 2).server(t))),
				"with another's new key")
			assert.True(t, resume(t, client, newKeyFile(t, 2, 1).server(t), old()),
				"in a replica with both keys")
			assert.False(t, resume(t, client, newKeyFile(t, 2).server(t), old()),
				"in a replica with the new key only")
			echo(t, established, peer)

			k.pass(cgnutls.TicketLifetime())
			assert.False(t, resume(t, client, server, old()), "the lifetime is over")
			echo(t, established, peer)
		})
	}
}

func TestPreviousTicketKeyAfterAHelloRetryRequest(t *testing.T) {
	client := withVersion(clientConfig(t), VersionTLS13)
	d := newSessionData(t, client, newKeyFile(t, 1).server(t))
	server := newKeyFile(t, 2, 1).server(t)
	// for which no client has a key share at first
	server.Priority = "NORMAL:-GROUP-ALL:+GROUP-SECP521R1"
	cc, sc := tcpPipe(t)
	c, s := Client(cc, client), Server(sc, server)
	defer c.Close()
	defer s.Close()
	require.NoError(t, c.Resume(d))
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	assert.True(t, c.ConnectionState().DidResume)
	assert.Equal(t, "SECP521R1", c.ConnectionState().Group)
}

// resumedTicket connects with session data and returns those of the
// connection's own ticket.
func resumedTicket(t testing.TB, client, server *Config, d *SessionData) *SessionData {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s := Client(cc, client), Server(sc, server)
	defer c.Close()
	defer s.Close()
	require.NoError(t, c.Resume(d))
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	require.True(t, c.ConnectionState().DidResume)
	next, err := c.SessionData(waitContext(t))
	require.NoError(t, err)
	return next
}

func TestTicketsOfASessionStayUnderItsKey(t *testing.T) {
	client := withVersion(clientConfig(t), VersionTLS13)
	d := newSessionData(t, client, newKeyFile(t, 1).server(t))
	next := resumedTicket(t, client, newKeyFile(t, 2, 1).server(t), d)
	assert.False(t, resume(t, client, newKeyFile(t, 2).server(t), next), "the new key does not do")
	next = resumedTicket(t, client, newKeyFile(t, 2, 1).server(t), next)
	assert.True(t, resume(t, client, newKeyFile(t, 1).server(t), next), "the old one does")

	// So are those that a connection from before the change sends later.
	k := newKeyFile(t, 1)
	c, s := connect(t, client, k.server(t))
	k.write(t, 2)
	require.Equal(t, []byte{2, 1}, k.connection())
	require.NoError(t, s.SendTickets(1))
	echo(t, s, c)
	late, err := c.SessionData(waitContext(t))
	require.NoError(t, err)
	assert.Equal(t, cgnutls.TicketLifetime(), late.Lifetime())
	assert.True(t, resume(t, client, newKeyFile(t, 1).server(t), late))
}

// The lifetime is in seconds: this waits for one to pass.
func TestTicketsOfAResumedConnectionLiveNoLongerThanTheFirst(t *testing.T) {
	client := withVersion(clientConfig(t), VersionTLS13)
	server := newKeyFile(t, 1).server(t)
	first := newSessionData(t, client, server)
	require.Equal(t, cgnutls.TicketLifetime(), first.Lifetime())
	d := first
	for deadline := time.Now().Add(wait); d.Lifetime() == first.Lifetime(); {
		require.True(t, time.Now().Before(deadline), "the lifetime begins anew with every connection")
		d = resumedTicket(t, client, server, d)
	}
	assert.InDelta(t, first.Expires().UnixNano(), d.Expires().UnixNano(), float64(2*time.Second))
}

func TestTicketKeyFileChangesWhileClientsConnect(t *testing.T) {
	k := newKeyFile(t, 1)
	server := k.server(t)
	ln, err := Listen("tcp", "127.0.0.1:0", server)
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 1)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					conn.Write(buf[:n])
				}
			}()
		}
	}()
	var resumed, connections atomic.Int64
	var clients sync.WaitGroup
	done := make(chan struct{})
	for _, version := range bothVersions {
		for range 4 {
			client := withVersion(clientConfig(t), version)
			client.ClientSessionCache = NewClientSessionCache(0)
			clients.Add(1)
			go func() {
				defer clients.Done()
				for {
					select {
					case <-done:
						return
					default:
					}
					c, err := Dial("tcp", ln.Addr().String(), client)
					if !assert.NoError(t, err) {
						return
					}
					c.SetDeadline(time.Now().Add(wait))
					_, err = c.Write([]byte("x"))
					assert.NoError(t, err)
					_, err = c.Read(make([]byte, 1))
					assert.NoError(t, err)
					if c.ConnectionState().DidResume {
						resumed.Add(1)
					}
					connections.Add(1)
					c.Close()
				}
			}()
		}
	}
	for key := byte(2); key < 2+maxRetiredKeys; key++ {
		before := connections.Load()
		k.write(t, key, key-1)
		assert.Eventually(t, func() bool { return connections.Load() > before+16 }, wait,
			time.Millisecond)
	}
	close(done)
	clients.Wait()
	assert.NoError(t, k.Err())
	t.Logf("%d of %d connections resumed", resumed.Load(), connections.Load())
	assert.Equal(t, connections.Load()-8, resumed.Load(), "all but the first of each client")
}
