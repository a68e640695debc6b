package gnutls

import (
	"context"
	"log/slog"
	"sync"
)

// keyLogMu makes each write to a KeyLogWriter one of whole lines.
var keyLogMu sync.Mutex

func (c *Conn) logKeys(lines [][]byte) {
	if len(lines) == 0 {
		return
	}
	keyLogMu.Lock()
	defer keyLogMu.Unlock()
	for _, line := range lines {
		if _, err := c.config.KeyLogWriter.Write(line); err != nil {
			c.log(slog.LevelWarn, "writing the key log failed", "error", err)
			return
		}
	}
}

func (c *Conn) log(level slog.Level, msg string, args ...any) {
	if c.config.Logger != nil {
		c.config.Logger.Log(context.Background(), level, msg,
			append(args, "peer", c.conn.RemoteAddr())...)
	}
}
