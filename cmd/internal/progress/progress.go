// Package progress draws the progress bars of the commands.
package progress

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// wide is how many columns a bar takes with its numbers and times beside it.
const wide = 100

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// NewBar returns a bar for a terminal. What does not fit is left out: the
// numbers and times first.
func NewBar(terminal io.Writer, total int64, description string,
	more ...progressbar.Option) *progressbar.ProgressBar {
	options := []progressbar.Option{
		progressbar.OptionSetWriter(terminal),
		progressbar.OptionSetDescription(description),
		progressbar.OptionClearOnFinish(),
	}
	if columns, ok := columns(terminal); !ok || columns >= wide {
		options = append(options, more...)
	} else {
		const percent = len("  100% ||   ")
		options = append(options,
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetWidth(min(40, max(1, columns-len(description)-percent))))
	}
	return progressbar.NewOptions64(total, options...)
}

func columns(w io.Writer) (columns int, ok bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	return columns, err == nil && columns > 0
}
