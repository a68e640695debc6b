package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/cmd/internal/progress"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
)

// longBody is the size of bodies, in bytes, that a progress bar shows up for.
const longBody = 8 << 10

// An output is where responses go.
type output struct {
	o       *options
	to      io.Writer // nil: nothing was written
	file    *os.File  // to close, or nil
	stdout  io.Writer
	stderr  io.Writer
	bar     *progressbar.ProgressBar // nil if there is none
	secured gnutls.ConnectionState   // zero where the session has no security
	got     bool                     // there was a response
	code    coap.Code                // of the last response
}

func newOutput(o *options, stdout, stderr io.Writer) *output {
	return &output{o: o, stdout: stdout, stderr: stderr}
}

// sink is where the body of a response goes as it comes; nil: it is taken as a whole,
// as it must be where a single block is asked for.
func (out *output) sink() io.Writer {
	if out.o.json || out.o.options.Has(coap.OptionBlock1) || out.o.options.Has(coap.OptionBlock2) {
		return nil
	}
	return out
}

// Write writes to the file of -o, which it makes at the first time.
func (out *output) Write(p []byte) (int, error) {
	if out.to == nil {
		out.to = out.stdout
		if name := out.o.output; name != "" && !strings.HasPrefix(name, "-") {
			f, err := os.Create(name)
			if err != nil {
				return 0, flags.Bad("o", name, err)
			}
			out.file, out.to = f, f
		}
	}
	return out.to.Write(p)
}

// take writes a response.
func (out *output) take(r *coap.Response) error {
	out.got, out.code = true, r.Code
	if out.o.json {
		return out.takeJSON(r)
	}
	switch {
	case r.Code.Class() >= 4:
		fmt.Fprintf(out.stderr, "%s\n",
			strings.TrimRight(fmt.Sprintf("%d.%02d %s", r.Code.Class(), r.Code.Detail(), printable(r.Body)),
				" "))
		return nil
	case !r.Code.IsSuccess():
		return nil
	}
	if len(r.Body) > 0 {
		if _, err := out.Write(r.Body); err != nil {
			return err
		}
	}
	if out.o.newline && out.to != nil {
		_, err := out.Write([]byte("\n"))
		return err
	}
	return nil
}

// printable replaces every byte that is not printable ASCII with a dot.
func printable(body []byte) string {
	text := []byte(string(body))
	for i, c := range text {
		if c < ' ' || c > '~' {
			text[i] = '.'
		}
	}
	return string(text)
}

// close ends what was written with a newline, unless it went to the file of -o.
func (out *output) close() (err error) {
	if out.to != nil && out.o.output == "" && !out.o.json {
		_, err = out.Write([]byte("\n"))
	}
	if out.file != nil {
		err = errors.Join(err, out.file.Close())
	}
	return err
}

// status is the exit status for the last response.
func (out *output) status() int {
	switch class := out.code.Class(); {
	case !out.got:
		return statusFailed
	case class >= 4:
		return class
	}
	return statusOK
}

// progress returns what draws the progress bar: nothing, where the bar could get mixed with
// other output or nobody would see it.
func (out *output) progress() func(coap.Progress) {
	if !progress.IsTerminal(out.stderr) || out.o.output == "" && !out.o.json &&
		progress.IsTerminal(out.stdout) && len(out.o.body) < longBody {
		return nil
	}
	return func(p coap.Progress) {
		done, total := p.Received, p.ReceiveTotal
		if done == 0 {
			done, total = p.Sent, p.SendTotal
		}
		if total < longBody && done < longBody {
			return
		}
		if out.bar == nil {
			out.bar = progress.NewBar(out.stderr, total, "", progressbar.OptionShowBytes(true))
		}
		out.bar.ChangeMax64(total)
		out.bar.Set64(done)
	}
}

func (out *output) endProgress() {
	if out.bar != nil {
		out.bar.Finish()
		out.bar = nil
	}
}

// A jsonResponse is a line of --json.
type jsonResponse struct {
	Code string `json:"code"`
	// Version, Cipher and Resumed are those of a secured session.
	Version string       `json:"version,omitempty"`
	Cipher  string       `json:"cipher,omitempty"`
	Resumed *bool        `json:"resumed,omitempty"`
	Options []jsonOption `json:"options,omitempty"`
	// Text is the body where that is UTF-8, and Hex is the body otherwise.
	Text string `json:"text,omitempty"`
	Hex  string `json:"hex,omitempty"`
}

type jsonOption struct {
	Number uint16 `json:"number"`
	Name   string `json:"name"`
	Value  any    `json:"value"`
}

func (out *output) takeJSON(r *coap.Response) error {
	line := jsonResponse{Code: fmt.Sprintf("%d.%02d", r.Code.Class(), r.Code.Detail())}
	if tls := &out.secured; tls.Version != 0 {
		line.Version, line.Cipher, line.Resumed = gnutls.VersionName(tls.Version), tls.CipherSuiteName,
			&tls.DidResume
	}
	for _, option := range r.Options {
		line.Options = append(line.Options,
			jsonOption{uint16(option.ID), option.ID.String(), optionValue(option)})
	}
	if utf8.Valid(r.Body) {
		line.Text = string(r.Body)
	} else {
		line.Hex = hex.EncodeToString(r.Body)
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}

// optionValue is the value of an option as a number, as text, or as hexadecimal digits.
func optionValue(option coap.Option) any {
	switch option.ID {
	case coap.OptionObserve, coap.OptionURIPort, coap.OptionContentFormat, coap.OptionMaxAge,
		coap.OptionHopLimit,
		coap.OptionAccept, coap.OptionBlock1, coap.OptionBlock2, coap.OptionSize1, coap.OptionSize2:
		if n, ok := (coap.Options{option}).Uint(option.ID); ok {
			return n
		}
	case coap.OptionURIHost, coap.OptionLocationPath, coap.OptionURIPath, coap.OptionURIQuery,
		coap.OptionLocationQuery,
		coap.OptionProxyURI, coap.OptionProxyScheme:
		return string(option.Value)
	}
	return hex.EncodeToString(option.Value)
}
