package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

// requestLimit is how long a request, and the answer to it, may take.
const requestLimit = 30 * time.Second

// serveHTTP serves until ctx ends and the requests under way are answered, at
// most opts.grace later.
func serveHTTP(ctx context.Context, ln net.Listener, opts *options, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           http.HandlerFunc(describe),
		ConnContext:       withConn,
		ReadHeaderTimeout: requestLimit,
		ReadTimeout:       requestLimit,
		WriteTimeout:      requestLimit,
		IdleTimeout:       opts.idleLimit,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), opts.grace)
	defer cancel()
	if srv.Shutdown(limit) != nil {
		srv.Close()
	}
	<-ended
	return nil
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// describe answers a request with the state of its connection.
func describe(w http.ResponseWriter, r *http.Request) {
	st := r.Context().Value(connKey{}).(*conn).ConnectionState()
	client := "none"
	if len(st.PeerCertificates) > 0 {
		client = st.PeerCertificates[0].Subject.String()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "version: %s\ncipher: %s\nresumed: %t\nearly data: %d\nclient: %s\n",
		gnutls.VersionName(st.Version), st.CipherSuiteName, st.DidResume, st.EarlyData, client)
}
