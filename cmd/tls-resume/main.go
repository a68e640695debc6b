// Command tls-resume answers a question: does this server resume my TLS
// sessions, and if not, why?
//
//	tls-resume example.org:443
//	tls-resume -n 5 -data $'GET / HTTP/1.0\r\n\r\n' example.org:443
//	tls-resume -save session example.org:443
//	tls-resume -load session example.org:443
//
// It makes a connection with a full handshake and then -n further ones, each
// of which asks to resume with what the ones before got from the server: with
// the newest session ticket that was not used yet under TLS 1.3, where a ticket
// is used only once, and with the newest ticket or session ID under TLS 1.2.
//
// On each connection it sends the -data and waits for a reply, which is
// anything that the server sends, of any length. Under TLS 1.3 it then waits
// for a session ticket, at most for -wait. A server may send several: the wait
// continues for as long as the handshake took and for at least 50 ms, but no
// longer than -wait. Connecting, the handshake and the reply may each take ten
// seconds.
//
// -save writes the newest unused session data to a file, with mode 0600, and
// -load resumes with them in another run, from the first connection on. They
// are as secret as a private key: -load refuses a file that others have access
// to, that belongs to another user or that is a symbolic link. They only work
// with the -ca, -insecure, -servername, -priority and -cert of the run that
// saved them.
//
// -pool keeps tickets in a file, too, and any number of runs may share it: each
// ticket is taken out of the file and used once, the oldest first, and at the end
// the file gets what was not used. The first connection counts as a further one
// if the file has a ticket for it. With -pool each connection asks the server for
// as many tickets as the pool lacks (RFC 9149), unless -request says another
// number.
//
// -race tries all addresses of the host (RFC 8305), with a ticket for each
// attempt, from the -pool or from one for this run. The table then has the time
// that all of it took instead of the time of the handshake.
//
// -early sends a string like -data, as early data (0-RTT) where a ticket allows
// it, and after the handshake where not. Early data can be replayed: send what
// may happen twice.
//
// # Output
//
// A table has a line for each connection: its number, what the handshake
// settled, the number of tickets that came, with how many the server announced
// where it was asked (under TLS 1.2 a session ID instead of a ticket counts as
// one), the lifetime of the last of them, how long the handshake took, and with
// -early whether the server took early data. The note says what went wrong, or why a
// connection that asked to resume did not. Where nothing resumed the reason
// follows the table in a sentence.
//
// With -json each connection is an object on a line of its own instead, with
// the keys connection, version, cipher, group, resumed, tickets,
// ticket_lifetime_s, ticket_request (the two numbers that were requested, or
// null), expected_tickets (what the server announced, or null), early_data
// (whether the server took some), handshake_ms (a number with a fraction) and
// error (the note). All keys are always there.
//
// # Exit status
//
//	0  every further connection resumed and none failed
//	1  one did not resume, or failed; or there is nothing to -save
//	2  bad usage, or no connection at all
//	130  interrupted
//
// With -load the first connection counts as a further one, and with -pool if the
// file has a ticket for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
)

func main() {
	flags.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// run makes the connections and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	ok := false
	if err == nil {
		ok, err = probe(ctx, opts, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "tls-resume:", err)
	}
	interrupted, byUser := flags.Interrupted(ctx)
	switch {
	case byUser && !errors.As(err, new(flags.Error)):
		return interrupted
	case err != nil:
		return 2
	case !ok:
		return 1
	}
	return 0
}

// probe makes the connections and reports them. ok says whether all went as it
// should; err is why nothing could be found out.
func probe(ctx context.Context, opts *options, stdout, stderr io.Writer) (ok bool, err error) {
	p, err := newProber(opts)
	if err != nil {
		return false, err
	}
	if opts.pool != "" {
		defer func() {
			if saveErr := p.pool.Save(opts.pool); saveErr != nil && err == nil {
				ok, err = false, flags.Bad("pool", opts.pool, saveErr)
			}
		}()
	}
	var saved *sessionFile
	if opts.save != "" {
		if saved, err = createSessionFile(opts.save); err != nil {
			return false, flags.Bad("save", opts.save, err)
		}
		defer saved.discard()
	}
	rep := newReport(opts, stdout, stderr)
	defer rep.finish()
	for number := 1; number <= opts.n+1 && ctx.Err() == nil; number++ {
		r, err := p.connect(ctx, number)
		rep.add(r)
		if number == 1 && r.Version == "" {
			return false, opts.noConnection(err)
		}
	}
	if saved == nil {
		return rep.good(), nil
	}
	data := p.newest()
	if data == nil {
		fmt.Fprintf(stderr, "tls-resume: -save %q: no unused session data are left\n", opts.save)
		return false, nil
	}
	if err := saved.write(data); err != nil {
		return false, flags.Bad("save", opts.save, err)
	}
	return rep.good(), nil
}
