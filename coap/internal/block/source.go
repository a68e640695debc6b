package block

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
)

// A Source is where the body of a request comes from.
type Source struct {
	body   []byte // all of it, where there is no reader
	pos    int
	reader *bufio.Reader // or nil
	from   io.Reader
	start  int64 // of from, or -1 where it cannot go back
	size   int64 // in bytes, or -1 where it is not known
}

// FromBytes returns a source of a body that is there.
func FromBytes(body []byte) *Source { return &Source{body: body, size: int64(len(body))} }

// FromReader returns a source that reads. It asks the reader for its size and position, with
// Len, Stat or Seek.
func FromReader(from io.Reader) (*Source, error) {
	s := &Source{reader: bufio.NewReaderSize(from, MaxSize+1), from: from, start: -1, size: -1}
	seeker, ok := from.(io.Seeker)
	if ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.start = start
		}
	}
	switch sized := from.(type) {
	case interface{ Len() int }:
		s.size = int64(sized.Len())
	case interface{ Stat() (fs.FileInfo, error) }: // a directory or a device can be sought in too
		if info, err := sized.Stat(); err == nil && info.Mode().IsRegular() {
			s.size = max(0, info.Size()-max(0, s.start))
		}
	case io.Seeker:
		if s.start < 0 {
			break
		}
		if end, err := seeker.Seek(0, io.SeekEnd); err == nil {
			s.size = max(0, end-s.start)
		}
		if _, err := seeker.Seek(s.start, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// peek returns the next bytes, n where there are so many, and whether there are more. They are
// valid until the next call.
func (s *Source) peek(n int) (p []byte, more bool, err error) {
	if s.reader == nil {
		rest := s.body[s.pos:]
		n = min(n, len(rest))
		return rest[:n], n < len(rest), nil
	}
	if s.reader.Size() <= n {
		s.reader = bufio.NewReaderSize(s.reader, n+1)
	}
	p, err = s.reader.Peek(n + 1)
	switch {
	case err == nil:
		return p[:n], true, nil
	case errors.Is(err, io.EOF):
		return p, false, nil
	}
	return nil, false, err
}

// skip drops the next bytes: they have been sent.
func (s *Source) skip(n int) {
	if s.reader == nil {
		s.pos += n
	} else {
		_, _ = s.reader.Discard(n)
	}
}

// rewind goes back to the start, where that is possible.
func (s *Source) rewind() bool {
	if s.reader == nil {
		s.pos = 0
		return true
	}
	if s.start < 0 {
		return false
	}
	if _, err := s.from.(io.Seeker).Seek(s.start, io.SeekStart); err != nil {
		return false
	}
	s.reader.Reset(s.from)
	return true
}
