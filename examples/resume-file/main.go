// Resume-file resumes a TLS session across processes: the first run makes a
// full handshake and saves the session data in a file, each later run loads
// them and resumes.
//
//	go run ./examples/resume-file -serve 127.0.0.1:4433 &
//	go run ./examples/resume-file -addr 127.0.0.1:4433 -ca testdata/ca.pem
//	go run ./examples/resume-file -addr 127.0.0.1:4433 -ca testdata/ca.pem
//
// Without -serve it works with any server that sends tickets by itself, as
// nearly all do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "", "server to connect to, as host:port")
	caFile := flag.String("ca", "", "PEM file of authorities to trust (default: the system's)")
	serverName := flag.String("servername", "", "name to verify (default: the host of -addr)")
	file := flag.String("file", "session.bin", "file of the session data")
	serveAddr := flag.String("serve", "", "be a server at this address instead")
	certFile := flag.String("cert", "testdata/server.pem", "certificate for -serve")
	keyFile := flag.String("key", "testdata/server.key", "private key for -serve")
	flag.Parse()

	var err error
	switch {
	case *serveAddr != "":
		err = serve(*serveAddr, *certFile, *keyFile)
	case *addr != "":
		err = connect(*addr, *caFile, *serverName, *file)
	default:
		err = errors.New("either -addr or -serve is needed")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// connect resumes with the data of the file, if it can, and leaves new data in
// the file for the next time.
func connect(addr, caFile, serverName, file string) error {
	config := &gnutls.Config{ServerName: serverName}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return err
		}
		config.RootCAs = gnutls.NewCertPool()
		if err := config.RootCAs.AppendCertsFromPEM(pem); err != nil {
			return err
		}
	}
	if serverName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		config.ServerName = host
	}
	session, err := load(file)
	if err != nil {
		fmt.Println("no session to resume:", err)
	}

	raw, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return err
	}
	conn := gnutls.Client(raw, config)
	defer conn.Close()
	if session != nil {
		// If the data are refused the handshake is simply a full one.
		if err := conn.Resume(session); err != nil {
			fmt.Println("not resuming:", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	cs := conn.ConnectionState()
	kind := "full handshake"
	if cs.DidResume {
		kind = "resumed"
	}
	fmt.Printf("%s, %s: %s\n", gnutls.VersionName(cs.Version), cs.CipherSuiteName, kind)

	// The ticket comes after the handshake; SessionData waits for it.
	session, err = conn.SessionData(ctx)
	if err != nil {
		return err
	}
	return save(file, session)
}

// load reads the file and removes data that are for one connection only.
func load(file string) (*gnutls.SessionData, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this is the first run")
	} else if err != nil {
		return nil, err
	}
	session := new(gnutls.SessionData)
	if err := session.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	if session.SingleUse() {
		if err := os.Remove(file); err != nil {
			return nil, err
		}
	}
	return session, nil
}

// save writes the file so that only its owner can read it, because it holds the keys of the
// session, and puts it in place whole or not at all.
func save(file string, session *gnutls.SessionData) error {
	b, err := session.MarshalBinary()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".session-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// serve echoes what clients send, until it is killed.
func serve(addr, certFile, keyFile string) error {
	cert, err := gnutls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	ln, err := gnutls.Listen("tcp", addr, &gnutls.Config{Certificates: []gnutls.Certificate{cert}})
	if err != nil {
		return err
	}
	fmt.Println("listening on", ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}
