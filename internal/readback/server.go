package readback

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alorig/fleet/internal/access"
	"github.com/alorig/fleet/internal/delivery"
	"github.com/alorig/fleet/internal/document"
	"github.com/alorig/fleet/internal/ledger"
	"github.com/alorig/fleet/internal/shell"
)

// Server runs the server's program from here.
type Server struct {
	way  *access.Server
	path string // of the program on the server
}

// Reach holds the program on the server against the one that was built here, and puts that in
// its place where it differs: what a program says of itself, or of the server, is no evidence
// unless it is ours. It returns whether it has put another one there.
func Reach(ctx context.Context, way *access.Server, built delivery.Program, directory string) (*Server, bool, error) {
	s := &Server{way, ledger.ServerProgram(directory)}
	there, err := s.hash(ctx)
	if err != nil || there == built.SHA256 {
		return s, false, err
	}
	place := delivery.Place{Directory: directory, SHA256: built.SHA256, Architecture: built.Architecture}
	file, err := os.Open(built.Path)
	if err != nil {
		return nil, false, fmt.Errorf("the server's program: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	for _, step := range []struct {
		command string
		stdin   io.Reader
	}{
		{"/bin/sh -s", strings.NewReader(place.Prepare())},
		{"cat >" + shell.Word(place.Copy()), file},
		{"/bin/sh -s", strings.NewReader(place.Install("the update again"))},
	} {
		if _, err := way.Run(ctx, step.command, step.stdin); err != nil {
			return nil, false, fmt.Errorf("putting the server's program in its place: %w", err)
		}
	}
	if there, err = s.hash(ctx); err == nil && there != built.SHA256 {
		err = fmt.Errorf("%s on the server is not the program that was put there: its SHA-256 is %s, not %s; somebody else puts one there too", s.path, there, built.SHA256)
	}
	return s, true, err
}

// hash is the hash of the program that is there; "" for none.
func (s *Server) hash(ctx context.Context) (string, error) {
	said, err := s.way.Run(ctx, "[ ! -e "+shell.Word(s.path)+" ] || sha256sum <"+shell.Word(s.path), nil)
	if err != nil {
		return "", fmt.Errorf("looking at %s on the server: %w", s.path, err)
	}
	hash, _, _ := strings.Cut(string(said), " ")
	return strings.TrimSpace(hash), nil
}

// State asks what is on the server.
func (s *Server) State(ctx context.Context, d document.State) (document.Facts, error) {
	var facts document.Facts
	return facts, s.do(ctx, document.ReadState, d, &facts)
}

// Start starts containers, and waits until they are ready.
func (s *Server) Start(ctx context.Context, d document.Started) (document.Result, error) {
	var result document.Result
	return result, s.do(ctx, document.Start, d, &result)
}

// Put puts there what is lost, as the state has it.
func (s *Server) Put(ctx context.Context, lost Lost) error {
	if lost.Document == "" {
		return fmt.Errorf("%s is missing, and what puts it there cannot be read from the state; run the update with the program that made it", lost.Name)
	}
	_, err := s.run(ctx, lost.Verb, lost.Document)
	return err
}

func (s *Server) do(ctx context.Context, verb document.Verb, d, answer any) error {
	text, err := document.Write(d)
	if err != nil {
		return err
	}
	said, err := s.run(ctx, verb, text)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(said))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(answer); err != nil {
		return fmt.Errorf("the answer of %s %s cannot be read: %w; run `pulumi up`, which puts the right program there", s.path, verb, err)
	}
	return nil
}

func (s *Server) run(ctx context.Context, verb document.Verb, text string) ([]byte, error) {
	said, err := s.way.Run(ctx, shell.Word(s.path)+" "+string(verb), strings.NewReader(text))
	var ended *access.CommandError
	if errors.As(err, &ended) && ended.Code == 127 {
		return nil, fmt.Errorf("there is no program at %s on the server; run `pulumi up`, which puts it there", s.path)
	}
	if err != nil {
		return nil, fmt.Errorf("asking the server: %w", err)
	}
	return said, nil
}
