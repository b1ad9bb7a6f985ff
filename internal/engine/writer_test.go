package engine

import (
	"bytes"
	"io"
	"sync"
	"testing"
)

// The race detector judges: standard output and standard error are copied at once.
func TestOutputIsWrittenOneAtATime(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	output := &oneAtATime{w: &said}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 100 {
				_, _ = io.WriteString(output, "line\n")
			}
		})
	}
	both.Wait()
	if said.Len() != 2*100*len("line\n") {
		t.Errorf("%d bytes arrived", said.Len())
	}
}
